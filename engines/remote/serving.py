"""The engine's process: what it runs from its start until it is told to stop.

Whoever starts it says how the engine is made; this module gives it a socket, signals and an end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import select
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from visavis.engines.client import EngineClient
from visavis.engines.errors import ConfigError
from visavis.engines.remote.doorbell import Doorbell
from visavis.engines.remote.host import EngineHost
from visavis.engines.remote.strip_maker import STRIP_SECONDS

__all__ = ["EXIT_DEVICE_LOST", "listen_at", "serve_engine"]

logger = logging.getLogger(__name__)

# EX_TEMPFAIL of sysexits.h: start it again.
EXIT_DEVICE_LOST = 75
# An engine whose device is gone, or whose parent is, may hang where it is closed.
_END_SECONDS = 5.0
_BACKLOG = 32


def serve_engine(
    make_engine: Callable[[], EngineClient],
    path: Path,
    *,
    on_ready: Callable[[], None] | None = None,
    parent_fd: int | None = None,
    strip_seconds: float = STRIP_SECONDS,
) -> int:
    """Serve an engine at a socket until SIGTERM or SIGINT, or until the parent is gone.

    To be called on a process's main thread. The process ends by itself, without returning, where
    the end takes longer than five seconds.

    Args:
        make_engine: loads the engine; it takes as long as it takes.
        path: of the socket, in a folder that only this user may enter.
        on_ready: called when workers can connect.
        parent_fd: the reading end of a pipe whose other end the parent holds, as `stdin` of a
            child; an end of file says that the parent has died, whatever killed it.
        strip_seconds: how long persons at rest are recorded; 0 for not at all.

    Returns:
        What the process should exit with: 0, or `EXIT_DEVICE_LOST` where only a new process helps.

    Raises:
        ConfigError: the socket cannot be made there.
        VisavisError: what `make_engine` raises.
    """
    status = [0]
    stop = Doorbell()

    def lose(error: Exception) -> None:
        status[0] = EXIT_DEVICE_LOST
        stop.ring()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.ring()

    with contextlib.ExitStack() as ending:
        ending.callback(stop.close)
        if parent_fd is not None:
            # From the start: loading may take a minute, and the parent may not live so long.
            watch = threading.Thread(
                target=_watch_parent, args=(parent_fd, stop), name="visavis-parent", daemon=True
            )
            watch.start()
        _raise_descriptor_limit()
        host = EngineHost(make_engine(), on_device_lost=lose, strip_seconds=strip_seconds)
        ending.callback(host.close)
        # Not before it is loaded: until then workers are refused at once, and try again.
        listener = ending.enter_context(listen_at(path))
        for number in (signal.SIGTERM, signal.SIGINT):
            ending.callback(signal.signal, number, signal.signal(number, on_signal))
        host.listen(listener.dup())
        if on_ready is not None:
            on_ready()
        select.select([stop], [], [])
        _end_in_time(status[0])
    return status[0]


@contextlib.contextmanager
def listen_at(path: Path) -> Iterator[socket.socket]:
    """Listen at a Unix-domain socket that only this user can reach, and remove it at the end.

    Raises:
        ConfigError: others may enter the folder, or somebody listens there already.
    """
    try:
        folder = path.parent.stat()
    except OSError as error:
        raise ConfigError(f"There is no folder for the engine's socket: {error}.") from error
    if folder.st_uid != os.getuid() or folder.st_mode & 0o077:
        raise ConfigError(f"{path.parent} must be a folder that only you may enter (0700).")
    _remove_stale(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        try:
            listener.bind(str(path))
        except OSError as error:
            raise ConfigError(f"The engine cannot listen at {path}: {error}.") from error
        try:
            path.chmod(0o600)
            listener.listen(_BACKLOG)
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _remove_stale(path: Path) -> None:
    """Remove the socket of an engine that was killed."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigError(f"{path} is there already, and is not a socket.")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{path} cannot be used: {error}.") from error
        else:
            raise ConfigError(f"Another engine listens at {path}.")


def _watch_parent(fd: int, stop: Doorbell) -> None:
    with contextlib.suppress(OSError):
        while os.read(fd, 4096):
            pass
    logger.error("the parent is gone; the engine ends")
    with contextlib.suppress(OSError):
        stop.ring()
    _end_in_time(0)


def _end_in_time(status: int) -> None:
    """End the process after a while, if it has not ended by then."""
    timer = threading.Timer(_END_SECONDS, os._exit, (status,))
    timer.daemon = True
    timer.start()


def _raise_descriptor_limit() -> None:
    """Each session maps two pieces of memory, and Python keeps a descriptor of each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
