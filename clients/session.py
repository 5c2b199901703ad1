"""A session with a server: speech in, at whatever pace; voice and face out, and what was said.

    async with await AvatarSession.open("http://localhost:8000", rate=24_000) as session:
        await session.speak(pcm16)
        await session.end_segment()
        async for event in session:
            ...

It goes over the server's WebSocket (docs/network.md, docs/agents.md). Voice and face come as they
are due; whoever shows them pairs them by `pts_s`, the session's media time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from visavis.clients.errors import ClientError, Refused
from visavis.clients.wire import Kind, Message, pack, socket_address, unpack

__all__ = [
    "AvatarSession",
    "Event",
    "Picture",
    "PlaybackFinished",
    "PlaybackStarted",
    "Voice",
]

RATE = 48_000
OPEN_SECONDS = 60.0  # a person may have to be loaded
ACKNOWLEDGE_SECONDS = 0.05
MOST_AHEAD_SECONDS = 100.0  # the server takes 120 s
EVENTS = 400
"""Events that wait to be taken, five seconds of pictures and voice."""
MAX_MESSAGE = 1 << 20
PACKET_BYTES = 5760
LIVE_BYTES = 1920  # 20 ms at 48 kHz


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame: when it is due, uint8[H * 3 / 2, W] BT.601 limited I420."""

    pts_s: float
    i420: NDArray[np.uint8]
    generation: int


@dataclass(frozen=True, slots=True)
class Voice:
    """20 ms of voice, f32[960] at 48 kHz."""

    pts_s: float
    pcm: NDArray[np.float32]
    generation: int


@dataclass(frozen=True, slots=True)
class PlaybackStarted:
    """The first sample of a segment has left the server."""

    segment: int


@dataclass(frozen=True, slots=True)
class PlaybackFinished:
    """A segment has left, whole or until it was cleared."""

    segment: int
    position_s: float
    interrupted: bool


Event = Picture | Voice | PlaybackStarted | PlaybackFinished


class AvatarSession:
    """See the module. Made by `open`.

    Attributes:
        person, width, height, fps: of who is shown.
        dropped: pictures and pieces of voice that nobody took in time.
    """

    def __init__(
        self, socket: ClientConnection, config: dict[str, Any], rate: int, *, live: bool
    ) -> None:
        self.person: str = config["person"]
        face = config["face"]
        self.width, self.height, self.fps = face["width"], face["height"], face["fps"]
        self.dropped = 0
        self._socket = socket
        self._rate = rate
        self._live = live
        self._sent = 0  # samples at 48 kHz
        codec = {"vp8": "vp8", "h264": "h264"}[face["codec"]]
        self._decoder: Any = av.CodecContext.create(codec, "r")
        self._decoder.thread_count = 1
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._sequence = 0
        self._segment = 1
        self._open = False  # something of the present segment was sent
        self._ahead = 0.0  # s of speech that the server has and has not said, as of `_ahead_at`
        self._ahead_at = time.monotonic()
        self._acknowledged = 0.0
        self._failure: ClientError | None = None
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls,
        server: str,
        *,
        person: str | None = None,
        token: str | None = None,
        rate: int = 24_000,
        lookahead_ms: int | None = None,
        live: bool = False,
    ) -> Self:
        """Begin a session.

        Args:
            server: its address, as in https://avatar.example.
            person: who; the server's own choice where None.
            token: where the server wants one.
            rate: of the speech, 16000, 24000 or 48000.
            lookahead_ms: one that the person offers; the person's own where None.
            live: the sound is a microphone's, in step with time: the server then follows its clock,
                waits for nothing, and there are no segments.

        Raises:
            Refused: the server said no.
            ClientError: it cannot be reached.
        """
        address = socket_address(server)
        try:
            socket = await connect(address, max_size=MAX_MESSAGE, compression=None)
        except (OSError, InvalidHandshake, TimeoutError) as error:
            raise ClientError(f"{server} cannot be reached: {error}.") from error
        try:
            hello: dict[str, Any] = {
                "type": "hello",
                "version": 1,
                "microphone": {"codec": "pcm16", "rate": rate, "queued": not live},
                "voice": ["pcm16"],
                "face": ["vp8", "h264"],
            }
            asked = {"person": person, "token": token, "lookahead_ms": lookahead_ms}
            hello |= {name: value for name, value in asked.items() if value is not None}
            await socket.send(json.dumps(hello))
            config = await asyncio.wait_for(_answer(socket), OPEN_SECONDS)
            return cls(socket, config, rate, live=live)
        except (ConnectionClosed, TimeoutError) as error:
            raise ClientError(f"{server} did not answer.") from error
        except BaseException:
            await socket.close()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def speak(self, pcm16: bytes) -> None:
        """Say more of the present segment; waits while the server has speech for long enough.

        Args:
            pcm16: mono, little endian, of the session's rate; whole samples, any number.

        Raises:
            ValueError: half a sample.
            ClientError: the connection is gone.
        """
        if len(pcm16) % 2:
            raise ValueError("PCM16 comes in whole samples")
        most = LIVE_BYTES * self._rate // RATE if self._live else PACKET_BYTES
        for start in range(0, len(pcm16), most):
            piece = pcm16[start : start + most]
            seconds = len(piece) / 2 / self._rate
            while not self._live and self._waiting() + seconds > MOST_AHEAD_SECONDS:
                self._check()
                await asyncio.sleep(0.1)
            await self._send(pack(Kind.MICROPHONE, self._sequence, self._sent, piece))
            self._open = True
            self._sequence += 1
            self._sent += len(piece) // 2 * (RATE // self._rate)
            self._ahead = self._waiting() + seconds
            self._ahead_at = time.monotonic()

    async def end_segment(self) -> int:
        """End the present segment; returns its number, by which the playback events name it.

        Raises:
            ValueError: a microphone has no segments.
        """
        if self._live:
            raise ValueError("a live microphone has no segments")
        await self._send(json.dumps({"type": "end"}))
        self._segment, self._open = self._segment + 1, False
        return self._segment - 1

    async def clear(self) -> None:
        """Barge-in: what waits is dropped, the voice stops, the face goes to listening."""
        await self._send(json.dumps({"type": "clear"}))
        if self._open:
            self._segment, self._open = self._segment + 1, False
        self._ahead, self._ahead_at = 0.0, time.monotonic()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Event]:
        while True:
            while self._events:
                yield self._events.popleft()
            if self._ended:
                break
            self._news.clear()
            await self._news.wait()
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """End the session; calling it again does nothing."""
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(json.dumps({"type": "bye"}))
        await self._socket.close()
        await asyncio.wait([self._reading])

    # -- inside -------------------------------------------------------------------------------

    def _waiting(self) -> float:
        """Seconds of speech that the server has not said yet, as far as is known."""
        return max(0.0, self._ahead - (time.monotonic() - self._ahead_at))

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._reading.done():
            raise ClientError("The session has ended.")

    async def _send(self, message: str | bytes) -> None:
        self._check()
        try:
            await self._socket.send(message)
        except ConnectionClosed as error:
            raise self._failure or ClientError("The connection is gone.") from error

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                if isinstance(data, str):
                    self._text(json.loads(data))
                else:
                    await self._binary(unpack(data))
        except ConnectionClosed:
            self._failure = self._failure or ClientError("The connection is gone.")
        except ClientError as error:
            self._failure = error
        finally:
            self._ended = True
            self._news.set()

    def _text(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "playback_started":
                self._put(PlaybackStarted(message["segment"]))
            case "playback_finished":
                position = message["position_ms"] / 1000
                self._put(PlaybackFinished(message["segment"], position, message["interrupted"]))
            case "queue":
                self._ahead, self._ahead_at = message["waiting_ms"] / 1000, time.monotonic()
            case "error":
                self._failure = _refused(message)
            case "refused":
                self._failure = ClientError(message["detail"])

    async def _binary(self, message: Message) -> None:
        match message.kind:
            case Kind.VOICE:
                pcm = np.frombuffer(message.payload, "<i2").astype(np.float32) / np.float32(32768)
                self._put(Voice(message.pts / RATE, pcm, message.generation))
            case Kind.FACE:
                if not self._picture(message):
                    await self._socket.send(json.dumps({"type": "key_frame"}))
        now = time.monotonic()
        if now - self._acknowledged >= ACKNOWLEDGE_SECONDS:
            self._acknowledged = now
            await self._socket.send(pack(Kind.ACKNOWLEDGEMENT, message.sequence))

    def _picture(self, message: Message) -> bool:
        """Decode; False where the picture is lost until the next key frame."""
        try:
            frames = self._decoder.decode(av.Packet(message.payload))
        except av.FFmpegError:
            return False
        for frame in frames:
            i420 = frame.reformat(format="yuv420p").to_ndarray()
            self._put(Picture(message.pts / RATE, i420, message.generation))
        return True

    def _put(self, event: Event) -> None:
        """Hand over an event. Where too many wait, the oldest picture or voice goes."""
        self._events.append(event)
        if len(self._events) > EVENTS:
            for place, old in enumerate(self._events):
                if isinstance(old, Picture | Voice):
                    del self._events[place]
                    self.dropped += 1
                    break
        self._news.set()


async def _answer(socket: ClientConnection) -> dict[str, Any]:
    """The server's configuration.

    Raises:
        Refused: it said no.
    """
    while True:
        data = await socket.recv()
        message = json.loads(data) if isinstance(data, str) else {}
        if message.get("type") == "config":
            return dict(message)
        if message.get("type") == "error":
            raise _refused(message)


def _refused(message: dict[str, Any]) -> Refused:
    return Refused(message.get("status", 0), message.get("detail", ""), message.get("retry_after"))
