"""A worker's sessions and their places in engines: taken, lost with an engine, and taken again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from functools import partial
from typing import Any

from visavis.engines.client import Frame, PersonInfo
from visavis.engines.errors import EngineAway, EngineError, EngineFull, NoRoom, VisavisError
from visavis.engines.remote.channel import decode_error
from visavis.engines.remote.link import Answer, Link
from visavis.engines.remote.place import Place
from visavis.engines.remote.session import RemoteSession
from visavis.engines.remote.strip import Strip

__all__ = ["Seating"]

logger = logging.getLogger(__name__)


class Seating:
    """All sessions of a worker.

    Args:
        slots: how many there may be.
        wake: lets the reader look at all sessions.
    """

    def __init__(self, slots: int, wake: Callable[[], None]) -> None:
        self._slots = slots
        self._wake = wake
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._numbers = 0
        self._sessions: dict[int, RemoteSession] = {}
        self._strips: dict[str, Strip] = {}
        self._asked: dict[Hashable, Future[Answer]] = {}

    def all(self) -> list[RemoteSession]:
        """Return every session."""
        with self._lock:
            return list(self._sessions.values())

    def new(
        self,
        person: PersonInfo,
        lookahead_ms: int,
        seed: int | None,
        on_frame: Callable[[Frame], None],
        on_error: Callable[[EngineError], None] | None,
    ) -> RemoteSession:
        """Return a session without a place.

        Raises:
            EngineFull: all slots are taken.
        """
        with self._lock:
            if len(self._sessions) >= self._slots:
                raise EngineFull(self._slots)
            self._numbers += 1
            session = RemoteSession(
                self._numbers,
                person,
                lookahead_ms,
                seed,
                on_frame,
                on_error,
                strip=partial(self._strips.get, person.name),
                wake=self._wake,
                on_close=self._forget,
            )
            self._sessions[session.number] = session
        return session

    def seat(self, session: RemoteSession, link: Link, seconds: float) -> None:
        """Give a session its first place, or close it.

        Raises:
            VisavisError: what the engine answers, or that it does not.
        """
        try:
            with link.call("open", seconds, **_wish(session)) as answer:
                self._sit_down(session, link, answer)
        except BaseException:
            session.close()
            link.tell("close", session=session.number)
            raise

    # -- the keeper's -----------------------------------------------------------------------

    def arrive(self, link: Link) -> None:
        """An engine is there."""
        with self._lock:
            self._link = link

    def depart(self) -> int:
        """The engine is gone: every session goes on without it; returns how many do."""
        with self._lock:
            self._link = None
            sessions = list(self._sessions.values())
        for session in sessions:
            session.leave()
        self._asked.clear()
        return len(sessions)

    def seat_again(self, link: Link) -> None:
        """Ask for places for sessions that have lost theirs; never waits.

        First their person is loaded, which takes seconds, then they are opened.
        """
        waiting: dict[str, list[RemoteSession]] = {}
        for session in self.all():
            if session.seated_before and session.place is None:
                waiting.setdefault(session.person.name, []).append(session)
        for name, sessions in waiting.items():
            if not self._under_way(("prepare", name)):
                future = self._asked["prepare", name] = link.ask("prepare", person=name)
                future.add_done_callback(partial(self._prepared, link, sessions))

    def fetch_strips(self, link: Link) -> None:
        """Have at hand every person at rest, for when there is no engine; never waits."""
        persons = {session.person.name for session in self.all()}
        for name in self._strips.keys() - persons:
            del self._strips[name]
        for name in persons - self._strips.keys():
            if not self._under_way(("strip", name)):
                future = self._asked["strip", name] = link.ask("strip", person=name)
                future.add_done_callback(partial(self._fetched, name))

    def on_event(self, body: dict[str, Any]) -> None:
        """Take in what the engine says unasked; on the link's thread."""
        number = body.get("session")
        with self._lock:
            session = self._sessions.get(number) if isinstance(number, int) else None
        if session is not None and body.get("event") == "failed":
            session.fail(_as_engine_error(decode_error(body.get("error"))))

    # -- answers, on the link's thread ------------------------------------------------------

    def _prepared(self, link: Link, sessions: list[RemoteSession], future: Future[Answer]) -> None:
        try:
            future.result().close()
        except VisavisError as error:
            for session in sessions:
                _fail_if_final(session, error)
            return
        for session in sessions:
            key = "open", session.number
            if session.place is None and not session.closed and not self._under_way(key):
                opened = self._asked[key] = link.ask("open", **_wish(session))
                opened.add_done_callback(partial(self._opened, link, session))

    def _opened(self, link: Link, session: RemoteSession, future: Future[Answer]) -> None:
        self._asked.pop(("open", session.number), None)
        try:
            with future.result() as answer:
                self._sit_down(session, link, answer)
        except VisavisError as error:
            _fail_if_final(session, error)

    def _sit_down(self, session: RemoteSession, link: Link, answer: Answer) -> None:
        seated = False
        try:
            place = Place(link, answer, session.person)
            with self._lock:
                # Once the link is lost its doorbells are closed.
                if self._link is not link:
                    raise EngineAway
                seated = session.take(place)
        finally:
            if not seated:
                link.tell("close", session=session.number)

    def _fetched(self, name: str, future: Future[Answer]) -> None:
        try:
            with future.result() as answer:
                if answer.body.get("ready") is True and len(answer.fds) == 1:
                    self._strips[name] = Strip.open(answer.fds[0])
        except (VisavisError, OSError) as error:
            logger.debug("%s at rest is not to be had: %s", name, error)

    def _under_way(self, key: Hashable) -> bool:
        future = self._asked.get(key)
        return future is not None and not future.done()

    def _forget(self, session: RemoteSession) -> None:
        with self._lock:
            self._sessions.pop(session.number, None)


def _wish(session: RemoteSession) -> dict[str, object]:
    return {
        "session": session.number,
        "person": session.person.name,
        "lookahead_ms": session.lookahead_ms,
        "seed": session.seed,
        "controls": session.changes,
    }


def _fail_if_final(session: RemoteSession, error: VisavisError) -> None:
    """End a session that no engine will take; others are asked for again."""
    if not isinstance(error, (EngineAway, EngineFull, NoRoom)):
        session.fail(_as_engine_error(error))


def _as_engine_error(error: VisavisError) -> EngineError:
    return error if isinstance(error, EngineError) else EngineError(str(error))
