"""The registry of live sessions: admission, look-up, reaping, and the end of everything."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from visavis.engines.client import EngineClient, PersonInfo
from visavis.engines.errors import EngineFull, UnknownLookahead, UnknownPerson
from visavis.server.config import ServerConfig, parse_ice_server
from visavis.server.errors import NoSuchSession, Unavailable
from visavis.server.media.live import AnyTransport, LiveSession, MediaOptions
from visavis.server.media.stats import SessionReport
from visavis.server.media.transport import TransportEvents
from visavis.server.media.warmup import warm_up
from visavis.server.metrics import COUNTERS, Metrics
from visavis.server.problems import FULL_RETRY_SECONDS
from visavis.server.reaping import Silence, SilencePolicy

__all__ = ["Sessions"]

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
# Suspended sessions hold no place in the engine, but a connection each.
KEPT_PER_PLACE = 3


class Sessions:
    """All sessions of one engine.

    Args:
        config: limits and times.
        engine: loaded and warm.
        metrics: what is counted.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        config: ServerConfig,
        engine: EngineClient,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = engine
        self.draining = False
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._sessions: dict[str, tuple[LiveSession, Silence]] = {}
        self._ended: Counter[str] = Counter()
        self._ending: set[asyncio.Task[None]] = set()
        self._persons = {person.name: person for person in engine.persons()}
        self._policy = SilencePolicy(
            config.connect_seconds, config.suspend_seconds, config.resume_seconds
        )
        self._options = MediaOptions(
            budget_ms=config.budget_ms,
            ice_servers=[parse_ice_server(server) for server in config.ice_servers],
        )
        threads = config.encoder_threads or min(8, len(os.sched_getaffinity(0)))
        self._encoders = ThreadPoolExecutor(threads, thread_name_prefix="visavis-encode")
        self._reaper = asyncio.get_running_loop().create_task(self._reap())

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def capacity(self) -> int:
        """How many sessions may be live at once."""
        measured = self.engine.capacity()
        return measured if self._config.max_sessions is None else self._config.max_sessions

    @property
    def persons(self) -> dict[str, PersonInfo]:
        """Who can speak, by name."""
        return self._persons

    @property
    def default_person(self) -> str:
        """Who speaks when nobody is named."""
        wanted = self._config.default_person
        return wanted if wanted in self._persons else next(iter(self._persons))

    def person(self, name: str | None) -> PersonInfo:
        """The person of that name, or the default one for None.

        Raises:
            UnknownPerson: there is none.
        """
        found = self._persons.get(self.default_person if name is None else name)
        if found is None:
            raise UnknownPerson(str(name), tuple(self._persons))
        return found

    def reports(self) -> Iterator[SessionReport]:
        """What each session says about itself."""
        return (session.report() for session, _ in list(self._sessions.values()))

    def ended(self) -> dict[str, float]:
        """The counters of sessions that are gone."""
        return dict(self._ended)

    def get(self, identifier: str) -> LiveSession:
        """The session of that id.

        Raises:
            NoSuchSession: there is none.
        """
        try:
            return self._sessions[identifier][0]
        except KeyError:
            raise NoSuchSession from None

    async def warm_up(self) -> None:
        """Do once what a first visitor would wait for."""
        await warm_up(self._encoders)

    async def open(
        self,
        person: PersonInfo,
        offer: str,
        *,
        lookahead_ms: int | None,
        loopback: bool,
        prefer_h264: bool,
    ) -> tuple[str, str]:
        """Admit a visitor; returns the session's id and the SDP answer.

        `lookahead_ms` is one that the person offers, or None for the person's own.

        Raises:
            UnknownLookahead: the person does not offer it; nothing was created.
            Unavailable: the server is being stopped.
            EngineFull: all places are taken; nothing was created.
            OfferError: the offer cannot be answered; nothing is left of it.
        """
        identifier, session = self._admit(person, lookahead_ms)
        try:
            answer = await session.start(offer, loopback=loopback, prefer_h264=prefer_h264)
        except BaseException:
            await self.close(identifier)
            raise
        return identifier, answer

    async def join(
        self,
        person: PersonInfo,
        open_transport: Callable[[TransportEvents], AnyTransport],
        *,
        lookahead_ms: int | None,
    ) -> tuple[str, AnyTransport]:
        """Admit a visitor who is connected already; returns the session's id and its transport.

        Raises:
            UnknownLookahead, Unavailable, EngineFull: as for :meth:`open`.
        """
        identifier, session = self._admit(person, lookahead_ms)
        try:
            return identifier, session.connect(open_transport)
        except BaseException:
            await self.close(identifier)
            raise

    def _admit(self, person: PersonInfo, lookahead_ms: int | None) -> tuple[str, LiveSession]:
        if self.draining:
            raise Unavailable("The server is being stopped.", retry_after=FULL_RETRY_SECONDS)
        if lookahead_ms is None:
            lookahead_ms = person.lookahead_ms
        elif lookahead_ms not in person.lookaheads_ms:
            raise UnknownLookahead(person.name, lookahead_ms, person.lookaheads_ms)
        taken = sum(session.state != "suspended" for session, _ in self._sessions.values())
        if taken >= self.capacity or len(self._sessions) >= KEPT_PER_PLACE * self.capacity:
            raise EngineFull(self.capacity)
        identifier = secrets.token_urlsafe(18)
        session = LiveSession(
            self.engine,
            person,
            lookahead_ms=lookahead_ms,
            encoders=self._encoders,
            options=self._options,
            observer=self._metrics,
            on_end=lambda: self._end_soon(identifier),
            clock=self._clock,
        )
        self._sessions[identifier] = (session, Silence(self._policy, self._clock()))
        return identifier, session

    async def close(self, identifier: str) -> None:
        """End a session and wait until nothing is left of it.

        Raises:
            NoSuchSession: there is none of that id.
        """
        entry = self._sessions.pop(identifier, None)
        if entry is None:
            raise NoSuchSession
        session = entry[0]
        try:
            report = session.report()
            self._ended.update({name: getattr(report, name) for name in COUNTERS})
        finally:
            await session.aclose()

    def _end_soon(self, identifier: str) -> None:
        if identifier in self._sessions:
            task = asyncio.create_task(self._close_if_there(identifier))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _close_if_there(self, identifier: str) -> None:
        with contextlib.suppress(NoSuchSession):
            await self.close(identifier)

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._clock()
            for identifier, (session, silence) in list(self._sessions.items()):
                try:
                    await self._look(identifier, session, silence, now)
                except NoSuchSession:
                    continue
                except Exception:
                    logger.exception("a session could not be looked after; it is ended")
                    self._end_soon(identifier)

    async def _look(
        self, identifier: str, session: LiveSession, silence: Silence, now: float
    ) -> None:
        match silence.look(session.state, session.received_packets, now):
            case "end":
                await self.close(identifier)
            case "suspend":
                self._metrics.sessions_suspended.inc()
                await session.suspend()
            case "resume":
                try:
                    session.resume()
                except EngineFull:
                    await self.close(identifier)
            case "keep":
                pass

    async def aclose(self) -> None:
        """End all sessions and the pool; may be called again."""
        self.draining = True
        self._reaper.cancel()
        await asyncio.wait([self._reaper])
        for identifier in list(self._sessions):
            self._end_soon(identifier)
        while self._ending:
            await asyncio.wait(self._ending)
        # Its threads have nothing left to do: every session waited for its own last frame.
        self._encoders.shutdown(wait=True)
