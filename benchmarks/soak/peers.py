"""Visitors over the WebSocket path: they speak in real time, and note when things come."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from visavis.benchmarks.soak.echo import Heard, sound_delay
from visavis.server.ws.framing import Kind, Packet, parse

__all__ = ["Noted", "Refused", "Visitor"]

RATE = 48_000
PACKET = RATE // 50
ACKNOWLEDGE_S = 0.1
MOST_NOTED = 10_000  # arrivals kept until somebody takes them; the rest are counted


class Refused(Exception):
    """The server did not let a visitor in, or sent nothing; the message says which."""


class Noted:
    """What came since it was last asked.

    Attributes:
        face, voice: seconds from a packet's own time to its coming; the origin is unknown.
        report: what the server said of the session last.
        lost: packets that were not noted.
    """

    def __init__(self) -> None:
        self.face: list[float] = []
        self.voice: list[float] = []
        self.report: dict[str, Any] = {}
        self.lost = 0


class Visitor:
    """One session, from hello to bye.

    Args:
        url: of the server, ``http://...``.
        pcm: what is said again and again, i16[n] at 48 kHz.
    """

    def __init__(self, url: str, pcm: NDArray[np.int16]) -> None:
        self._url = url.replace("http", "ws", 1) + "/ws"
        self._pcm = pcm
        self._noted = Noted()
        self._heard = Heard()
        self._started = 0.0
        self._received = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._socket: ClientConnection | None = None
        self._face = asyncio.Event()
        self._voice = asyncio.Event()

    async def open(self, seconds: float = 20.0) -> None:
        """Say hello, begin to speak, and wait for the first picture and the first voice.

        Raises:
            Refused: the server let nobody in, or they did not come in time; all is closed again.
        """
        try:
            async with asyncio.timeout(seconds):
                self._socket = await connect(self._url, compression=None, ping_interval=None)
                microphone = {"codec": "pcm16", "rate": RATE}
                hello = {
                    "type": "hello",
                    "version": 1,
                    "microphone": microphone,
                    "voice": ["pcm16"],
                }
                await self._socket.send(json.dumps(hello))
                answer = json.loads(await self._socket.recv())
                if answer["type"] != "config":
                    raise Refused(str(answer.get("detail", answer)))
                work = (self._speak(), self._read(), self._acknowledge())
                self._tasks = [asyncio.create_task(part) for part in work]
                await self._face.wait()
                await self._voice.wait()
        except TimeoutError:
            await self.close()
            raise Refused(f"no voice and picture within {seconds:.0f} s") from None
        except (OSError, ConnectionClosed, InvalidHandshake) as error:
            await self.close()
            raise Refused(f"no connection: {error}") from error
        except Refused:
            await self.close()
            raise

    async def close(self) -> None:
        """Say bye and hang up."""
        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(json.dumps({"type": "bye"}))
            await self._socket.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def alive(self) -> bool:
        """Whether the server still sends."""
        return not self._tasks[1].done()

    def take(self) -> Noted:
        """What was noted since the last time."""
        noted, self._noted = self._noted, Noted()
        self._noted.report = noted.report
        return noted

    def sound_delay(self) -> float | None:
        """Seconds from saying something to hearing it; None where it is not found again."""
        latest = self._heard.latest()
        return None if latest is None else sound_delay(*latest, self._pcm, self._started)

    async def _speak(self) -> None:
        assert self._socket is not None
        self._started = time.monotonic()
        number = 0
        with contextlib.suppress(ConnectionClosed):
            while True:
                due = self._started + (number + 1) * PACKET / RATE
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                place = np.arange(number * PACKET, (number + 1) * PACKET) % self._pcm.size
                payload = self._pcm[place].astype("<i2").tobytes()
                message = Packet(Kind.MICROPHONE, number, number * PACKET, payload).pack()
                await self._socket.send(message)
                number += 1

    async def _read(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = await self._socket.recv()
                now = time.monotonic()
                if isinstance(message, str):
                    text = json.loads(message)
                    if text.get("type") == "stats":
                        self._noted.report = text
                    continue
                packet = parse(message)
                self._received = packet.sequence
                face = packet.kind == Kind.FACE
                (self._face if face else self._voice).set()
                if not face:
                    self._heard.add(now, np.frombuffer(packet.payload, "<i2"))
                kept = self._noted.face if face else self._noted.voice
                if len(kept) < MOST_NOTED:
                    kept.append(now - self._started - packet.pts / RATE)
                else:
                    self._noted.lost += 1

    async def _acknowledge(self) -> None:
        """Ten times a second is enough for a server on this machine."""
        assert self._socket is not None
        told = -1
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(ACKNOWLEDGE_S)
                if self._received != told:
                    told = self._received
                    await self._socket.send(Packet(Kind.ACKNOWLEDGEMENT, told).pack())
