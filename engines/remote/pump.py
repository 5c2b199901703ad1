"""The thread that moves samples from the workers' rings to the engine."""

from __future__ import annotations

import logging
import select
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from visavis.engines.remote.doorbell import Doorbell
from visavis.engines.remote.hosted import HostedSession

__all__ = ["Pump"]

logger = logging.getLogger(__name__)


class Pump:
    """Listens to the doorbells of all workers; a ring says that a group of sessions has samples.

    Only its own thread touches the set of bells, so a bell that is taken away is closed when nobody
    listens to it any more.
    """

    def __init__(self) -> None:
        self._wake = Doorbell()
        self._changes: deque[Callable[[], None]] = deque()
        self._bells: dict[int, tuple[Doorbell, Callable[[], Iterable[HostedSession]]]] = {}
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="visavis-pump", daemon=True)
        self._thread.start()

    def add(self, bell: Doorbell, sessions: Callable[[], Iterable[HostedSession]]) -> None:
        """Listen to a bell; `sessions` returns who may have rung."""
        self._change(lambda: self._add(bell, sessions))

    def remove(self, bells: Sequence[Doorbell]) -> None:
        """Listen to these bells no more, and close them."""
        self._change(lambda: self._remove(bells))

    def close(self) -> None:
        """End the thread and close all bells."""
        self._closed = True
        self._wake.ring()
        self._thread.join()
        self._apply()
        self._remove([bell for bell, _ in self._bells.values()])
        self._wake.close()

    def _change(self, change: Callable[[], None]) -> None:
        self._changes.append(change)
        self._wake.ring()

    def _apply(self) -> None:
        while self._changes:
            self._changes.popleft()()

    def _add(self, bell: Doorbell, sessions: Callable[[], Iterable[HostedSession]]) -> None:
        self._bells[bell.fileno()] = bell, sessions
        self._poll.register(bell, select.POLLIN)

    def _remove(self, bells: Sequence[Doorbell]) -> None:
        for bell in bells:
            if self._bells.pop(bell.fileno(), None) is not None:
                self._poll.unregister(bell)
            bell.close()

    def _run(self) -> None:
        while not self._closed:
            for fd, _ in self._poll.poll():
                if fd == self._wake.fileno():
                    self._wake.hush()
                    self._apply()
                elif fd in self._bells:
                    bell, sessions = self._bells[fd]
                    bell.hush()
                    for session in sessions():
                        self._move(session)

    def _move(self, session: HostedSession) -> None:
        try:
            session.pump()
        except Exception:  # one session must not stop the sound of all
            logger.exception("the sound of a session could not be moved; the session is ended")
            session.close()
