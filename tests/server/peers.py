"""A client for tests: a real aiortc peer that speaks WHIP to the real application.

What arrives is noted packet by packet with its time, before any jitter buffer of the client, so
that a test sees what left the server and when.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from fractions import Fraction

import av
import httpx
import numpy as np
import uvicorn
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtcpSrPacket, RtpPacket
from numpy.typing import NDArray
from starlette.applications import Starlette

__all__ = ["Arrived", "Client", "Microphone", "Server", "serve", "tone_bursts"]

RATE = 48_000


@dataclass
class Server:
    """A running application."""

    app: Starlette
    url: str


@contextlib.asynccontextmanager
async def serve(app: Starlette) -> AsyncIterator[Server]:
    """Run the application on a free port."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        while not server.started:
            if task.done():
                await task
            await asyncio.sleep(0.005)
        yield Server(app, f"http://127.0.0.1:{sock.getsockname()[1]}")
    finally:
        server.should_exit = True
        await task
        sock.close()


def tone_bursts(seconds: float, *, every: float = 1.0, length: float = 0.2) -> NDArray[np.int16]:
    """Silence with a tone burst at every whole multiple of ``every`` but the first."""
    t = np.arange(int(seconds * RATE)) / RATE
    on = (t % every < length) & (t >= every)
    return np.where(on, 16_000 * np.sin(2 * np.pi * 440 * t), 0).astype(np.int16)


class Microphone(MediaStreamTrack):
    """Sends a given sound in real time, then silence; frames of 20 ms.

    Args:
        pcm: ``i16[n]`` mono 48 kHz.
    """

    kind = "audio"

    def __init__(self, pcm: NDArray[np.int16]) -> None:
        super().__init__()
        self._pcm = pcm
        self._next = 0
        self.started: float | None = None

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        if self.started is None:
            self.started = time.monotonic()
        # Sound can be sent only once it has been heard.
        due = self.started + (self._next + 960) / RATE
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        part = self._pcm[self._next : self._next + 960]
        part = np.pad(part, (0, 960 - len(part)))
        frame = av.AudioFrame.from_ndarray(part[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        frame.pts = self._next
        frame.time_base = Fraction(1, RATE)
        self._next += 960
        return frame


@dataclass
class Arrived:
    """One packet and when it came, in ``time.monotonic()``."""

    at: float
    timestamp: int
    sequence: int
    marker: bool
    payload: bytes


@dataclass
class Stream:
    """What came of one of the two streams."""

    packets: list[Arrived] = field(default_factory=list)
    reports: list[tuple[float, int, int]] = field(default_factory=list)  # at, ntp, rtp

    def ntp_seconds(self, timestamp: int) -> float:
        """When that timestamp was due to leave, on the sender's own wall clock."""
        _, ntp, rtp = self.reports[-1]
        rate = RATE if self.kind == "audio" else 90_000
        difference = (timestamp - rtp + (1 << 31)) % (1 << 32) - (1 << 31)
        return ntp / (1 << 32) + difference / rate

    kind: str = "audio"


class Client:
    """Opens one session; use as an async context manager.

    Args:
        server: where.
        pcm: what to say; None to send no microphone at all.
        drop: called with the number of each microphone packet; True loses it.
        resume: whose session to go on with, over this new connection.
        lead: changes the answer before it is followed.
    """

    def __init__(
        self,
        server: Server,
        pcm: NDArray[np.int16] | None,
        *,
        query: str = "",
        headers: dict[str, str] | None = None,
        drop: Callable[[int], bool] | None = None,
        edit: Callable[[str], str] = lambda offer: offer,
        resume: Client | None = None,
        lead: Callable[[str], str] = lambda answer: answer,
    ) -> None:
        self._server = server
        self._query = query
        self._headers = headers or {}
        self._drop = drop
        self._edit = edit
        self._resume = resume
        self._lead = lead
        self.microphone = None if pcm is None else Microphone(pcm)
        self.voice = Stream(kind="audio")
        self.face = Stream(kind="video")
        self.connection = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self.location = ""
        self.answer = ""
        self.resume_token = ""

    async def __aenter__(self) -> Client:
        connection = self.connection
        if self.microphone is not None:
            connection.addTransceiver(self.microphone, "sendrecv")
        else:
            connection.addTransceiver("audio", "recvonly")
        connection.addTransceiver("video", "recvonly")
        await connection.setLocalDescription()
        headers = {"Content-Type": "application/sdp", **self._headers}
        path, wanted = "/sessions", 201
        if self._resume is not None:
            path, wanted = f"{self._resume.location}/resume", 200
            headers["Visavis-Resume"] = self._resume.resume_token
        async with httpx.AsyncClient(base_url=self._server.url, verify=False) as http:
            response = await http.post(
                path + self._query,
                content=self._edit(connection.localDescription.sdp),
                headers=headers,
            )
        if response.status_code != wanted:
            await connection.close()
        assert response.status_code == wanted, response.text
        self.location = response.headers["location"]
        self.resume_token = response.headers["visavis-resume"]
        self.answer = response.text
        for transceiver in connection.getTransceivers():
            stream = self.voice if transceiver.kind == "audio" else self.face
            self._tap(transceiver.receiver, stream)
        if self._drop is not None:
            self._lose(self._drop)
        await connection.setRemoteDescription(
            RTCSessionDescription(self._lead(response.text), "answer")
        )
        return self

    def _tap(self, receiver: object, stream: Stream) -> None:
        on_rtp = receiver._handle_rtp_packet  # type: ignore[attr-defined]
        on_rtcp = receiver._handle_rtcp_packet  # type: ignore[attr-defined]

        async def rtp(packet: RtpPacket, arrival_time_ms: int) -> None:
            stream.packets.append(
                Arrived(
                    time.monotonic(),
                    packet.timestamp,
                    packet.sequence_number,
                    bool(packet.marker),
                    packet.payload,
                )
            )
            await on_rtp(packet, arrival_time_ms=arrival_time_ms)

        async def rtcp(packet: object) -> None:
            if isinstance(packet, RtcpSrPacket):
                info = packet.sender_info
                stream.reports.append((time.monotonic(), info.ntp_timestamp, info.rtp_timestamp))
            await on_rtcp(packet)

        receiver._handle_rtp_packet = rtp  # type: ignore[attr-defined]
        receiver._handle_rtcp_packet = rtcp  # type: ignore[attr-defined]

    def _lose(self, drop: Callable[[int], bool]) -> None:
        sender = next(t.sender for t in self.connection.getTransceivers() if t.kind == "audio")
        transport = sender.transport
        send = transport._send_rtp
        count = 0

        async def lossy(data: bytes) -> None:
            nonlocal count
            if not 192 <= data[1] <= 223:
                count += 1
                if drop(count - 1):
                    # What is lost is lost after it was encrypted; a hole in the numbers is enough.
                    return
            await send(data)

        transport._send_rtp = lossy  # type: ignore[method-assign]

    async def stats(self) -> dict[str, object]:
        """The session's own numbers."""
        async with httpx.AsyncClient(base_url=self._server.url, verify=False) as http:
            response = await http.get(f"{self.location}/stats", headers=self._headers)
        assert response.status_code == 200, response.text
        result: dict[str, object] = response.json()
        return result

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until it holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            await asyncio.sleep(0.01)

    def vanish(self) -> None:
        """The network is gone: nothing is sent or answered any more, and nobody is told."""
        ice = self.connection.getTransceivers()[0].sender.transport.transport
        for protocol in ice.iceGatherer._connection._protocols:
            protocol.transport.abort()

    async def close(self, *, delete: bool = True) -> None:
        """Leave, with or without saying so to the server."""
        if delete and self.location:
            async with httpx.AsyncClient(base_url=self._server.url, verify=False) as http:
                await http.delete(self.location, headers=self._headers)
        await self.connection.close()

    async def __aexit__(self, *error: object) -> None:
        await self.close()
