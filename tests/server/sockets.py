"""A browser's side of the WebSocket path, for tests: real sockets, real time, no browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.server.peers import RATE, Server
from visavis.server.ws.framing import Kind, Packet, parse

__all__ = ["Came", "SocketClient", "hello"]


@dataclass(frozen=True, slots=True)
class Came:
    """One packet and when it came, in ``time.monotonic()``."""

    at: float
    packet: Packet


def hello(**changes: Any) -> str:
    """A first message that is let in, unless changed."""
    message = {"type": "hello", "version": 1, "microphone": {"codec": "pcm16", "rate": 48_000}}
    return json.dumps({**message, **changes})


@dataclass
class SocketClient:
    """Opens one session, speaks in real time and notes what comes; an async context manager.

    Args:
        server: where.
        pcm: what to say, ``i16[n]`` at ``rate``; then silence.
        rate: of the microphone.
        reads: whether it reads at all; may be changed while it runs.
        packet_ms: how long a microphone packet is.
    """

    server: Server
    pcm: NDArray[np.int16]
    rate: int = RATE
    packet_ms: int = 20
    reads: bool = True
    hello: dict[str, Any] = field(default_factory=dict)
    voice: list[Came] = field(default_factory=list)
    face: list[Came] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    started: float = 0.0
    closed: tuple[int, str] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    async def __aenter__(self) -> SocketClient:
        url = self.server.url.replace("http", "ws", 1) + "/ws"
        self.socket: ClientConnection = await connect(
            url, compression=None, ping_interval=None, **self.options
        )
        microphone = {"codec": "pcm16", "rate": self.rate}
        await self.socket.send(hello(**{"microphone": microphone, **self.hello}))
        self.config = json.loads(await self.socket.recv())
        assert self.config["type"] == "config", self.config
        self._tasks = [asyncio.create_task(self._speak()), asyncio.create_task(self._read())]
        return self

    async def _speak(self) -> None:
        self.started = time.monotonic()
        count = self.rate * self.packet_ms // 1000
        with contextlib.suppress(ConnectionClosed):
            for number in range(10**6):
                due = self.started + (number + 1) * self.packet_ms / 1000
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                part = self.pcm[number * count : (number + 1) * count]
                payload = np.pad(part, (0, count - len(part))).astype("<i2").tobytes()
                pts = number * count * RATE // self.rate
                await self.socket.send(Packet(Kind.MICROPHONE, number, pts, payload).pack())

    async def _read(self) -> None:
        try:
            while True:
                while not self.reads:
                    await asyncio.sleep(0.01)
                message = await self.socket.recv()
                self._note(message)
                if isinstance(message, bytes) and len(self.voice) % 2 == 0:
                    packet = parse(message)
                    if packet.kind == Kind.VOICE:
                        answer = Packet(Kind.ACKNOWLEDGEMENT, packet.sequence)
                        await self.socket.send(answer.pack())
        except ConnectionClosed as error:
            if error.rcvd is not None:
                self.closed = error.rcvd.code, error.rcvd.reason

    def _note(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.texts.append(json.loads(message))
            return
        packet = parse(message)
        kept = {Kind.VOICE: self.voice, Kind.FACE: self.face}[packet.kind]
        kept.append(Came(time.monotonic(), packet))

    async def until(self, condition: Any, seconds: float = 10.0) -> None:
        """Wait until it holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            await asyncio.sleep(0.01)

    async def __aexit__(self, *error: object) -> None:
        self.reads = True
        await self.socket.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
