"""The engine process: what it runs is given, the rest is as for every process of the front's."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from visavis.engines.client import EngineClient
from visavis.engines.remote.serving import serve_engine
from visavis.server.front.child import describe_failure
from visavis.server.front.parent import read_settings, say

__all__ = ["run_engine"]

STDIN = 0


def run_engine(make: Callable[[dict[str, Any]], EngineClient]) -> int:
    """Serve an engine until told to end, or until the front is gone.

    Args:
        make: makes the engine from the settings that the process was told.

    Returns:
        The exit status.
    """
    try:
        settings = read_settings()
        logging.basicConfig(
            stream=sys.stderr,
            level=(logging.WARNING, logging.INFO, logging.DEBUG)[min(settings["verbose"], 2)],
            format="%(levelname)s %(name)s: %(message)s",
        )
        return serve_engine(
            lambda: make(settings),
            Path(settings["socket"]),
            on_ready=lambda: say({}),
            parent_fd=STDIN,
        )
    except Exception as error:
        logging.getLogger(__name__).debug("the engine process failed", exc_info=True)
        say(describe_failure(error))
        return 1
