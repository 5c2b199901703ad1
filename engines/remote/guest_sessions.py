"""The sessions that one worker has opened, on the engine's side."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from visavis.engines.client import PHASES, EngineClient, PersonInfo
from visavis.engines.errors import EngineError, EngineFull
from visavis.engines.remote.doorbell import Doorbell
from visavis.engines.remote.hosted import HostedSession

__all__ = ["GuestSessions"]

logger = logging.getLogger(__name__)


class GuestSessions:
    """Sessions by the worker's numbers, in groups of a phase.

    Args:
        engine: where they run.
        slots: how many there may be.
        bells: of the worker, one for each phase.
        make_way: frees, meanwhile, the place that nobody's visit needs.
        count_all: how many sessions all workers have.
        on_failed: takes a session that has ended by itself.
    """

    def __init__(
        self,
        engine: EngineClient,
        slots: int,
        bells: tuple[Doorbell, ...],
        *,
        make_way: Callable[[], AbstractContextManager[None]],
        count_all: Callable[[], int],
        on_failed: Callable[[HostedSession, EngineError], None],
    ) -> None:
        self._engine = engine
        self._slots = slots
        self._bells = bells
        self._make_way = make_way
        self._count_all = count_all
        self._on_failed = on_failed
        self._lock = threading.Lock()
        self._closed = False
        self._sessions: dict[int, HostedSession | None] = {}  # None: it is being opened
        self._groups: tuple[tuple[HostedSession, ...], ...] = ((),) * PHASES

    def group(self, phase: int) -> tuple[HostedSession, ...]:
        """Return the open sessions of a phase."""
        return self._groups[phase]

    def all(self) -> tuple[HostedSession, ...]:
        """Return all open sessions."""
        return tuple(session for group in self._groups for session in group)

    def find(self, number: int) -> HostedSession:
        """Return an open session.

        Raises:
            EngineError: there is none of that number.
        """
        with self._lock:
            session = self._sessions.get(number)
        if session is None:
            raise EngineError("The session has ended.")
        return session

    def open(
        self, number: int, person: PersonInfo, lookahead_ms: int | None, seed: int | None
    ) -> HostedSession:
        """Open a session; its descriptors are the caller's to hand over.

        Raises:
            EngineFull: the worker has all its slots taken, the engine all its places, or there is
                no memory for another session.
            EngineError: the number is taken, or the session was closed before it was open.
            VisavisError: what the engine raises.
        """
        with self._lock:
            if self._closed:
                raise EngineError("The worker is gone.")
            if number in self._sessions:
                raise EngineError("The worker has a session of that number.")
            if len(self._sessions) >= self._slots:
                raise EngineFull(self._slots)
            self._sessions[number] = None
        try:
            session = self._make(number, person, lookahead_ms, seed)
        except BaseException:
            with self._lock:
                self._sessions.pop(number, None)
            raise
        with self._lock:
            # `close` may have come meanwhile, and the session may have failed.
            wanted = number in self._sessions and not self._closed and session.failure is None
            if wanted:
                self._sessions[number] = session
                self._regroup()
            else:
                self._sessions.pop(number, None)
        if not wanted:
            session.close()
            raise session.failure or EngineError("The session was closed before it was open.")
        return session

    def close(self, number: int) -> None:
        """Close a session, if there is one of that number."""
        with self._lock:
            session = self._sessions.pop(number, None)
            self._regroup()
        if session is not None:
            session.close()

    def fail(self, session: HostedSession) -> bool:
        """Forget a session that has failed; False where nobody needs to hear of it."""
        with self._lock:
            # One that is still being opened says it itself.
            if self._closed or self._sessions.get(session.number) is not session:
                return False
            del self._sessions[session.number]
            self._regroup()
        return True

    def close_all(self) -> None:
        """Close every session, and let none be opened any more."""
        with self._lock:
            self._closed = True
            sessions = [session for session in self._sessions.values() if session is not None]
            self._sessions.clear()
            self._regroup()
        for session in sessions:
            session.close()

    def _make(
        self, number: int, person: PersonInfo, lookahead_ms: int | None, seed: int | None
    ) -> HostedSession:
        def make() -> HostedSession:
            return HostedSession(
                number, self._engine, person, lookahead_ms, seed, self._bells, self._on_failed
            )

        try:
            try:
                return make()
            except EngineFull:
                # A visitor goes before a recording.
                with self._make_way():
                    return make()
        except MemoryError as error:
            logger.error("there is no memory for another session: %s", error)
            # There are as many places as there was memory for.
            if (places := self._count_all()) == 0:
                raise EngineError("There is no memory for a session.") from error
            raise EngineFull(places) from error

    def _regroup(self) -> None:
        groups: list[list[HostedSession]] = [[] for _ in range(PHASES)]
        for session in self._sessions.values():
            if session is not None:
                groups[session.phase].append(session)
        self._groups = tuple(map(tuple, groups))
