"""uvicorn as we run it: which options, and an end in order."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

import uvicorn

from visavis.server.ws.framing import MAX_MESSAGE_BYTES

__all__ = ["Drainable", "DrainingServer", "uvicorn_config"]


class Drainable(Protocol):
    """What is let come to its end: the sessions of a process."""

    draining: bool
    """Set once it is to end: nobody new is let in."""

    def __len__(self) -> int:
        """How many there still are."""


def uvicorn_config(app: object, **options: Any) -> uvicorn.Config:
    """Our options, and those of the case."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # sound and pictures are compressed already
        timeout_graceful_shutdown=3,
        **options,
    )


class DrainingServer(uvicorn.Server):
    """uvicorn, but SIGTERM first lets the sessions end, and no signal is raised again at the end.

    Args:
        config: uvicorn's.
        drain_seconds: how long sessions may go on.
        sessions: what is to end, once there is such a thing.
        on_tick: called ten times a second.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        drain_seconds: float,
        sessions: Callable[[], Drainable | None],
        *,
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._drain_until: float | None = None
        self._sessions = sessions
        self._look = on_tick

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal handler; a second signal ends at once."""
        sessions = self._sessions()
        if self.should_exit:
            self.force_exit = sig == signal.SIGINT
        elif sig == signal.SIGTERM and self._drain_until is None and sessions is not None:
            sessions.draining = True
            self._drain_until = time.monotonic() + self._drain_seconds
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to shut down."""
        self._look()
        if self._drain_until is not None:
            sessions = self._sessions()
            if not sessions or time.monotonic() > self._drain_until:
                self.should_exit = True
        return await super().on_tick(counter)
