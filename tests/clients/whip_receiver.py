"""A service that takes WHIP, for tests: aiortc's receiving side behind a few lines of HTTP.

It notes what was asked of it, and of the media what the wire said: timestamps and sender reports.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtp import RtcpSrPacket, RtpPacket
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.server.peers import serve

__all__ = ["Asked", "Publication", "Receiver", "Stream", "loudness", "receiving"]

Reply = Callable[[Request], Response | None]


@dataclass
class Asked:
    """A request."""

    method: str
    path: str
    bearer: str | None
    content_type: str | None
    body: str


@dataclass
class Stream:
    """One track: its decoded frames, its sender reports, and when each packet came."""

    rate: int
    frames: list[tuple[int, NDArray[Any]]] = field(default_factory=list)
    """With their timestamps; aiortc counts those from the first packet's."""
    first: int | None = None
    """The first packet's own timestamp."""
    packets: int = 0
    reports: list[tuple[int, int]] = field(default_factory=list)  # NTP, RTP

    def seconds(self, timestamp: int, report: int = -1) -> float:
        """When a frame was due, by a report, on the sender's clock."""
        assert self.first is not None
        ntp, rtp = self.reports[report]
        ahead = (self.first + timestamp - rtp + (1 << 31)) % (1 << 32) - (1 << 31)
        return (ntp & ((1 << 48) - 1)) / (1 << 32) + ahead / self.rate


@dataclass
class Publication:
    """One connection that came."""

    connection: RTCPeerConnection
    voice: Stream = field(default_factory=lambda: Stream(48_000))
    face: Stream = field(default_factory=lambda: Stream(90_000))
    codecs: list[str] = field(default_factory=list)

    async def key_frame(self) -> None:
        """Ask for a picture that stands alone (RFC 4585 section 6.3.1)."""
        (receiver,) = (r for r in self.connection.getReceivers() if r.track.kind == "video")
        (ssrc,) = receiver._RTCRtpReceiver__remote_streams  # type: ignore[attr-defined]
        await receiver._send_rtcp_pli(ssrc)


class Receiver:
    """`replies` are used up first, one for each POST; None of one lets the offer through."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.replies: list[Reply] = []
        self.puts: list[Response] = []
        """Answers to PUT, which is a server's of ours, not WHIP."""
        self.came: list[Publication] = []
        self.answer: Callable[[str], str] = lambda sdp: sdp
        self.location = "/session/{}"
        self.headers: list[tuple[str, str]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def app(self) -> Starlette:
        methods = ["POST", "DELETE", "PUT"]
        return Starlette(routes=[Route("/{path:path}", self._take, methods=methods)])

    async def _take(self, request: Request) -> Response:
        body = (await request.body()).decode(errors="replace")
        self.asked.append(
            Asked(
                request.method,
                request.url.path,
                request.headers.get("authorization"),
                request.headers.get("content-type"),
                body,
            )
        )
        if request.method == "PUT":
            return self.puts.pop(0)
        if request.method == "DELETE":
            for publication in self.came:
                await publication.connection.close()
            return Response(status_code=200)
        if self.replies and (reply := self.replies.pop(0)(request)) is not None:
            return reply
        answer = await self._accept(body)
        location = self.location.format(len(self.came))
        response = Response(answer, 201, {"Location": location}, media_type="application/sdp")
        for name, value in self.headers:
            response.headers.append(name, value)
        return response

    async def _accept(self, offer: str) -> str:
        connection = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        publication = Publication(connection)
        self.came.append(publication)
        connection.on("track", lambda track: self._follow(publication, track))
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        for transceiver in connection.getTransceivers():
            stream = publication.voice if transceiver.kind == "audio" else publication.face
            _note(transceiver.receiver, stream)
        await connection.setLocalDescription()
        for transceiver in connection.getTransceivers():
            publication.codecs.append(transceiver._codecs[0].mimeType)
        return self.answer(connection.localDescription.sdp)

    def _follow(self, publication: Publication, track: MediaStreamTrack) -> None:
        stream = publication.voice if track.kind == "audio" else publication.face

        async def take() -> None:
            with contextlib.suppress(MediaStreamError):
                while True:
                    frame: Any = await track.recv()
                    if track.kind == "audio":
                        kept = frame.to_ndarray()
                    else:
                        kept = frame.to_ndarray()[: frame.height]
                    stream.frames.append((frame.pts, kept))

        task = asyncio.create_task(take())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for publication in self.came:
            await publication.connection.close()
        if self._tasks:
            await asyncio.wait(self._tasks)


def _note(receiver: Any, stream: Stream) -> None:
    on_rtp, on_rtcp = receiver._handle_rtp_packet, receiver._handle_rtcp_packet

    async def rtp(packet: RtpPacket, arrival_time_ms: int) -> None:
        if stream.first is None:
            stream.first = packet.timestamp
        stream.packets += 1
        await on_rtp(packet, arrival_time_ms=arrival_time_ms)

    async def rtcp(packet: object) -> None:
        if isinstance(packet, RtcpSrPacket):
            info = packet.sender_info
            stream.reports.append((info.ntp_timestamp, info.rtp_timestamp))
        await on_rtcp(packet)

    receiver._handle_rtp_packet, receiver._handle_rtcp_packet = rtp, rtcp


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver()
    async with serve(receiver.app) as server:
        receiver.url = f"{server.url}/live/whip"
        try:
            yield receiver
        finally:
            await receiver.close()


def loudness(frame: NDArray[Any]) -> float:
    """The peak of a decoded piece of voice, 0 to 1."""
    return float(np.abs(frame.astype(np.float64)).max()) / 32768
