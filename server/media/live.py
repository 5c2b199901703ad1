"""One live session: the pump that moves sound to the engine and voice and face to the peer.

The pump is one task. It wakes for each step of the voice, takes what is due from the microphone,
pushes it to the engine, and hands voice and frames to the two tracks. Frames come from the
engine's thread, hop to the loop, and are compressed in a sized pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import TypeVar

from visavis.engines.client import EngineClient, EngineSession, Frame, PersonInfo
from visavis.engines.errors import EngineError
from visavis.server.config import IceServer
from visavis.server.errors import NoSuchSession, OfferError
from visavis.server.media.budget import BudgetControl
from visavis.server.media.encoder import Encoded, VideoEncoder, open_encoder
from visavis.server.media.face import TICK_SECONDS, FaceLine, Job
from visavis.server.media.opus import OpusDecoder, OpusEncoder
from visavis.server.media.peer import Peer, PeerNetwork
from visavis.server.media.receive import MicrophoneStream
from visavis.server.media.sdp import Fragment, parse_offer
from visavis.server.media.stats import MediaObserver, RunningMean, SessionReport
from visavis.server.media.transport import Transport, TransportEvents, VoiceEncoder
from visavis.server.media.voice import VoiceLine
from visavis.server.rate.plan import SendPlan

__all__ = ["AnyTransport", "LiveSession", "MediaOptions"]

logger = logging.getLogger(__name__)

AnyTransport = TypeVar("AnyTransport", bound=Transport)

STALL_SECONDS = 0.030
DRAIN_SECONDS = 0.010
VIDEO_PTS_PER_TICK = 3600
VOICE_PTS_PER_TICK = 1920


@dataclass(frozen=True, slots=True)
class MediaOptions:
    """What all sessions have in common."""

    budget_ms: float = 20.0
    ice_servers: Callable[[], Sequence[IceServer]] = tuple
    """Asked for each connection: passwords expire."""
    network: PeerNetwork = field(default_factory=PeerNetwork)


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
        self._encoders = encoders
        self._options = options
        self._observer = observer
        self._on_end = on_end
        self._on_lost = on_lost
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._created = clock()
        self._engine: EngineSession | None = None
        self._generation = 0  # of the session; the engine's own count begins anew with each place
        self._peer: Transport | None = None
        self._link = object()  # stands for the connection whose news count
        self._connected = False
        self._leaving: set[asyncio.Task[None]] = set()
        self._shed = (0, 0)  # frames and voice that earlier connections did not take
        self._resumes = 0
        self._pump: asyncio.Task[None] | None = None
        self._microphone = MicrophoneStream(OpusDecoder())
        self._voice_encoder: VoiceEncoder = OpusEncoder()
        self._encoder: VideoEncoder | None = None
        self._encode_future: asyncio.Future[Encoded] | None = None
        self._encode_ms = RunningMean()
        self._face = FaceLine()
        self._send_plan = SendPlan(person.width, person.height)
        self._voice: VoiceLine | None = None
        self._budget = BudgetControl(options.budget_ms / 1000)
        self._first_due = 0.0  # when the voice of frame 0 of the whole session left
        self._media_origin: float | None = None
        self._base_tick = 0  # the session's number of the engine session's frame 0
        self._frames_missing = 0
        self._stalls = 0
        self._last_tick = -1
        self._suspended = False
        self._closed = False

    # -- the connection ---------------------------------------------------------------------

    async def start(self, offer_text: str, *, loopback: bool, prefer_h264: bool) -> str:
        """Take a place in the engine and answer the offer.

        Raises:
            OfferError: the offer cannot be answered.
            EngineFull: there is no place; nothing was opened.
        """
        offer = parse_offer(offer_text)
        peer = self.connect(self._peer_for(loopback, prefer_h264))
        return await peer.answer(offer)

    def connect(self, open_transport: Callable[[TransportEvents], AnyTransport]) -> AnyTransport:
        """Take a place in the engine and let the session speak and listen over a transport.

        Raises:
            EngineFull: there is no place; nothing was opened.
        """
        self._open_engine()
        self._peer = transport = open_transport(self._events(self._link))
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
        link = object()
        peer = self._peer_for(loopback, prefer_h264)(self._events(link))
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
        link = object()
        transport = open_transport(self._events(link))
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

    def _events(self, link: object) -> TransportEvents:
        """What a connection has to say, as long as it is the session's present one."""

        def counts() -> bool:
            return link is self._link

        def packet(sequence: int, timestamp: int, payload: bytes, redundant: bool = False) -> None:
            if counts():
                self._microphone_packet(sequence, timestamp, payload, redundant)

        return TransportEvents(
            packet=packet,
            key_frame=lambda: self._face.want_key_frame() if counts() else None,
            state=lambda state: self._peer_state(state) if counts() else None,
            clear=lambda: self.clear() if counts() else None,
            estimate=lambda bits: self._send_plan.remb(bits, self._clock()) if counts() else None,
            report=lambda report: (
                self._send_plan.report(report, self._clock()) if counts() else None
            ),
        )

    def _listen(self, transport: Transport) -> None:
        self._microphone.restart(transport.decoder or OpusDecoder())
        self._voice_encoder = transport.voice_encoder or OpusEncoder()

    async def _change_over(self, transport: Transport, link: object) -> None:
        """Leave the old connection for another one; the engine's place is kept or taken again."""
        if self._suspended:
            self._open_engine()
            self._suspended = False
        self._link = link
        self._connected = False
        with contextlib.suppress(Exception):
            while self._encode_future is not None and not self._encode_future.done():
                await asyncio.wait([self._encode_future])
        if self._closed or self._link is not link:
            raise NoSuchSession
        old, self._peer = self._peer, transport
        if old is not None:
            self._shed = (self._shed[0] + old.shed_frames, self._shed[1] + old.shed_voice)
            if old.video_mime_type != transport.video_mime_type:
                self._encoder = None
            leaving = asyncio.create_task(old.aclose())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        self._listen(transport)
        self._face.restart()
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
            self._face.clear(self._generation)
            if self._peer is not None:
                self._peer.clear(self._generation)
        if self._voice is not None:
            self._voice.clear()

    async def suspend(self) -> None:
        """Give the engine's place back while the peer is silent."""
        if self._suspended or self._closed:
            return
        self._suspended = True
        await self._stop_pump()
        self._close_engine()

    def resume(self) -> None:
        """The peer is back: take a place again and go on.

        Raises:
            EngineFull: the place is taken by now.
        """
        if not self._suspended or self._closed or not self._connected:
            return
        self._open_engine()
        self._suspended = False
        self._face.restart()
        self._last_tick = -1
        self._start_pump()

    async def aclose(self) -> None:
        """End everything and wait for it; may be called again."""
        self._closed = True
        await self._stop_pump()
        self._close_engine()
        if self._peer is not None:
            await self._peer.aclose()
        if self._leaving:
            await asyncio.wait(self._leaving)
        if self._encode_future is not None:
            with contextlib.suppress(Exception):
                await self._encode_future

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

    def _open_engine(self) -> None:
        sessions: list[EngineSession] = []
        before = self._generation

        def on_frame(frame: Frame) -> None:
            # The loop may be gone when the engine finishes its last frame.
            with contextlib.suppress(RuntimeError):
                count = before + frame.generation
                self._loop.call_soon_threadsafe(
                    self._frame, sessions, replace(frame, generation=count)
                )

        def on_error(error: EngineError) -> None:
            logger.error("a session's engine failed: %s", error)
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._on_end)

        self._engine = self._engine_client.open(
            self.person.name, on_frame, lookahead_ms=self._lookahead_ms, on_error=on_error
        )
        sessions.append(self._engine)

    def _close_engine(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _frame(self, sessions: list[EngineSession], frame: Frame) -> None:
        voice = self._voice
        if voice is None or not sessions or sessions[0] is not self._engine:
            return
        now = self._clock()
        due = voice.due(2 * frame.index)
        tick = frame.index + self._base_tick
        if self._face.offer(replace(frame, index=tick), due=due, now=now):
            self._encode_next(now)
        else:
            self._budget.ready(now - due)
            self._observer.frame_ready((now - due) * 1000)

    # -- the pump ---------------------------------------------------------------------------

    def _start_pump(self) -> None:
        now = self._clock()
        if self._media_origin is None:
            self._media_origin = now
        # Media time goes on through a suspension, in whole ticks.
        self._base_tick = -int(-(now - self._media_origin) // TICK_SECONDS)
        self._voice = VoiceLine(
            self._microphone,
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
            if self._connected:
                peer.send_voice(self._voice_encoder.encode(step.pcm), base + step.pts)
        self._send_frames(now)
        change = self._budget.plan(now)
        if change:
            voice.delay_more(change)

    def _microphone_packet(
        self, sequence: int, timestamp: int, payload: bytes, redundant: bool = False
    ) -> None:
        now = self._clock()
        self._microphone.add(sequence, timestamp, payload, now=now, redundant=redundant)

    # -- the picture ------------------------------------------------------------------------

    def _due_of_first(self, voice: VoiceLine) -> float:
        return voice.due(0) - self._base_tick * TICK_SECONDS

    def _encode_next(self, now: float) -> None:
        if self._voice is None or self._peer is None or not self._connected:
            return
        if not self._peer.takes_face(self._face.ready):
            return
        job = self._face.next_job(due_of_first=self._due_of_first(self._voice), now=now)
        if job is not None:
            rate, size = self._send_plan.ask(now)
            future = self._loop.run_in_executor(self._encoders, self._encode, job, rate, size)
            self._encode_future = future
            future.add_done_callback(self._encoded)

    def _encode(self, job: Job, rate: int, size: tuple[int, int]) -> Encoded:
        """In the pool; a session has one job there at a time."""
        if self._encoder is None:
            assert self._peer is not None
            self._encoder = open_encoder(
                self._peer.video_mime_type, self.person.width, self.person.height
            )
        return self._encoder.encode(job.index, job.i420, key=job.key, bit_rate=rate, size=size)

    def _encoded(self, future: asyncio.Future[Encoded]) -> None:
        if future.cancelled() or future.exception() is not None:
            self._face.encoded(None)
            if not future.cancelled():
                logger.error("a frame could not be encoded", exc_info=future.exception())
            return
        result = future.result()
        self._face.encoded(result)
        self._encode_ms.add(result.cpu_ms)
        self._observer.frame_encoded(result.cpu_ms)
        if self._voice is None or self._closed:
            return
        now = self._clock()
        late = now - self._due_of_first(self._voice) - result.index * TICK_SECONDS
        self._budget.ready(late)
        self._observer.frame_ready(late * 1000)
        self._send_frames(now)
        self._encode_next(now)

    def _send_frames(self, now: float) -> None:
        voice, peer = self._voice, self._peer
        if voice is None or peer is None or not self._connected:
            return
        first = self._due_of_first(voice)
        for encoded in self._face.send(due_of_first=first, now=now):
            if self._last_tick >= 0:
                self._frames_missing += encoded.index - self._last_tick - 1
            self._last_tick = encoded.index
            self._send_plan.sent(len(encoded.data), now, key=encoded.key)
            if not peer.send_face(encoded, encoded.index * VIDEO_PTS_PER_TICK):
                self._face.want_key_frame()

    # -- what it says about itself ----------------------------------------------------------

    def report(self) -> SessionReport:
        """The session's numbers now."""
        peer = self._peer
        depth = self._microphone.depth_seconds * 1000
        budget = self._budget.seconds * 1000
        engine = None if self._engine is None else self._engine.stats()
        trip = None if peer is None else peer.round_trip_ms
        width, height = self._send_plan.size
        drift = self._microphone.drift_ppm
        return SessionReport(
            state=self.state,
            path="none" if peer is None else peer.path,
            uptime_s=round(self._clock() - self._created, 3),
            resumes=self._resumes,
            frames_sent=self._face.sent,
            frames_skipped=self._frames_missing,
            frames_shed=self._shed[0] + (0 if peer is None else peer.shed_frames),
            voice_shed_ms=20.0 * (self._shed[1] + (0 if peer is None else peer.shed_voice)),
            frames_distinct=self._face.distinct,
            receive_depth_ms=round(depth, 2),
            lookahead_ms=self._lookahead_ms,
            budget_ms=round(budget, 2),
            render_ms=0.0 if engine is None else round(engine.engine_ms_p50, 2),
            encode_ms=round(self._encode_ms.value, 2),
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
            target_bps=self._send_plan.target,
            estimate_bps=self._send_plan.estimate,
            frame_width=width,
            frame_height=height,
            size_changes=self._send_plan.size_changes,
            key_frames=self._send_plan.key_frames,
            key_frame_requests=self._face.key_frame_requests,
        )
