"""The registry of live sessions: admission, look-up, reaping, and the end of everything."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from visavis.engines.client import EngineClient, PersonInfo
from visavis.engines.errors import EngineAway, UnknownLookahead, VisavisError
from visavis.server.config import ServerConfig
from visavis.server.errors import NoSuchSession, ServerFull, Unavailable
from visavis.server.ice import IceServers
from visavis.server.look.looks import Looks
from visavis.server.look.pictures import Pictures
from visavis.server.media.encoding import Encoding
from visavis.server.media.live import AnyTransport, LiveSession
from visavis.server.media.options import MediaOptions
from visavis.server.media.peer import PeerNetwork
from visavis.server.media.stats import SessionReport
from visavis.server.media.transport import TransportEvents
from visavis.server.media.viewers import ViewerPlaces
from visavis.server.media.warmup import warm_up
from visavis.server.metrics import COUNTERS, Metrics
from visavis.server.people import People, offers_of
from visavis.server.problems import FULL_RETRY_SECONDS
from visavis.server.reaping import Silence, SilencePolicy
from visavis.server.recording.recorder import Recorder
from visavis.server.resume import ResumeToken

__all__ = ["Sessions"]

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
# Suspended sessions hold no place in the engine, but a connection each.
KEPT_PER_PLACE = 3


Outcome = TypeVar("Outcome")


@dataclass(slots=True)
class _Entry:
    session: LiveSession
    silence: Silence
    resume: ResumeToken = field(default_factory=ResumeToken)
    view: str = ""
    """The id by which others may watch it; it lets them do nothing else."""
    returning: bool = False
    """It was suspended and its peer is back; the person may have to be loaded again."""


class Sessions:
    """All sessions of one engine.

    Args:
        config: limits and times.
        engine: loaded and warm.
        metrics: what is counted.
        prefix: what the ids of its sessions begin with.
        encoding: what compresses pictures.
        recorder: begins recordings; None where nothing may be recorded.
        pictures: that visitors may choose as a background.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        config: ServerConfig,
        engine: EngineClient,
        metrics: Metrics,
        *,
        prefix: str = "",
        encoding: Encoding | None = None,
        recorder: Recorder | None = None,
        pictures: Pictures | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = engine
        self.draining = False
        self.places = config.max_sessions
        """How many sessions may be live at once; None for what the engine says."""
        self.limit = ""
        """What part of the machine has no more places, where that was measured."""
        self.of_places: int | None = None
        """How many the server has, of which these are a share; None where these are all."""
        self.encoding = encoding or Encoding()
        self.recorder = recorder
        self._prefix = prefix
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._sessions: dict[str, _Entry] = {}
        self._views: dict[str, str] = {}
        self._ended: Counter[str] = Counter()
        self.viewer_places = ViewerPlaces(config.viewers)
        self._ending: set[asyncio.Task[None]] = set()
        pictures = pictures or Pictures({})
        self._looks = Looks(badge=config.badge, pictures=pictures)
        offers = offers_of(config, pictures)
        self.people = People(engine, config.default_person, offers=offers, clock=clock)
        self._arriving = 0
        self._policy = SilencePolicy(
            config.connect_seconds, config.suspend_seconds, config.resume_seconds
        )
        self._options = MediaOptions(
            budget_ms=config.budget_ms,
            ice_servers=IceServers(config).fresh,
            network=PeerNetwork(config.relay_only, config.announce, config.udp_ports),
            open_encoder=self.encoding.open,
            viewers=self.viewer_places,
            looks=self._looks,
            connect_seconds=config.connect_seconds,
        )
        threads = config.encoder_threads or min(8, len(os.sched_getaffinity(0)))
        self._encoders = ThreadPoolExecutor(threads, thread_name_prefix="visavis-encode")
        self._reaper = asyncio.get_running_loop().create_task(self._reap())

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def capacity(self) -> int:
        """How many sessions may be live at once."""
        return self.engine.capacity() if self.places is None else self.places

    @property
    def taken(self) -> int:
        """Sessions that have a place, or are about to: all but the suspended ones."""
        return self._arriving + sum(
            entry.session.state != "suspended" or entry.resume.taken or entry.returning
            for entry in self._sessions.values()
        )

    def reports(self) -> Iterator[SessionReport]:
        """What each session says about itself."""
        return (entry.session.report() for entry in list(self._sessions.values()))

    def ended(self) -> dict[str, float]:
        """The counters of sessions that are gone."""
        return dict(self._ended)

    def get(self, identifier: str) -> LiveSession:
        """The session of that id.

        Raises:
            NoSuchSession: there is none.
        """
        return self._entry(identifier).session

    def view_of(self, identifier: str) -> str:
        """The id by which others may watch a session, and do nothing else to it.

        Raises:
            NoSuchSession: there is none.
        """
        return self._entry(identifier).view

    def viewed(self, view: str) -> LiveSession:
        """The session of that viewing id.

        Raises:
            NoSuchSession: there is none.
        """
        return self.get(self._views.get(view, ""))

    def resume_token(self, identifier: str) -> str:
        """What its peer must present to go on over another connection.

        Raises:
            NoSuchSession: there is none.
        """
        return self._entry(identifier).resume.value

    def _entry(self, identifier: str) -> _Entry:
        try:
            return self._sessions[identifier]
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
        publish: bool = False,
    ) -> tuple[str, str]:
        """Admit a visitor; returns the session's id and the SDP answer.

        `lookahead_ms` is one that the person offers, or None for the person's own; `publish` says
        that the visitor only speaks (WHIP).

        Raises:
            UnknownLookahead: the person does not offer it; nothing was created.
            Unavailable: the server is being stopped.
            EngineFull: all places are taken; nothing was created.
            PersonFileError, NoRoom: the person cannot be loaded; nothing was created.
            OfferError: the offer cannot be answered; nothing is left of it.
        """
        await self._prepare(person, lookahead_ms)
        identifier, session = self._admit(person, lookahead_ms)
        try:
            answer = await session.start(
                offer, loopback=loopback, prefer_h264=prefer_h264, publish=publish
            )
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
        on_wait: Callable[[], Awaitable[None]] | None = None,
    ) -> tuple[str, AnyTransport]:
        """Admit a visitor who is connected already; returns the session's id and its transport.

        `on_wait` is called where the person has to be loaded and that takes more than a second.

        Raises:
            UnknownLookahead, Unavailable, EngineFull, PersonFileError, NoRoom: as for :meth:`open`.
        """
        await self._prepare(person, lookahead_ms, on_wait)
        identifier, session = self._admit(person, lookahead_ms)
        try:
            return identifier, await session.connect(open_transport)
        except BaseException:
            await self.close(identifier)
            raise

    async def resume(
        self, identifier: str, token: str, offer: str, *, loopback: bool, prefer_h264: bool
    ) -> str:
        """Let a session go on over a new WebRTC connection; returns the SDP answer.

        Raises:
            NoSuchSession: it is gone.
            WrongResumeToken: the token is not the session's present one.
            Unavailable: the server is being stopped.
            EngineFull: the session was suspended and its place is taken by now.
            OfferError: the offer cannot be answered. The session and its token stay as they were.
        """
        return await self._resume(
            identifier,
            token,
            lambda session: session.restart(offer, loopback=loopback, prefer_h264=prefer_h264),
        )

    async def rejoin(
        self,
        identifier: str,
        token: str,
        open_transport: Callable[[TransportEvents], AnyTransport],
    ) -> AnyTransport:
        """Let a session go on over a transport that is connected already.

        Raises:
            NoSuchSession, WrongResumeToken, Unavailable, EngineFull: as for :meth:`resume`.
        """
        return await self._resume(
            identifier, token, lambda session: session.reconnect(open_transport)
        )

    async def _resume(
        self,
        identifier: str,
        token: str,
        change: Callable[[LiveSession], Awaitable[Outcome]],
    ) -> Outcome:
        entry = self._entry(identifier)
        entry.resume.take(token)
        try:
            if self.draining:
                raise Unavailable("The server is being stopped.", retry_after=FULL_RETRY_SECONDS)
            if entry.session.state == "suspended" and self.taken > self.capacity:
                raise ServerFull(self.of_places or self.capacity, self.limit)
            if entry.session.state == "suspended":
                await self.people.prepare(entry.session.person.name)
            outcome = await change(entry.session)
        except BaseException:
            entry.resume.give_back()
            raise
        entry.resume.renew()
        entry.silence = Silence(self._policy, self._clock())
        return outcome

    async def _prepare(
        self,
        person: PersonInfo,
        lookahead_ms: int | None,
        on_wait: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Let a person be loaded for a visitor; a place for them is held meanwhile."""
        self._require_place(person, lookahead_ms)
        self._arriving += 1
        try:
            await self.people.prepare(person.name, on_wait)
        finally:
            self._arriving -= 1

    def _require_place(self, person: PersonInfo, lookahead_ms: int | None) -> int:
        """Return the look-ahead of a new session."""
        if self.draining:
            raise Unavailable("The server is being stopped.", retry_after=FULL_RETRY_SECONDS)
        if lookahead_ms is None:
            lookahead_ms = person.lookahead_ms
        elif lookahead_ms not in person.lookaheads_ms:
            raise UnknownLookahead(person.name, lookahead_ms, person.lookaheads_ms)
        if self.taken >= self.capacity or len(self._sessions) >= KEPT_PER_PLACE * self.capacity:
            raise ServerFull(self.of_places or self.capacity, self.limit)
        return lookahead_ms

    def _admit(self, person: PersonInfo, lookahead_ms: int | None) -> tuple[str, LiveSession]:
        lookahead_ms = self._require_place(person, lookahead_ms)
        identifier = self._prefix + secrets.token_urlsafe(18)
        session = LiveSession(
            self.engine,
            person,
            lookahead_ms=lookahead_ms,
            encoders=self._encoders,
            options=self._options,
            observer=self._metrics,
            on_end=lambda: self._end_soon(identifier),
            on_lost=lambda: self._suspend_soon(identifier),
            clock=self._clock,
        )
        if self.recorder is not None and self.recorder.every:
            session.record(self.recorder)
        view = self._prefix + secrets.token_urlsafe(18)
        silence = Silence(self._policy, self._clock())
        self._sessions[identifier] = _Entry(session, silence, view=view)
        self._views[view] = identifier
        return identifier, session

    async def close(self, identifier: str) -> None:
        """End a session and wait until nothing is left of it.

        Raises:
            NoSuchSession: there is none of that id.
        """
        entry = self._sessions.pop(identifier, None)
        if entry is None:
            raise NoSuchSession
        del self._views[entry.view]
        session = entry.session
        try:
            report = session.report()
            self._ended.update({name: getattr(report, name) for name in COUNTERS})
        finally:
            await session.aclose()

    def _end_soon(self, identifier: str) -> None:
        if identifier in self._sessions:
            self._keep(asyncio.create_task(self._close_if_there(identifier)))

    def _suspend_soon(self, identifier: str) -> None:
        """Its connection broke: the peer may come back with another one."""
        entry = self._sessions.get(identifier)
        if entry is not None and entry.session.state != "suspended":
            entry.silence.lost(entry.session.received_packets, self._clock())
            self._keep(asyncio.create_task(self._suspend(entry.session)))

    async def _suspend(self, session: LiveSession) -> None:
        self._metrics.sessions_suspended.inc()
        await session.suspend()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _close_if_there(self, identifier: str) -> None:
        with contextlib.suppress(NoSuchSession):
            await self.close(identifier)

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look_at_all()

    async def _look_at_all(self) -> None:
        """Apart from the loop, whose variables would hold the last session that was looked at."""
        now = self._clock()
        for identifier, entry in list(self._sessions.items()):
            if entry.resume.taken or entry.returning:
                continue  # it is being taken over, or comes back; its silence says nothing
            try:
                await self._look(identifier, entry, now)
            except NoSuchSession:
                continue
            except Exception:
                logger.exception("a session could not be looked after; it is ended")
                self._end_soon(identifier)

    async def _look(self, identifier: str, entry: _Entry, now: float) -> None:
        session = entry.session
        match entry.silence.look(session.state, session.received_packets, now):
            case "end":
                await self.close(identifier)
            case "suspend":
                await self._suspend(session)
            case "resume":
                if self.taken >= self.capacity:
                    await self.close(identifier)
                    return
                # Apart, as loading a person takes a while and other sessions are looked after here.
                entry.returning = True
                self._keep(asyncio.create_task(self._return(identifier, entry)))
            case "keep":
                pass

    async def _return(self, identifier: str, entry: _Entry) -> None:
        """Let a suspended session go on, whose peer is back; it ends where that cannot be."""
        try:
            await self.people.prepare(entry.session.person.name)
            await entry.session.resume()
        except EngineAway:
            pass  # it stays as it was and is looked at again
        except VisavisError as error:
            if not isinstance(error, NoSuchSession):
                logger.info("a session could not go on: %s", error)
            await self._close_if_there(identifier)
        finally:
            entry.returning = False

    async def aclose(self) -> None:
        """End all sessions and the pool; may be called again."""
        self.draining = True
        self._reaper.cancel()
        await asyncio.wait([self._reaper])
        await self.people.aclose()
        for identifier in list(self._sessions):
            self._end_soon(identifier)
        while self._ending:
            await asyncio.wait(self._ending)
        await self._looks.aclose()
        # Its threads have nothing left to do: every session waited for its own last frame.
        self._encoders.shutdown(wait=True)
