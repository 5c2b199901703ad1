"""One live session: the pump that moves sound to the engine and voice and face to the peer.

The pump is one task. It wakes for each step of the voice, takes what is due from the microphone,
pushes it to the engine, and hands voice and frames to the two tracks. Frames come from the
engine's thread and hop to the loop; the face sender compresses them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import EngineClient, EngineSession, Frame, PersonInfo
from visavis.engines.errors import EngineError
from visavis.server.config import IceServer
from visavis.server.errors import NoSuchSession, OfferError, RequestError
from visavis.server.look.look import Look
from visavis.server.look.looks import Looks
from visavis.server.look.session_look import SessionLook
from visavis.server.media.budget import BudgetControl
from visavis.server.media.choices import Choices, no_place
from visavis.server.media.encoder import OpenEncoder, open_encoder
from visavis.server.media.face import TICK_SECONDS
from visavis.server.media.face_sender import FaceSender, Outlet
from visavis.server.media.one_way import Publisher
from visavis.server.media.opus import OpusDecoder, OpusEncoder
from visavis.server.media.peer import Peer, PeerNetwork
from visavis.server.media.phase import next_in_phase
from visavis.server.media.receive import MicrophoneStream
from visavis.server.media.sdp import Fragment, parse_offer, parse_published
from visavis.server.media.stats import MediaObserver, SessionReport
from visavis.server.media.transport import Transport, TransportEvents, VoiceEncoder
from visavis.server.media.viewers import ViewerPlaces, Viewers
from visavis.server.media.voice import VoiceLine
from visavis.server.rate.controller import Report
from visavis.server.recording.recorder import Recorder
from visavis.server.recording.recording import Recording
from visavis.server.speech.stream import SpeechStream

__all__ = ["AnyTransport", "LiveSession", "MediaOptions"]

logger = logging.getLogger(__name__)

AnyTransport = TypeVar("AnyTransport", bound=Transport)

STALL_SECONDS = 0.030
DRAIN_SECONDS = 0.010
VOICE_PTS_PER_TICK = 1920


@dataclass(frozen=True, slots=True)
class MediaOptions:
    """What all sessions have in common."""

    budget_ms: float = 20.0
    ice_servers: Callable[[], Sequence[IceServer]] = tuple
    """Asked for each connection: passwords expire."""
    network: PeerNetwork = field(default_factory=PeerNetwork)
    open_encoder: OpenEncoder = open_encoder
    viewers: ViewerPlaces = field(default_factory=ViewerPlaces)
    looks: Looks = field(default_factory=Looks)
    connect_seconds: float = 15.0
    """A viewer that is not connected after so long is sent away."""


class _Line:
    """Leads to a session until it is cut.

    Connections and engines hold it and not the session: they have threads, tasks and rings of
    their own, which would keep a session that has ended, and with it codecs of some MB.
    """

    def __init__(self, session: LiveSession | None = None) -> None:
        self.session = session


class _Link(_Line):
    """A connection's line; cut when another connection takes its place, or at the end."""

    def packet(
        self, sequence: int, timestamp: int, payload: bytes, redundant: bool = False
    ) -> None:
        if self.session is not None:
            self.session._microphone_packet(sequence, timestamp, payload, redundant)

    def key_frame(self) -> None:
        if self.session is not None:
            self.session._face.line.want_key_frame()

    def state(self, state: str) -> None:
        if self.session is not None:
            self.session._peer_state(state)

    def clear(self) -> None:
        if self.session is not None:
            self.session.clear()

    def control(self, changes: dict[str, Any], answer: Callable[[dict[str, Any]], None]) -> None:
        if self.session is not None:
            self.session._choices.ask(changes, answer)

    def estimate(self, bits_per_second: int) -> None:
        if self.session is not None:
            self.session._face.plan.remb(bits_per_second, self.session._clock())

    def report(self, report: Report) -> None:
        if self.session is not None:
            self.session._face.plan.report(report, self.session._clock())

    def events(self) -> TransportEvents:
        """What a connection has to say, as long as it is the session's present one."""
        return TransportEvents(
            packet=self.packet,
            key_frame=self.key_frame,
            state=self.state,
            clear=self.clear,
            control=self.control,
            estimate=self.estimate,
            report=self.report,
        )


def _give_back(opening: asyncio.Task[EngineSession]) -> None:
    """Nobody waits for this place any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class LiveSession:
    """From an offer to the end of a connection.

    Args:
        engine: where frames come from.
        person: who speaks.
        lookahead_ms: one that the person offers.
        encoders: the pool that compresses frames.
        options: what all sessions have in common.
        observer: who keeps the histograms.
        on_end: called on the loop when the peer has said goodbye, or was never there.
        on_lost: called on the loop when a connection that stood has broken.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        engine: EngineClient,
        person: PersonInfo,
        *,
        lookahead_ms: int,
        encoders: Executor,
        options: MediaOptions,
        observer: MediaObserver,
        on_end: Callable[[], None],
        on_lost: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.person = person
        self._lookahead_ms = lookahead_ms
        self._engine_client = engine
        self._options = options
        self._on_end = on_end
        self._on_lost = on_lost
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._created = clock()
        self._engine: EngineSession | None = None
        self._place = _Line()
        self._generation = 0  # of the session; the engine's own count begins anew with each place
        self._peer: Transport | None = None
        self._link = _Link()
        self._connected = False
        self._leaving: set[asyncio.Task[None]] = set()
        self._shed = (0, 0)  # frames and voice that earlier connections did not take
        self._resumes = 0
        self._pump: asyncio.Task[None] | None = None
        self._microphone = MicrophoneStream(OpusDecoder())
        self._speech: SpeechStream | None = None
        self._voice_encoder: VoiceEncoder = OpusEncoder()
        self._voice: VoiceLine | None = None
        self._budget = BudgetControl(options.budget_ms / 1000)
        look = SessionLook(person, options.looks, lambda: engine.plate(person.name))
        self._look = look.look
        self._face = FaceSender(
            look.look,
            encoders=encoders,
            open_encoder=options.open_encoder,
            outlet=self._outlet,
            relay=lambda encoded, pts: viewers.send_face(encoded, pts),
            budget=self._budget,
            observer=observer,
            clock=clock,
        )
        viewers = self.viewers = Viewers(
            places=options.viewers,
            ice_servers=options.ice_servers,
            network=options.network,
            want_key_frame=self._face.line.want_key_frame,
            on_first=self._first_viewer,
            connect_seconds=options.connect_seconds,
            clock=clock,
        )
        self._viewers_voice: OpusEncoder | None = None
        self._media_origin: float | None = None
        self._base_tick = 0  # the session's number of the engine session's frame 0
        self._stalls = 0
        self._suspended = False
        self._closed = False
        self._choices = Choices(self._place_taken, look, self._show)
        self.recording: Recording | None = None
        """The session's recording, or its last one."""

    # -- the connection ---------------------------------------------------------------------

    async def start(
        self, offer_text: str, *, loopback: bool, prefer_h264: bool, publish: bool = False
    ) -> str:
        """Take a place in the engine and answer the offer.

        `publish` says that the peer only speaks, and that the face is for viewers alone.

        Raises:
            OfferError: the offer cannot be answered.
            EngineFull: there is no place; nothing was opened.
        """
        offer = parse_published(offer_text) if publish else parse_offer(offer_text)
        open_peer = self._publisher_for if publish else self._peer_for
        peer = await self.connect(open_peer(loopback, prefer_h264))
        return await peer.answer(offer)

    async def watch(self, offer_text: str, *, loopback: bool) -> tuple[str, str]:
        """Answer a viewer; returns its id among the session's viewers and the SDP answer.

        Raises:
            OfferError, Unavailable: as for :meth:`Viewers.add`.
            NoSuchSession: the session has ended, or is not open yet.
        """
        if self._peer is None:
            raise NoSuchSession
        return await self.viewers.add(
            offer_text, loopback=loopback, mime_type=self._peer.video_mime_type
        )

    async def connect(
        self, open_transport: Callable[[TransportEvents], AnyTransport]
    ) -> AnyTransport:
        """Take a place in the engine and let the session speak and listen over a transport.

        Raises:
            EngineFull: there is no place; nothing was opened.
            NoSuchSession: it ended meanwhile.
        """
        await self._open_engine()
        self._link.session = self
        self._peer = transport = open_transport(self._link.events())
        self._listen(transport)
        return transport

    async def restart(self, offer_text: str, *, loopback: bool, prefer_h264: bool) -> str:
        """Answer another offer of the same peer and go on over the new connection.

        Raises:
            OfferError: the offer cannot be answered; the session is as it was.
            EngineFull: the session was suspended and its place is taken; it stays suspended.
            NoSuchSession: it ended meanwhile.
        """
        offer = parse_offer(offer_text)
        link = _Link()
        peer = self._peer_for(loopback, prefer_h264)(link.events())
        try:
            answer = await peer.answer(offer)
            await self._change_over(peer, link)
        except BaseException:
            await peer.aclose()
            raise
        return answer

    async def reconnect(
        self, open_transport: Callable[[TransportEvents], AnyTransport]
    ) -> AnyTransport:
        """Go on over another transport, whose peer is connected already.

        Raises:
            EngineFull, NoSuchSession: as for :meth:`restart`.
        """
        link = _Link()
        transport = open_transport(link.events())
        await self._change_over(transport, link)
        return transport

    def _peer_for(self, loopback: bool, prefer_h264: bool) -> Callable[[TransportEvents], Peer]:
        return lambda events: Peer(
            ice_servers=self._options.ice_servers(),
            network=self._options.network,
            loopback=loopback,
            prefer_h264=prefer_h264,
            events=events,
        )

    def _publisher_for(
        self, loopback: bool, prefer_h264: bool
    ) -> Callable[[TransportEvents], Peer]:
        viewers = self.viewers
        return lambda events: Publisher(
            ice_servers=self._options.ice_servers(),
            network=self._options.network,
            loopback=loopback,
            events=events,
            watched=lambda: viewers.watching,
            video_mime_type="video/H264" if prefer_h264 else "video/VP8",
        )

    def _first_viewer(self) -> None:
        """Nothing may have been compressed for a while, which is not missed."""
        if isinstance(self._peer, Publisher):
            self._face.pause_over()

    def _listen(self, transport: Transport) -> None:
        self._microphone.restart(transport.decoder or OpusDecoder())
        self._speech = transport.speech
        if self._voice is not None:
            first = self._voice.listen(self._speech or self._microphone)
            if self._speech is not None:
                self._speech.begin(first)
        self._voice_encoder = transport.voice_encoder or OpusEncoder()

    async def _change_over(self, transport: Transport, link: _Link) -> None:
        """Leave the old connection for another one; the engine's place is kept or taken again."""
        if self._suspended:
            await self._open_engine()
            self._suspended = False
        self._link.session, link.session = None, self
        self._link = link
        self._connected = False
        await self._face.settle()
        if self._closed or self._link is not link:
            raise NoSuchSession
        old, self._peer = self._peer, transport
        if old is not None:
            self._shed = (self._shed[0] + old.shed_frames, self._shed[1] + old.shed_voice)
            if old.video_mime_type != transport.video_mime_type:
                self._face.change_codec()
                self.viewers.leave_all()
            leaving = asyncio.create_task(old.aclose())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        self._listen(transport)
        self._face.line.restart()
        self._resumes += 1

    async def trickle(self, fragment: Fragment) -> None:
        """Add the peer's further candidates.

        Raises:
            OfferError: there are none in such a session, or they cannot be used.
        """
        if not isinstance(self._peer, Peer):
            raise OfferError("This session has no candidates; it is not a WebRTC session.")
        await self._peer.trickle(fragment)

    @property
    def state(self) -> str:
        """``connecting``, ``live``, ``suspended`` or ``closed``."""
        if self._closed:
            return "closed"
        if self._suspended:
            return "suspended"
        return "connecting" if self._pump is None else "live"

    @property
    def received_packets(self) -> int:
        """Grows as long as the peer is there."""
        return 0 if self._peer is None else self._peer.received_packets

    def uses(self, transport: Transport) -> bool:
        """Whether that is the session's present connection."""
        return self._peer is transport

    def clear(self) -> None:
        """Barge-in: what waits to be said and shown is dropped; media time goes on."""
        if self._engine is not None:
            self._engine.clear()
            self._generation += 1
            self._face.line.clear(self._generation)
            if self._peer is not None:
                self._peer.clear(self._generation)
            if self.recording is not None:
                self.recording.clear(self._generation)
        if self._voice is not None:
            self._voice.clear()
        if self._speech is not None:
            self._speech.clear()

    async def control(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Choose how the person is shown: see `engines.client.EngineSession.control`, and
        `server.look.choice` for `background` and `framing`.

        Raises:
            ControlError: the person does not offer it; everything stays as it was.
            EngineAway: the engine is away.
            NoSuchSession: the session has ended.
            RequestError: it is suspended, and has no place in the engine.
        """
        return await self._choices.change(changes)

    async def take_picture(self, data: bytes) -> None:
        """Keep a picture to stand before; see `Choices.take_picture`."""
        if self._closed:
            raise NoSuchSession
        await self._choices.take_picture(data)

    def _show(self, look: Look) -> None:
        self._look = look
        self._face.show(look)

    def record(self, recorder: Recorder) -> Recording:
        """Begin a recording of what is shown and said from now on; it ends with the session.

        Raises:
            NoSuchSession: the session has ended.
            RequestError: 409, one runs already.
        """
        if self._closed:
            raise NoSuchSession
        if self.recording is not None and self.recording.running:
            raise RequestError("This session is being recorded already.", status=409)
        self.recording = recorder.begin(self.person)
        if self._generation:
            self.recording.clear(self._generation)
        return self.recording

    def _place_taken(self) -> EngineSession:
        if self._closed:
            raise NoSuchSession
        if self._engine is None:
            raise no_place()
        return self._engine

    async def suspend(self) -> None:
        """Give the engine's place back while the peer is silent."""
        if self._suspended or self._closed:
            return
        self._suspended = True
        await self._stop_pump()
        self._close_engine()

    async def resume(self) -> None:
        """The peer is back: take a place again and go on.

        Raises:
            EngineFull: the place is taken by now.
            NoSuchSession: it ended meanwhile.
        """
        if not self._suspended or self._closed or not self._connected:
            return
        await self._open_engine()
        self._suspended = False
        self._face.pause_over()
        self._start_pump()

    async def aclose(self) -> None:
        """End everything and wait for it; may be called again."""
        self._closed = True
        await self._stop_pump()
        await self._choices.aclose()
        self._close_engine()
        if self.recording is not None:
            await self.recording.stop()
        if self._peer is not None:
            await self._peer.aclose()
        await self.viewers.aclose()
        if self._leaving:
            await asyncio.wait(self._leaving)
        await self._face.aclose()
        self._link.session = None

    def _peer_state(self, state: str) -> None:
        if self._closed:
            return
        if state == "connected":
            self._connected = True
            if self._pump is None and not self._suspended:
                self._start_pump()
        elif self._suspended and self._peer is not None and self._peer.path == "webrtc":
            # ICE gives up after half a minute of silence, and aiortc then closes as for a goodbye.
            # The peer may still come back over another connection.
            self._connected = False
        elif state == "failed" and (self._connected or self._resumes):
            self._connected = False
            self._on_lost()
        elif state in ("failed", "closed"):
            self._on_end()

    # -- the engine -------------------------------------------------------------------------

    async def _open_engine(self) -> None:
        """Take a place. An engine in another process must be asked, so it is done in a thread."""
        place = self._place = _Line(self)
        loop = self._loop
        before = self._generation

        def deliver(frame: Frame) -> None:
            if place.session is not None:
                place.session._frame(frame)

        def end() -> None:
            if place.session is not None:
                place.session._on_end()

        def on_frame(frame: Frame) -> None:
            # The loop may be gone when the engine finishes its last frame.
            with contextlib.suppress(RuntimeError):
                count = before + frame.generation
                loop.call_soon_threadsafe(deliver, replace(frame, generation=count))

        def on_error(error: EngineError) -> None:
            logger.error("a session's engine failed: %s", error)
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(end)

        choose_again = self._choices.again()

        def take_place() -> EngineSession:
            session = self._engine_client.open(
                self.person.name, on_frame, lookahead_ms=self._lookahead_ms, on_error=on_error
            )
            try:
                choose_again(session)
            except BaseException:
                session.close()
                raise
            return session

        opening = asyncio.create_task(asyncio.to_thread(take_place))
        try:
            engine = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_give_back)  # a thread cannot be cancelled
            raise
        if self._closed or self._engine is not None:
            place.session = None
            engine.close()
            raise NoSuchSession
        self._engine = engine

    def _close_engine(self) -> None:
        if self._engine is not None:
            self._place.session = None
            self._engine.close()
            self._engine = None

    def _frame(self, frame: Frame) -> None:
        voice = self._voice
        if voice is None:
            return
        tick = frame.index + self._base_tick
        if self.recording is not None:
            self.recording.frame(tick, frame, self._look)
        self._face.offer(replace(frame, index=tick), due=voice.due(2 * frame.index))

    # -- the pump ---------------------------------------------------------------------------

    def _start_pump(self) -> None:
        assert self._engine is not None
        now = next_in_phase(self._clock(), self._engine.phase, self._lookahead_ms)
        if self._media_origin is None:
            self._media_origin = now
        # Media time goes on through a suspension, in whole ticks.
        self._base_tick = -int(-(now - self._media_origin) // TICK_SECONDS)
        if self._speech is not None:
            self._speech.begin(0)
        self._voice = VoiceLine(
            self._speech or self._microphone,
            origin=now,
            lookahead_ms=self._lookahead_ms,
            budget_ms=self._budget.seconds * 1000,
        )
        self._pump = asyncio.create_task(self._run(self._voice))
        self._pump.add_done_callback(self._pump_ended)

    async def _stop_pump(self) -> None:
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.wait([pump])
        self._voice = None

    def _pump_ended(self, pump: asyncio.Task[None]) -> None:
        if not pump.cancelled() and pump.exception() is not None:
            logger.error("a session's pump failed", exc_info=pump.exception())
            self._on_end()

    async def _run(self, voice: VoiceLine) -> None:
        while True:
            await asyncio.sleep(max(0.0, voice.next_due - self._clock()))
            if self._clock() - voice.next_due > STALL_SECONDS:
                # The loop stood still. What came meanwhile is still in the sockets: read it first,
                # or it would be taken for lost.
                self._microphone.stalled(self._clock() + 2 * DRAIN_SECONDS)
                self._stalls += 1
                await asyncio.sleep(DRAIN_SECONDS)
            self._step(voice, self._clock())

    def _step(self, voice: VoiceLine, now: float) -> None:
        engine, peer = self._engine, self._peer
        if engine is None or peer is None:
            return
        pcm = voice.pull(now)
        if len(pcm):
            engine.push(pcm)
        base = self._base_tick * VOICE_PTS_PER_TICK
        for step in voice.send(now):
            if self.recording is not None:
                self.recording.voice(base + step.pts, step.pcm)
            if self._connected:
                packet = self._voice_encoder.encode(step.pcm)
                peer.send_voice(packet, base + step.pts)
                if self.viewers.watching:
                    self.viewers.send_voice(self._for_viewers(packet, step.pcm), base + step.pts)
            if self._speech is not None:
                self._speech.sent(step.index)
        self._face.send(now)
        change = self._budget.plan(now)
        if change:
            voice.delay_more(change)

    def _for_viewers(self, packet: bytes, pcm: NDArray[np.float32]) -> bytes:
        """The voice as Opus, where the speaker's own connection has it in another form."""
        if isinstance(self._voice_encoder, OpusEncoder):
            return packet
        if self._viewers_voice is None:
            self._viewers_voice = OpusEncoder()
        return self._viewers_voice.encode(pcm)

    def _microphone_packet(
        self, sequence: int, timestamp: int, payload: bytes, redundant: bool = False
    ) -> None:
        now = self._clock()
        self._microphone.add(sequence, timestamp, payload, now=now, redundant=redundant)

    def _outlet(self) -> Outlet | None:
        """Where the picture may leave now."""
        voice, peer = self._voice, self._peer
        if voice is None or peer is None or not self._connected or self._closed:
            return None
        return Outlet(peer, voice.due(0) - self._base_tick * TICK_SECONDS)

    # -- what it says about itself ----------------------------------------------------------

    def report(self) -> SessionReport:
        """The session's numbers now."""
        peer = self._peer
        depth = self._microphone.depth_seconds * 1000
        budget = self._budget.seconds * 1000
        engine = None if self._engine is None else self._engine.stats()
        trip = None if peer is None else peer.round_trip_ms
        face = self._face
        width, height = face.plan.size
        drift = self._microphone.drift_ppm
        return SessionReport(
            state=self.state,
            path="none" if peer is None else peer.path,
            uptime_s=round(self._clock() - self._created, 3),
            resumes=self._resumes,
            frames_sent=face.line.sent,
            frames_skipped=face.missing,
            frames_shed=self._shed[0] + (0 if peer is None else peer.shed_frames),
            voice_shed_ms=20.0 * (self._shed[1] + (0 if peer is None else peer.shed_voice)),
            frames_distinct=face.line.distinct,
            receive_depth_ms=round(depth, 2),
            lookahead_ms=self._lookahead_ms,
            budget_ms=round(budget, 2),
            pace_fps=0.0 if self._engine is None else round(self._engine.pace, 2),
            render_ms=0.0 if engine is None else round(engine.engine_ms_p50, 2),
            encode_ms=round(face.encode_ms, 2),
            server_delay_ms=round(depth + self._lookahead_ms - 20 + budget, 2),
            concealed_ms=round(self._microphone.concealed_samples / 48, 1),
            skipped_audio_ms=round(self._microphone.skipped_samples / 48, 1),
            packets_lost=self._microphone.lost,
            round_trip_ms=None if trip is None else round(trip, 2),
            depth_target_ms=round(self._microphone.target_seconds * 1000, 2),
            drift_ppm=None if drift is None else round(drift, 1),
            audio_skips=self._microphone.skips,
            audio_cuts=self._microphone.cuts,
            packets_recovered=self._microphone.recovered,
            stalls=self._stalls,
            voice_steps_skipped=0 if self._voice is None else self._voice.skipped_steps,
            target_bps=face.plan.target,
            estimate_bps=face.plan.estimate,
            frame_width=width,
            frame_height=height,
            size_changes=face.plan.size_changes,
            key_frames=face.plan.key_frames,
            key_frame_requests=face.line.key_frame_requests,
        )
