"""One peer connection: a microphone in, a voice and a face out, on one transport."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError

from visavis.server.config import IceServer
from visavis.server.errors import OfferError, Unavailable
from visavis.server.media import aiortc_private as private
from visavis.server.media.encoder import Encoded
from visavis.server.media.playout import PLAYOUT_DELAY_URI, PlayoutDelayMap
from visavis.server.media.sdp import (
    Fragment,
    Offer,
    choose_video,
    with_announced,
    with_redundancy,
    with_short_packets,
)
from visavis.server.media.tracks import PacketTrack
from visavis.server.media.transport import TransportEvents
from visavis.server.rate.pacing import BurstPacer
from visavis.server.rate.repair import RepairBudget

__all__ = ["Peer", "PeerNetwork"]

logger = logging.getLogger(__name__)

VOICE_CLOCK_RATE = 48_000
VIDEO_CLOCK_RATE = 90_000
NO_PORT_RETRY_SECONDS = 5
MICROPHONE_PARAMETERS: dict[str, int | str | None] = {
    "minptime": 10,
    "useinbandfec": 1,
    "stereo": 0,
    "maxaveragebitrate": 40_000,
}


@dataclass(frozen=True, slots=True)
class PeerNetwork:
    """Which of our addresses and ports a peer may use."""

    relay_only: bool = False
    """Nothing but what the TURN server lends."""
    announce: str | None = None
    """An address that a NAT leads here port by port; offered beside our own."""
    udp_ports: tuple[int, int] | None = None
    """The lowest and highest; by default the system's own range."""


class Peer:
    """The WebRTC transport, a thin shell around :class:`RTCPeerConnection`; :meth:`answer` once.

    Args:
        ice_servers: where to look for a way through a NAT.
        loopback: whether to offer 127.0.0.1, for a browser on this machine.
        prefer_h264: choose H.264 where the offer has both codecs.
        events: whom to tell.
        network: which addresses and ports it may use.
    """

    path = "webrtc"
    speech = None
    decoder = None
    voice_encoder = None

    def __init__(
        self,
        *,
        ice_servers: Sequence[IceServer],
        loopback: bool,
        prefer_h264: bool,
        events: TransportEvents,
        network: PeerNetwork | None = None,
    ) -> None:
        self.voice = PacketTrack("audio", VOICE_CLOCK_RATE)
        self.face = PacketTrack("video", VIDEO_CLOCK_RATE, limit=4)
        self.video_mime_type = ""
        self._loopback = loopback
        self._prefer_h264 = prefer_h264
        self._events = events
        self._network = network or PeerNetwork()
        self._ntp_origin: int | None = None
        self._username = ""
        self._candidates = 0
        self._pacer = BurstPacer()
        self._repair = RepairBudget()
        servers = [
            RTCIceServer(urls=s.url, username=s.username, credential=s.credential)
            for s in ice_servers
        ]
        # An empty list, not None: None would ask a public STUN server for every session.
        self._connection = RTCPeerConnection(
            RTCConfiguration(
                iceServers=servers,
                bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
                iceTransportPolicy=(
                    RTCIceTransportPolicy.RELAY
                    if self._network.relay_only
                    else RTCIceTransportPolicy.ALL
                ),
            )
        )
        self._connection.on("connectionstatechange", self._state_changed)
        self._closing: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        """``new``, ``connecting``, ``connected``, ``failed`` or ``closed``."""
        return str(self._connection.connectionState)

    @property
    def received_packets(self) -> int:
        """Packets of any kind that came from the peer: it grows as long as there is one."""
        return private.received_packets(self._connection)

    @property
    def round_trip_ms(self) -> float | None:
        """The round trip, once the peer has answered a sender report."""
        for transceiver in self._connection.getTransceivers():
            seconds = private.round_trip_seconds(transceiver.sender)
            if seconds is not None:
                return seconds * 1000
        return None

    async def answer(self, offer: Offer) -> str:
        """Answer an offer, with all our candidates in it.

        Raises:
            OfferError: there is no answer to that offer; the peer must be closed.
            Unavailable: no port is free, or none is lent; likewise.
        """
        connection = self._connection
        try:
            await connection.setRemoteDescription(RTCSessionDescription(offer.text, "offer"))
            self._username = offer.username
            for transceiver in connection.getTransceivers():
                if transceiver.kind == "audio":
                    self._prepare_voice(transceiver, offer)
                else:
                    self._prepare_face(transceiver, offer)
            if not self._network.relay_only:
                private.choose_addresses(
                    connection, loopback=self._loopback, ports=self._network.udp_ports
                )
            await connection.setLocalDescription()
            for transceiver in connection.getTransceivers():
                if transceiver.kind == "video":
                    private.pace(transceiver.sender, self._pacer, self._sent)
                    private.limit_repairs(transceiver.sender, self._repairs)
        except (ValueError, InvalidAccessError, InvalidStateError, OperationError) as error:
            raise OfferError(f"The offer cannot be answered: {error}.") from error
        if "a=candidate:" not in connection.localDescription.sdp:
            what = (
                "The TURN server lends no address; is it there, and is its password right?"
                if self._network.relay_only
                else "There is no UDP port for this session."
            )
            raise Unavailable(what, retry_after=NO_PORT_RETRY_SECONDS)
        answer = with_redundancy(with_short_packets(connection.localDescription.sdp), offer.red)
        return with_announced(answer, self._network.announce)

    def _prepare_voice(self, transceiver: RTCRtpTransceiver, offer: Offer) -> None:
        self._receive_voice(transceiver, offer)
        transceiver.direction = "sendrecv"
        transceiver.sender.replaceTrack(self.voice)
        private.report_media_time(transceiver.sender, lambda: self._ntp_of(self.voice))

    def _receive_voice(self, transceiver: RTCRtpTransceiver, offer: Offer) -> None:
        opus = next(c for c in private.codecs_of(transceiver) if c.mimeType == "audio/opus")
        assert opus.payloadType is not None
        opus.parameters = dict(MICROPHONE_PARAMETERS)
        private.set_codecs(transceiver, [opus])
        if offer.sends_audio:
            red = offer.red.get(opus.payloadType)
            private.tap_receiver(transceiver.receiver, opus.payloadType, red, self._events.packet)

    def _prepare_face(self, transceiver: RTCRtpTransceiver, offer: Offer) -> None:
        codecs = choose_video(private.codecs_of(transceiver), prefer_h264=self._prefer_h264)
        private.set_codecs(transceiver, codecs)
        self.video_mime_type = codecs[0].mimeType
        transceiver.direction = "sendonly"
        transceiver.sender.replaceTrack(self.face)
        private.on_key_frame_request(transceiver.sender, self._events.key_frame)
        private.on_feedback(
            transceiver.sender, VIDEO_CLOCK_RATE, self._events.estimate, self._events.report
        )
        private.report_media_time(transceiver.sender, lambda: self._ntp_of(self.face))
        private.set_extension_map(transceiver.sender, PlayoutDelayMap())
        identifier = offer.video_extensions.get(PLAYOUT_DELAY_URI)
        if identifier is not None:
            private.add_header_extension(transceiver, identifier, PLAYOUT_DELAY_URI)

    def _ntp_of(self, track: PacketTrack) -> int:
        """When the media time that a track has reached was, by one mapping for both tracks.

        It is fixed once. The browser fits a line through the reports of each track, and lays lips
        and voice together by the two lines; had the mapping the jitter of our own sending in it,
        the first lines, through a few close points, would be off by hundreds of milliseconds.
        """
        if self._ntp_origin is None:
            self._ntp_origin = private.ntp_now() - round(track.media_seconds * (1 << 32))
        return self._ntp_origin + round(track.media_seconds * (1 << 32))

    async def trickle(self, fragment: Fragment) -> None:
        """Add the peer's further candidates.

        Raises:
            OfferError: the fragment asks for an ICE restart, or brings too many candidates.
        """
        if fragment.username is not None and fragment.username != self._username:
            raise OfferError("ICE restarts are not supported; open a new session.")
        self._candidates += len(fragment.candidates)
        if self._candidates > 64:
            raise OfferError("The session has more candidates than any honest peer.")
        first = self._connection.getTransceivers()[0]
        for candidate in fragment.candidates:
            candidate.sdpMid = first.mid
            candidate.sdpMLineIndex = None
            with contextlib.suppress(ValueError):
                await self._connection.addIceCandidate(candidate)
        if fragment.complete:
            await self._connection.addIceCandidate(None)

    @property
    def shed_frames(self) -> int:
        """Frames that were dropped because aiortc's sender was stuck."""
        return self.face.dropped

    @property
    def shed_voice(self) -> int:
        """Packets of voice likewise."""
        return self.voice.dropped

    def send_voice(self, packet: bytes, pts: int) -> None:
        """Send 20 ms of voice; ``pts`` in samples at 48 kHz."""
        self.voice.put(packet, pts)

    def send_face(self, encoded: Encoded, pts: int) -> bool:
        """Send a frame, ``pts`` at 90 kHz; False if an older one had to be dropped for it."""
        self._pacer.rate = self._repair.rate = encoded.bit_rate or self._pacer.rate
        if encoded.key:
            self._repair.key_frame(pts / VIDEO_CLOCK_RATE)
        return self.face.put(encoded.data, pts)

    def _sent(self, sequence: int) -> None:
        self._repair.sent(sequence, self.face.media_seconds)

    def _repairs(self, sequence: int, size: int) -> bool:
        """Whether a packet of the picture is sent again."""
        now = time.monotonic()
        if self._repair.allows(sequence, size, now):
            return True
        if self._repair.wants_key_frame(sequence, now):
            self._events.key_frame()
        return False

    def takes_face(self, ahead: int) -> bool:
        """Always: the bit rate follows the path."""
        return True

    def clear(self, generation: int) -> None:
        """Nothing waits here."""

    def _state_changed(self) -> None:
        self._events.state(self.state)

    async def aclose(self) -> None:
        """End the connection and wait until nothing of it is left; may be called again."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self.voice.stop()
        self.face.stop()
        await self._connection.close()
