"""One WebRTC session as cheap as it can be: sent from stored packets, counted and not decoded.

ICE, DTLS and SRTP are aiortc's own. Its jitter buffers, decoder threads and packet objects are left
out: what comes is decrypted, and of each packet the header is read. Receiver reports go out as ever
and a lost picture is asked for anew, so the server's rate control has what a browser gives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import RtcpPacket, RtcpSrPacket

from visavis.benchmarks.sessions.arrivals import Packets, Reports
from visavis.benchmarks.sessions.pictures import Pictures

__all__ = ["Refused", "StoredMicrophone", "Visitor"]

RATE = 48_000
PACKET = 960
HTTP_S = 30.0
CONNECT_S = 20.0
TRIES_S = 120.0  # a server may ask a visitor to come back later, since all have one address
ASK_AGAIN_S = 1.0


class Refused(Exception):
    """The server did not let a visitor in; the message is its answer's status and detail."""


class StoredMicrophone(MediaStreamTrack):
    """Sends stored packets of 20 ms in real time, again and again.

    Args:
        packets: Opus.
        behind_s: how much later than the others it begins, below 20 ms, so that they do not all
            speak in the same instant.
    """

    kind = "audio"

    def __init__(self, packets: Sequence[bytes], behind_s: float = 0.0) -> None:
        super().__init__()
        self._packets = packets
        self._behind = behind_s
        self._next = 0
        self._started: float | None = None

    async def recv(self) -> av.Packet[Any]:
        """aiortc's sender asks for the next packet."""
        if self.readyState != "live":
            raise MediaStreamError
        if self._started is None:
            self._started = time.monotonic() + self._behind
        due = self._started + (self._next + 1) * PACKET / RATE
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        packet = av.Packet(self._packets[self._next % len(self._packets)])
        packet.pts = self._next * PACKET
        packet.time_base = Fraction(1, RATE)
        self._next += 1
        return packet


class Visitor:
    """A session from offer to end.

    Args:
        url: of the server.
        packets: what is said.
        person: whom to see.
        codec: ``vp8`` or ``h264``.
        behind_s: see `StoredMicrophone`.
        pictures: decodes what comes, where that is wanted.
    """

    def __init__(
        self,
        url: str,
        packets: Sequence[bytes],
        *,
        person: str,
        codec: str = "vp8",
        behind_s: float = 0.0,
        pictures: Pictures | None = None,
    ) -> None:
        self._url = url
        self.path = f"/sessions?person={person}&codec={codec}"
        self._microphone = StoredMicrophone(packets, behind_s)
        self.pictures = pictures
        self._connection = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._statistics: dict[int, StreamStatistics] = {}
        self._last_sequence: int | None = None
        self._asked = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self.face, self.voice = Packets(), Packets()
        self.face_reports, self.voice_reports = Reports(), Reports()
        self.location = ""
        self.view = ""
        self.asked_at = 0.0
        """When the request was made that was answered."""

    async def open(self) -> None:
        """Offer, follow the answer and wait for the connection.

        Raises:
            Refused: the server did not let us in, or no connection came about.
        """
        connection = self._connection
        self.offer_media(connection)
        await connection.setLocalDescription()
        answer = await self._ask(connection.localDescription.sdp)
        self.tap()
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        end = time.monotonic() + CONNECT_S
        while connection.connectionState != "connected":
            if time.monotonic() > end or connection.connectionState in ("failed", "closed"):
                raise Refused(f"no connection: {connection.connectionState}")
            await asyncio.sleep(0.05)

    def offer_media(self, connection: RTCPeerConnection) -> None:
        """What is offered."""
        connection.addTransceiver(self._microphone, "sendrecv")
        connection.addTransceiver("video", "recvonly")

    async def close(self) -> None:
        """Say goodbye; never raises."""
        for task in list(self._tasks):
            task.cancel()
        if self.location:
            request = urllib.request.Request(self._url + self.location, method="DELETE")
            with contextlib.suppress(OSError, ValueError):  # the connection's end says the same
                await asyncio.to_thread(_answer_of, request)
        await self._connection.close()

    async def _ask(self, offer: str) -> str:
        end = time.monotonic() + TRIES_S
        while True:
            request = urllib.request.Request(
                f"{self._url}{self.path}",
                data=offer.encode(),
                headers={"Content-Type": "application/sdp"},
            )
            self.asked_at = time.monotonic()
            try:
                answer, headers = await asyncio.to_thread(_answer_of, request)
            except urllib.error.HTTPError as error:
                wait = float(error.headers.get("Retry-After") or 1)
                if error.code == 429 and time.monotonic() + wait < end:
                    await asyncio.sleep(wait)
                    continue
                raise Refused(f"{error.code}: {_detail(error)}") from None
            except OSError as error:
                raise Refused(f"no answer: {error}") from None
            self.location = headers["Location"]
            self.view = headers["Visavis-View"] or ""
            return answer

    def tap(self) -> None:
        """Take packets as soon as they are decrypted."""
        audio, video = (t.receiver for t in self._connection.getTransceivers())
        transport: Any = video.transport
        by_type: dict[int, tuple[RTCRtpReceiver, Packets, Reports, int]] = {}
        by_source: dict[int, tuple[RTCRtpReceiver, Reports]] = {}

        def expect(receiver: RTCRtpReceiver, packets: Packets, reports: Reports, rate: int) -> None:
            private: Any = receiver

            async def receive(parameters: RTCRtpReceiveParameters) -> None:
                if private._RTCRtpReceiver__started:
                    return
                for codec in parameters.codecs:
                    if not codec.mimeType.endswith("/rtx") and codec.payloadType is not None:
                        by_type[codec.payloadType] = receiver, packets, reports, rate
                transport._register_rtp_receiver(receiver, parameters)
                private._RTCRtpReceiver__rtcp_task = asyncio.ensure_future(private._run_rtcp())
                private._RTCRtpReceiver__started = True

            private.receive = receive

        expect(audio, self.voice, self.voice_reports, 48_000)
        expect(video, self.face, self.face_reports, 90_000)

        async def packet(data: bytes, arrival_time_ms: int) -> None:
            now = time.monotonic()
            found = by_type.get(data[1] & 0x7F)
            if found is None:
                return
            receiver, packets, reports, rate = found
            sequence = int.from_bytes(data[2:4], "big")
            timestamp = int.from_bytes(data[4:8], "big")
            source = int.from_bytes(data[8:12], "big")
            if source not in by_source:
                by_source[source] = receiver, reports
                streams: Any = receiver
                self._statistics[source] = StreamStatistics(rate)
                streams._RTCRtpReceiver__remote_streams[source] = self._statistics[source]
            header: Any = SimpleNamespace(sequence_number=sequence, timestamp=timestamp)
            self._statistics[source].add(header)
            marker = bool(data[1] & 0x80)
            packets.add(now, sequence, timestamp, marker, len(data))
            if packets is self.face:
                self._face_packet(data, sequence, timestamp, marker, receiver, source, now)

        async def control(data: bytes) -> None:
            for news in RtcpPacket.parse(data):
                if isinstance(news, RtcpSrPacket) and news.ssrc in by_source:
                    receiver, reports = by_source[news.ssrc]
                    info = news.sender_info
                    reports.add(info.ntp_timestamp, info.rtp_timestamp)
                    await receiver._handle_rtcp_packet(news)

        transport._handle_rtp_data = packet
        transport._handle_rtcp_data = control

    def _face_packet(
        self,
        data: bytes,
        sequence: int,
        timestamp: int,
        marker: bool,
        receiver: RTCRtpReceiver,
        source: int,
        now: float,
    ) -> None:
        last, self._last_sequence = self._last_sequence, sequence
        lost = last is not None and sequence != (last + 1) & 0xFFFF
        if lost and now - self._asked > ASK_AGAIN_S:
            self._asked = now
            task = asyncio.ensure_future(receiver._send_rtcp_pli(source))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self.pictures is not None:
            self.pictures.packet(payload_of(data), timestamp, marker, lost=lost)


def payload_of(data: bytes) -> bytes:
    """What an RTP packet carries, without header, extension and padding (RFC 3550, 5.1)."""
    start = 12 + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    end = len(data) - (data[-1] if data[0] & 0x20 else 0)
    return data[start:end]


def _answer_of(request: urllib.request.Request) -> tuple[str, Any]:
    with urllib.request.urlopen(request, timeout=HTTP_S) as answer:
        return answer.read().decode(), answer.headers


def _detail(error: urllib.error.HTTPError) -> str:
    text = error.read(4096).decode("utf-8", "replace")
    try:
        return str(json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        return text[:200]
