"""A connection that sends what a server has compressed already: the one place with aiortc here.

aiortc neither encodes nor paces; it adds the RTP header, encrypts, repeats what is lost, and says
which time a timestamp stands for. Three of its private names are leaned on, each for one object:
tests/clients/test_publish_peer.py fails where a new version renames them.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import av
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    clock,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpparameters import RTCRtpCodecCapability
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket

from visavis.clients.errors import ClientError
from visavis.clients.publish.links import IceServer

__all__ = ["Outgoing", "ntp_now"]

RATE = 48_000
VOICE_WAITS = 25
FACE_WAITS = 8
LOOPBACK = "127.0.0.1"
# What every service takes: Constrained Baseline (RFC 7742 section 6.2).
H264 = {"level-asymmetry-allowed": "1", "packetization-mode": "1", "profile-level-id": "42e01f"}


def ntp_now() -> int:
    """The wall clock as 64 bits of NTP (RFC 5905 section 6)."""
    return int(clock.current_ntp_time())


class _Track(MediaStreamTrack):
    """Packets for one sender. Of too many the oldest is dropped."""

    def __init__(self, kind: str, limit: int) -> None:
        super().__init__()
        self.kind = kind
        self.sent: int | None = None
        """The pts of the last packet that was sent."""
        self._packets: deque[av.Packet[Any]] = deque(maxlen=limit)
        self._arrived = asyncio.Event()

    def put(self, data: bytes, pts: int) -> bool:
        packet = av.Packet(data)
        packet.pts, packet.time_base = pts, Fraction(1, RATE)
        full = len(self._packets) == self._packets.maxlen
        self._packets.append(packet)
        self._arrived.set()
        return not full

    async def recv(self) -> av.Packet[Any]:
        while not self._packets:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        packet = self._packets.popleft()
        self.sent = packet.pts
        return packet

    def stop(self) -> None:
        super().stop()
        self._arrived.set()


class Outgoing:
    """One connection to a service; `offer`, then `accept`, then `put_voice` and `put_face`.

    Args:
        codec: of the face, `h264` or `vp8`.
        ntp_origin: the time, as NTP, that pts 0 stands for. Voice and face have the same, which is
            how the receiver keeps lips and voice together (RFC 3550 section 6.4.1).
        want_key_frame: called when the service asks for a picture that stands alone.
        servers: to find a way with.
        loopback: offer 127.0.0.1 too, for a service on this machine.

    Attributes:
        dropped: packets that did not leave in time.
    """

    def __init__(
        self,
        codec: str,
        *,
        ntp_origin: int,
        want_key_frame: Callable[[], None],
        servers: Sequence[IceServer] = (),
        loopback: bool = False,
    ) -> None:
        self.dropped = 0
        self._codec = codec
        self._changed = asyncio.Event()
        self._voice, self._face = _Track("audio", VOICE_WAITS), _Track("video", FACE_WAITS)
        self._connection = RTCPeerConnection(
            RTCConfiguration(
                iceServers=[
                    RTCIceServer(urls=s.url, username=s.username, credential=s.credential)
                    for s in servers
                ],
                bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
            )
        )
        self._connection.on("connectionstatechange", self._changed.set)
        for track in (self._voice, self._face):
            transceiver = self._connection.addTransceiver(track, "sendonly")
            transceiver.setCodecPreferences(_codecs(track.kind, codec))
            _report_media_time(transceiver.sender, track, ntp_origin)
            if track is self._face:
                assert hasattr(transceiver.sender, "_send_keyframe")
                transceiver.sender._send_keyframe = want_key_frame  # type: ignore[method-assign]
        if loopback:
            self._offer_loopback()

    @property
    def state(self) -> str:
        """`new`, `connecting`, `connected`, `failed` or `closed`."""
        return str(self._connection.connectionState)

    async def offer(self) -> str:
        """Return an offer with all our candidates in it, as SDP."""
        await self._connection.setLocalDescription()
        return str(self._connection.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        """Follow the service's answer.

        Raises:
            ClientError: it cannot be followed, or leaves out the face or the voice.
        """
        if not re.search(rf"^a=rtpmap:\d+ {self._codec}/90000", answer, re.I | re.M):
            raise ClientError(
                f"The service does not take the picture as {self._codec.upper()}; "
                "--codec has another."
            )
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except (
            *(ValueError, KeyError, IndexError, AttributeError, AssertionError),
            *(InvalidAccessError, InvalidStateError, OperationError),
        ) as error:
            raise ClientError(f"The service's answer cannot be followed: {error}.") from error
        for transceiver in self._connection.getTransceivers():
            if transceiver.currentDirection != "sendonly":
                what = "voice" if transceiver.kind == "audio" else "picture"
                raise ClientError(f"The service does not take the {what}.")

    async def until(self, *states: str) -> str:
        """Wait until the connection is in one of those states, or failed or closed; return it."""
        while self.state not in (*states, "failed", "closed"):
            self._changed.clear()
            await self._changed.wait()
        return self.state

    def put_voice(self, data: bytes, pts: int) -> None:
        """Send an Opus packet; `pts` in samples at 48 kHz."""
        self.dropped += not self._voice.put(data, pts)

    def put_face(self, data: bytes, pts: int) -> bool:
        """Send a compressed picture, likewise; False if an older one had to go, and a key frame is
        needed."""
        sent = self._face.put(data, pts)
        self.dropped += not sent
        return sent

    async def close(self) -> None:
        """End; may be called again."""
        await self._connection.close()

    def _offer_loopback(self) -> None:
        """aioice leaves 127.0.0.1 out, without which an offline machine has no path to itself."""
        ice = self._connection.getTransceivers()[0].sender.transport.transport
        connection = ice.iceGatherer._connection
        gather = connection.get_component_candidates

        async def more(component: int, addresses: list[str]) -> Any:
            return await gather(component=component, addresses=[*addresses, LOOPBACK])

        connection.get_component_candidates = more  # type: ignore[method-assign, assignment]


def _codecs(kind: str, codec: str) -> list[RTCRtpCodecCapability]:
    """The one codec that is sent, and what repeats it."""
    mime = "audio/opus" if kind == "audio" else {"h264": "video/H264", "vp8": "video/VP8"}[codec]
    chosen = []
    for known in RTCRtpSender.getCapabilities(kind).codecs:
        if known.mimeType.lower() == "video/rtx":
            chosen.append(known)
        elif known.mimeType.lower() == mime.lower() and (
            mime != "video/H264" or known.parameters == H264
        ):
            chosen.insert(0, known)
    assert chosen and chosen[0].mimeType.lower() == mime.lower()
    return chosen


def _report_media_time(sender: RTCRtpSender, track: _Track, origin: int) -> None:
    """Let sender reports say when the last packet was *due*, not when it left.

    What comes over a network is uneven, and each report would move the lips.
    """
    send = sender._send_rtcp

    async def timed(packets: list[AnyRtcpPacket]) -> None:
        for packet in packets:
            if isinstance(packet, RtcpSrPacket) and track.sent is not None:
                packet.sender_info.ntp_timestamp = origin + (track.sent << 32) // RATE
        await send(packets)

    sender._send_rtcp = timed  # type: ignore[method-assign]
