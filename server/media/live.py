"""One live session: its connection, its place in the engine, and the pump between the two.

While a peer is connected and a place is taken, the pump runs (`pump`). Frames come from the place
(`place`), are painted and compressed by the face sender (`face_sender`) and leave beside the voice
(`voice_sender`); viewers and a recording get the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, TypeVar

from visavis.engines.client import EngineClient, EngineSession, Frame, PersonInfo
from visavis.server.errors import NoSuchSession, OfferError, RequestError
from visavis.server.look.look import Look
from visavis.server.look.session_look import SessionLook
from visavis.server.media.budget import BudgetControl
from visavis.server.media.choices import Choices, no_place
from visavis.server.media.face import TICK_SECONDS
from visavis.server.media.face_sender import FaceSender, Outlet
from visavis.server.media.link import Link
from visavis.server.media.one_way import Publisher
from visavis.server.media.options import MediaOptions
from visavis.server.media.opus import OpusDecoder
from visavis.server.media.peer import Peer
from visavis.server.media.phase import next_in_phase
from visavis.server.media.place import EnginePlace
from visavis.server.media.pump import Pump
from visavis.server.media.receive import MicrophoneStream
from visavis.server.media.sdp import Fragment, parse_offer, parse_published
from visavis.server.media.stats import MediaObserver, SessionReport
from visavis.server.media.transport import Transport, TransportEvents
from visavis.server.media.viewers import Viewers
from visavis.server.media.voice import VoiceLine, VoiceStep
from visavis.server.media.voice_sender import VoiceSender
from visavis.server.recording.recorder import Recorder
from visavis.server.recording.recording import Recording
from visavis.server.speech.stream import SpeechStream

__all__ = ["AnyTransport", "LiveSession"]

AnyTransport = TypeVar("AnyTransport", bound=Transport)

VOICE_PTS_PER_TICK = 1920


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
        self._options = options
        self._on_end = on_end
        self._on_lost = on_lost
        self._clock = clock
        self._created = clock()
        self._peer: Transport | None = None
        self._link = Link()
        self._connected = False
        self._leaving: set[asyncio.Task[None]] = set()
        self._shed = (0, 0)  # frames and voice that earlier connections did not take
        self._resumes = 0
        self._pump: Pump | None = None
        self._microphone = MicrophoneStream(OpusDecoder())
        self._speech: SpeechStream | None = None
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
        self._voice_sender = VoiceSender(viewers)
        self._media_origin: float | None = None
        self._stalls = 0  # of the loop, under pumps that were stopped
        self._suspended = False
        self._closed = False
        self._choices = Choices(self._place_taken, look, self._show)
        self._place = EnginePlace(
            engine,
            person.name,
            lookahead_ms,
            on_frame=self._frame,
            on_end=on_end,
            choose_again=self._choices.again,
        )
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
        await self._place.take()
        self._link.join(self._hear())
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
        link = Link()
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
        link = Link()
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
        if self._pump is not None:
            first = self._pump.voice.listen(self._speech or self._microphone)
            if self._speech is not None:
                self._speech.begin(first)
        self._voice_sender.change_over(transport)

    def _hear(self) -> TransportEvents:
        """What the present connection says."""
        plan, clock = self._face.plan, self._clock
        return TransportEvents(
            packet=self._microphone_packet,
            key_frame=self._face.line.want_key_frame,
            state=self._peer_state,
            clear=self.clear,
            control=self._choices.ask,
            estimate=lambda bits_per_second: plan.remb(bits_per_second, clock()),
            report=lambda report: plan.report(report, clock()),
        )

    async def _change_over(self, transport: Transport, link: Link) -> None:
        """Leave the old connection for another one; the engine's place is kept or taken again."""
        if self._suspended:
            await self._place.take()
            self._suspended = False
        self._link.cut()
        link.join(self._hear())
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
        place = self._place
        if place.session is not None:
            place.clear()
            self._face.line.clear(place.generation)
            if self._peer is not None:
                self._peer.clear(place.generation)
            if self.recording is not None:
                self.recording.clear(place.generation)
        if self._pump is not None:
            self._pump.voice.clear()
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
        if self._place.generation:
            self.recording.clear(self._place.generation)
        return self.recording

    def _place_taken(self) -> EngineSession:
        if self._closed:
            raise NoSuchSession
        if self._place.session is None:
            raise no_place()
        return self._place.session

    async def suspend(self) -> None:
        """Give the engine's place back while the peer is silent."""
        if self._suspended or self._closed:
            return
        self._suspended = True
        await self._stop_pump()
        self._place.give_back()

    async def resume(self) -> None:
        """The peer is back: take a place again and go on.

        Raises:
            EngineFull: the place is taken by now.
            NoSuchSession: it ended meanwhile.
        """
        if not self._suspended or self._closed or not self._connected:
            return
        await self._place.take()
        self._suspended = False
        self._face.pause_over()
        self._start_pump()

    async def aclose(self) -> None:
        """End everything and wait for it; may be called again."""
        self._closed = True
        await self._stop_pump()
        await self._choices.aclose()
        self._place.close()
        if self.recording is not None:
            await self.recording.stop()
        if self._peer is not None:
            await self._peer.aclose()
        await self.viewers.aclose()
        if self._leaving:
            await asyncio.wait(self._leaving)
        await self._face.aclose()
        self._link.cut()

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

    # -- sound and pictures -----------------------------------------------------------------

    def _start_pump(self) -> None:
        engine = self._place.session
        assert engine is not None
        now = next_in_phase(self._clock(), engine.phase, self._lookahead_ms)
        if self._media_origin is None:
            self._media_origin = now
        if self._speech is not None:
            self._speech.begin(0)
        voice = VoiceLine(
            self._speech or self._microphone,
            origin=now,
            lookahead_ms=self._lookahead_ms,
            budget_ms=self._budget.seconds * 1000,
        )
        self._pump = Pump(
            voice,
            # Media time goes on through a suspension, in whole ticks.
            base_tick=-int(-(now - self._media_origin) // TICK_SECONDS),
            engine=engine,
            microphone=self._microphone,
            face=self._face,
            budget=self._budget,
            send_voice=self._send_voice,
            on_failed=self._on_end,
            clock=self._clock,
        )

    async def _stop_pump(self) -> None:
        pump, self._pump = self._pump, None
        if pump is not None:
            await pump.stop()
            self._stalls += pump.stalls

    def _microphone_packet(
        self, sequence: int, timestamp: int, payload: bytes, redundant: bool = False
    ) -> None:
        now = self._clock()
        self._microphone.add(sequence, timestamp, payload, now=now, redundant=redundant)

    def _send_voice(self, step: VoiceStep) -> None:
        if self._pump is None or self._peer is None:
            return
        pts = self._pump.base_tick * VOICE_PTS_PER_TICK + step.pts
        if self.recording is not None:
            self.recording.voice(pts, step.pcm)
        if self._connected:
            self._voice_sender.send(self._peer, step.pcm, pts)
        if self._speech is not None:
            self._speech.sent(step.index)

    def _frame(self, frame: Frame) -> None:
        pump = self._pump
        if pump is None:
            return
        tick = frame.index + pump.base_tick
        if self.recording is not None:
            self.recording.frame(tick, frame, self._look)
        self._face.offer(replace(frame, index=tick), due=pump.voice.due(2 * frame.index))

    def _outlet(self) -> Outlet | None:
        """Where the picture may leave now."""
        pump, peer = self._pump, self._peer
        if pump is None or peer is None or not self._connected or self._closed:
            return None
        return Outlet(peer, pump.voice.due(0) - pump.base_tick * TICK_SECONDS)

    # -- what it says about itself ----------------------------------------------------------

    def report(self) -> SessionReport:
        """The session's numbers now."""
        peer = self._peer
        depth = self._microphone.depth_seconds * 1000
        budget = self._budget.seconds * 1000
        place, pump = self._place.session, self._pump
        engine = None if place is None else place.stats()
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
            pace_fps=0.0 if place is None else round(place.pace, 2),
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
            stalls=self._stalls + (0 if pump is None else pump.stalls),
            voice_steps_skipped=0 if pump is None else pump.voice.skipped_steps,
            target_bps=face.plan.target,
            estimate_bps=face.plan.estimate,
            frame_width=width,
            frame_height=height,
            size_changes=face.plan.size_changes,
            key_frames=face.plan.key_frames,
            key_frame_requests=face.line.key_frame_requests,
        )
