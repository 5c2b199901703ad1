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
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from visavis.clients.errors import ClientError, Refused
from visavis.clients.event_queue import EventQueue
from visavis.clients.events import (
    CodedPicture,
    CodedVoice,
    Event,
    Picture,
    PlaybackFinished,
    PlaybackStarted,
    Voice,
)
from visavis.clients.opening import CODECS, open_socket, refusal
from visavis.clients.wire import Kind, Message, pack, unpack

__all__ = [
    "AvatarSession",
    "Event",
    "Picture",
    "PlaybackFinished",
    "PlaybackStarted",
    "Voice",
]

RATE = 48_000
ACKNOWLEDGE_SECONDS = 0.05
MOST_AHEAD_SECONDS = 100.0  # the server takes 120 s
PACKET_BYTES = 5760
LIVE_BYTES = 1920  # 20 ms at 48 kHz
CHOOSE_SECONDS = 30.0  # a look may have to be read


class AvatarSession:
    """See the module. Made by `open`.

    Attributes:
        address: of the session under the server's, as in /sessions/ID.
        person, fps: of who is shown.
        width, height: of the pictures; a look that is `transparent` doubles the height.
    """

    def __init__(
        self,
        socket: ClientConnection,
        config: dict[str, Any],
        rate: int,
        *,
        live: bool,
        coded: bool = False,
    ) -> None:
        self.address: str = config["session"]
        self.person: str = config["person"]
        face = config["face"]
        self.width, self._own_height, self.fps = face["width"], face["height"], face["fps"]
        self.height: int = self._own_height
        self._socket = socket
        self._rate = rate
        self._live = live
        self._sent = 0  # samples at 48 kHz
        self._coded = coded
        self._decoder: Any = None
        if not coded:
            codec = {name: name for name in CODECS}[face["codec"]]
            self._decoder = av.CodecContext.create(codec, "r")
            self._decoder.thread_count = 1
        self._answers: deque[asyncio.Future[dict[str, Any]]] = deque()  # to `choose`, in order
        self._events = EventQueue()
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
        choices: Mapping[str, Any] | None = None,
        codec: str | None = None,
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
            choices: as for `choose`, made before anything is shown to whoever asked.
            codec: `vp8` or `h264`: voice and face come as they are sent, as `CodedVoice` and
                `CodedPicture`; decoded where None.

        Raises:
            Refused: the server said no, or to a choice.
            ClientError: it cannot be reached.
        """
        socket, config = await open_socket(
            server,
            person=person,
            token=token,
            rate=rate,
            lookahead_ms=lookahead_ms,
            live=live,
            codec=codec,
        )
        session = cls(socket, config, rate, live=live, coded=codec is not None)
        try:
            if choices:
                await session.choose(choices)
        except BaseException:
            await session.close()
            raise
        return session

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

    async def choose(self, choices: Mapping[str, Any]) -> dict[str, Any]:
        """Choose among what the person and the server offer; all of it or nothing.

        Args:
            choices: any of `style`, `head`, `performance`, `background` and `framing`, as in
                docs/looks.md and docs/systems/README.md; what is left out stays as it is.

        Returns:
            The whole choice.

        Raises:
            Refused: it is not offered; nothing has changed.
            ClientError: the connection is gone, or there was no answer.
        """
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        await self._send(json.dumps({**choices, "type": "control"}))
        try:
            chosen = await asyncio.wait_for(answer, CHOOSE_SECONDS)
        except TimeoutError:
            raise ClientError("The server did not answer the choice.") from None
        # Colour above and matte below: see docs/looks.md.
        stacked = chosen.get("background") == "transparent"
        self.height = self._own_height * (2 if stacked else 1)
        return chosen

    async def want_key_frame(self) -> None:
        """Ask for a picture that stands alone."""
        await self._send(json.dumps({"type": "key_frame"}))

    @property
    def dropped(self) -> int:
        """Pictures and pieces of voice that nobody took in time."""
        return self._events.dropped

    def __aiter__(self) -> AsyncIterator[Event]:
        return aiter(self._events)

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
            self._events.end(self._failure)
            lost = self._failure or ClientError("The session has ended.")
            for answer in self._answers:
                if not answer.done():
                    answer.set_exception(lost)

    def _text(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "playback_started":
                self._events.put(PlaybackStarted(message["segment"]))
            case "playback_finished":
                position = message["position_ms"] / 1000
                self._events.put(
                    PlaybackFinished(message["segment"], position, message["interrupted"])
                )
            case "controls":
                self._answered(message)
            case "controls_refused":
                self._answered(refusal(message))
            case "queue":
                self._ahead, self._ahead_at = message["waiting_ms"] / 1000, time.monotonic()
            case "error":
                self._failure = refusal(message)
            case "refused":
                self._failure = ClientError(message["detail"])

    def _answered(self, answer: dict[str, Any] | Refused) -> None:
        """The oldest choice has its answer; one that nobody waits for any more is passed over."""
        if not self._answers:
            return
        waiting = self._answers.popleft()
        if waiting.done():
            return
        if isinstance(answer, Refused):
            waiting.set_exception(answer)
        else:
            waiting.set_result({name: value for name, value in answer.items() if name != "type"})

    async def _binary(self, message: Message) -> None:
        match message.kind:
            case Kind.VOICE if self._coded:
                self._events.put(CodedVoice(message.pts, message.payload))
            case Kind.FACE if self._coded:
                self._events.put(CodedPicture(message.pts, message.payload, message.key))
            case Kind.VOICE:
                pcm = np.frombuffer(message.payload, "<i2").astype(np.float32) / np.float32(32768)
                self._events.put(Voice(message.pts / RATE, pcm, message.generation))
            case Kind.FACE:
                if not self._picture(message):
                    await self._socket.send(json.dumps({"type": "key_frame"}))
        if self._events.needs_key_frame():
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
            # On a slow network the server sends smaller ones; whoever shows them need not care.
            sized = frame.reformat(self.width, self.height, format="yuv420p", threads=1)
            i420 = sized.to_ndarray()
            self._events.put(Picture(message.pts / RATE, i420, message.generation))
        return True
