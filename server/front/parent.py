"""The child's end of :mod:`visavis.server.front.child`: settings in, one line out, and orphans.

No asyncio: the engine process uses it too.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO

from visavis.engines.errors import ConfigError

__all__ = ["die_soon", "read_settings", "say", "watch_parent"]

LONGEST_SETTINGS = 1 << 20
LAST_SECONDS = 3.0


def read_settings(stream: TextIO | None = None) -> dict[str, Any]:
    """The one line that the parent wrote.

    Raises:
        ConfigError: it is none.
    """
    line = (stream or sys.stdin).readline(LONGEST_SETTINGS)
    try:
        settings = json.loads(line)
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise ConfigError("This process is started by visavis serve, which tells it what to do.")
    return settings


def say(message: dict[str, Any]) -> None:
    """The one line that the parent waits for."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def watch_parent(gone: Callable[[], None]) -> threading.Thread:
    """Call that when the parent is no more, however it went.

    The thread reads what is left of standard input, whose other end the parent holds and never
    writes to again; the kernel closes it with the parent.
    """

    def watch() -> None:
        while os.read(0, 4096):
            pass
        gone()

    thread = threading.Thread(target=watch, name="visavis-parent", daemon=True)
    thread.start()
    return thread


def die_soon(seconds: float = LAST_SECONDS) -> None:
    """End this process after so many seconds, whatever it is doing then."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
