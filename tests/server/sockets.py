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
        packet_ms: how long a microphone packet is.
        fragments: cuts each microphone message into frames anywhere.
        silent: whether it says nothing at all; may be changed while it runs.
    """

    server: Server
    pcm: NDArray[np.int16]
    rate: int = RATE
    packet_ms: int = 20
    fragments: np.random.Generator | None = None
    silent: bool = False
    hello: dict[str, Any] = field(default_factory=dict)
    voice: list[Came] = field(default_factory=list)
    face: list[Came] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    started: float = 0.0
    received: int = 0
    unacknowledged: int = 0
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
        work = (self._speak(), self._read(), self._remind())
        self._tasks = [asyncio.create_task(part) for part in work]
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
                if self.silent:
                    continue
                message = Packet(Kind.MICROPHONE, number, pts, payload).pack()
                if self.fragments is not None:
                    cuts = self.fragments.integers(0, len(message) + 1, 4)
                    ends = [*sorted(cuts), len(message)]
                    pieces = [message[a:b] for a, b in zip([0, *ends], ends, strict=False)]
                    await self.socket.send(pieces)
                else:
                    await self.socket.send(message)

    async def _read(self) -> None:
        try:
            while True:
                self._note(await self.socket.recv())
                if self.unacknowledged >= 2:
                    await self._acknowledge()
        except ConnectionClosed as error:
            if error.rcvd is not None:
                self.closed = error.rcvd.code, error.rcvd.reason

    async def _remind(self) -> None:
        """What came last is acknowledged too, soon."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(0.1)
                if self.unacknowledged:
                    await self._acknowledge()

    async def _acknowledge(self) -> None:
        if not self.silent:
            self.unacknowledged = 0
            # Closed meanwhile: what came before that is still to be read.
            with contextlib.suppress(ConnectionClosed):
                await self.socket.send(Packet(Kind.ACKNOWLEDGEMENT, self.received).pack())

    def _note(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.texts.append(json.loads(message))
            return
        packet = parse(message)
        kept = {Kind.VOICE: self.voice, Kind.FACE: self.face}[packet.kind]
        kept.append(Came(time.monotonic(), packet))
        self.received = packet.sequence
        self.unacknowledged += packet.kind == Kind.VOICE

    async def until(self, condition: Any, seconds: float = 10.0) -> None:
        """Wait until it holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            await asyncio.sleep(0.01)

    async def __aexit__(self, *error: object) -> None:
        await self.socket.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
