"""Clients for tests that only speak (WHIP) or only watch (WHEP): real aiortc peers."""

from __future__ import annotations

import httpx
import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from numpy.typing import NDArray

from tests.server.peers import Client, Server

__all__ = ["Speaker", "Watcher", "vp8_body"]


def vp8_body(payload: bytes) -> bytes:
    """What stands behind the payload descriptor, whose picture number is each sender's own."""
    at = 1
    if payload[0] & 0x80:
        extra = payload[1]
        at = 2 + bool(extra & 0x80) * (2 if payload[2] & 0x80 else 1)
        at += bool(extra & 0x40) + bool(extra & 0x30)
    return payload[at:]


class Watcher(Client):
    """Watches over WHEP; what comes is noted as `Client` notes it."""

    def __init__(self, server: Server, view: str) -> None:
        super().__init__(server, None)
        self._path = f"/whep/{view}"

    async def __aenter__(self) -> Watcher:
        self.connection.addTransceiver("audio", "recvonly")
        self.connection.addTransceiver("video", "recvonly")
        await self._follow(self._path)
        return self

    async def _follow(self, path: str) -> httpx.Response:
        await self.connection.setLocalDescription()
        async with httpx.AsyncClient(base_url=self._server.url, verify=False) as http:
            self.response = await http.post(
                path,
                content=self.connection.localDescription.sdp,
                headers={"Content-Type": "application/sdp"},
            )
        if self.response.status_code != 201:
            await self.connection.close()
        assert self.response.status_code == 201, self.response.text
        self.location = self.response.headers["location"]
        self.answer = self.response.text
        for transceiver in self.connection.getTransceivers():
            if transceiver.direction == "recvonly":
                stream = self.voice if transceiver.kind == "audio" else self.face
                self._tap(transceiver.receiver, stream)
        await self.connection.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))
        return self.response

    def key_frame_first(self) -> bool:
        """Whether the first VP8 packet begins a key frame (RFC 7741, RFC 6386 section 9.1)."""
        payload = self.face.packets[0].payload
        return bool(payload[0] & 0x10) and not vp8_body(payload)[0] & 1


class Speaker(Watcher):
    """Publishes a voice over WHIP."""

    def __init__(self, server: Server, pcm: NDArray[np.int16], *, path: str = "/whip") -> None:
        Client.__init__(self, server, pcm)
        self.connection = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._path = path

    async def __aenter__(self) -> Speaker:
        assert self.microphone is not None
        self.connection.addTransceiver(self.microphone, "sendonly")
        response = await self._follow(self._path)
        self.view = response.headers["visavis-view"]
        return self
