"""The thread that takes pictures out of the shared memory and hands them over."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterable, Sequence

from visavis.engines.remote.doorbell import Doorbell
from visavis.engines.remote.session import RemoteSession

__all__ = ["Reader"]


class Reader:
    """Listens to the doorbells of an engine, and to one of its own.

    A ring of the engine's says that sessions of one phase have pictures; one of its own, that some
    session is to be looked at.

    Args:
        sessions: returns all sessions.
    """

    def __init__(self, sessions: Callable[[], Iterable[RemoteSession]]) -> None:
        self._sessions = sessions
        self._wake = Doorbell()
        self._lock = threading.Lock()
        self._next: tuple[Doorbell, ...] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="visavis-frames", daemon=True)
        self._thread.start()

    def listen(self, bells: Sequence[Doorbell]) -> None:
        """Listen to these from now on; the reader closes them when it listens to others."""
        with self._lock:
            unused, self._next = self._next, tuple(bells)
        for bell in unused or ():
            bell.close()
        self._wake.ring()

    def wake(self) -> None:
        """Look at all sessions."""
        self._wake.ring()

    def close(self) -> None:
        """End the thread; from that thread itself, soon."""
        self._closed = True
        self._wake.ring()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        bells: tuple[Doorbell, ...] = ()
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        while not self._closed:
            rung = {fd for fd, _ in poll.poll()}
            phases = {phase for phase, bell in enumerate(bells) if bell.fileno() in rung}
            for phase in phases:
                bells[phase].hush()
            look_at_all = self._wake.fileno() in rung
            if look_at_all:
                self._wake.hush()
                with self._lock:
                    others, self._next = self._next, None
                if others is not None:
                    for bell in bells:
                        poll.unregister(bell)
                        bell.close()
                    bells = others
                    for bell in bells:
                        poll.register(bell, select.POLLIN)
            for session in self._sessions():
                place = session.place
                if look_at_all or (place is not None and place.phase in phases):
                    session.read()
        for bell in bells + (self._next or ()):
            bell.close()
        self._wake.close()
