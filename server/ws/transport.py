"""One browser on a WebSocket, as a session sees it (:class:`visavis.server.media.Transport`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from visavis.server.errors import RequestError, TooMany, TooMuchSpeech
from visavis.server.limits import RateLimit
from visavis.server.media.encoder import Encoded
from visavis.server.media.receive import Decoder
from visavis.server.media.transport import TransportEvents, VoiceEncoder
from visavis.server.speech.stream import (
    MOST_SECONDS,
    PlaybackEvent,
    PlaybackFinished,
    PlaybackStarted,
    SpeechStream,
)
from visavis.server.ws.framing import Kind, Packet, parse
from visavis.server.ws.hello import Hello, parse_text
from visavis.server.ws.outbox import GIVE_UP, Outbox
from visavis.server.ws.sound import Pcm16Decoder, Pcm16Encoder

__all__ = ["Socket", "SocketTransport"]

MESSAGES_PER_SECOND = 150
MESSAGES_BURST = 1500
"""What a network that stood still for some seconds may bring at once."""
LAST_WORDS_SECONDS = 1.0
PTS_PER_VIDEO_TICK = 8 / 15  # from 90 kHz to 48 kHz
LONGEST_PACKET = 48_000 * 2 * 60 // 1000


class Socket(Protocol):
    """What is needed of a WebSocket that was accepted."""

    async def send_text(self, data: str) -> None:
        """Write, waiting for a full buffer."""

    async def send_bytes(self, data: bytes) -> None:
        """Write, waiting for a full buffer."""

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Say goodbye."""


class SocketTransport:
    """Reads messages that it is given (:meth:`take`) and writes to a socket (:meth:`write`).

    Args:
        hello: what was agreed on.
        events: whom to tell.
        clock: seconds, monotonic.
    """

    path = "websocket"

    def __init__(
        self,
        hello: Hello,
        events: TransportEvents,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.decoder: Decoder | None = None
        self.speech: SpeechStream | None = None
        self.voice_encoder: VoiceEncoder | None = None
        if hello.microphone == "pcm16":
            self.decoder = Pcm16Decoder(hello.microphone_rate)
        if hello.queued:
            self.speech = SpeechStream(self._played)
            self._speech_decoder = Pcm16Decoder(hello.microphone_rate)
            self._speech_rate = hello.microphone_rate
            self._expected: int | None = None
            self._refused = False
        if hello.voice == "pcm16":
            self.voice_encoder = Pcm16Encoder()
        self.video_mime_type = hello.video_mime_type
        self.received_packets = 0
        self._events = events
        self._clock = clock
        self._outbox = Outbox()
        self._rate = RateLimit(MESSAGES_PER_SECOND, MESSAGES_BURST)
        self._news = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._done = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    @property
    def round_trip_ms(self) -> float | None:
        """The quickest of late, from a message to its acknowledgement."""
        trip = self._outbox.round_trip
        return None if trip is None else trip * 1000

    @property
    def shed_frames(self) -> int:
        """Frames that were encoded and then left out for a slow network."""
        return self._outbox.shed_frames

    @property
    def shed_voice(self) -> int:
        """Packets of voice that were left out for a slow network."""
        return self._outbox.shed_voice

    # -- towards the browser ------------------------------------------------------------------

    def takes_face(self, ahead: int) -> bool:
        """Whether a frame would get through in time, after so many that are encoded already."""
        return self._outbox.takes_face(self._clock(), ahead)

    def send_voice(self, packet: bytes, pts: int) -> None:
        """Send 20 ms of voice; ``pts`` in samples at 48 kHz."""
        now = self._clock()
        self._outbox.put_voice(packet, pts, now)
        self._news.set()
        if self._outbox.excess(now) > GIVE_UP and self._closing is None:
            self.close_with(4408, "The connection is too slow; nothing gets through.")
            self._events.state("failed")

    def send_face(self, encoded: Encoded, pts: int) -> bool:
        """Send a frame, ``pts`` at 90 kHz; False if a key frame is needed."""
        at = round(pts * PTS_PER_VIDEO_TICK)
        sent = self._outbox.put_face(encoded.data, at, self._clock(), key=encoded.key)
        self._news.set()
        return sent

    def send_message(self, message: dict[str, object]) -> None:
        """Send a control message."""
        self._outbox.put_text(json.dumps(message, separators=(",", ":")))
        self._news.set()

    def clear(self, generation: int) -> None:
        """Barge-in: what waits is dropped."""
        if not self._outbox.clear(generation):
            self._events.key_frame()

    async def write(self, socket: Socket) -> None:
        """Write what there is until :meth:`close_with`; the socket is closed then."""
        self._writer = asyncio.current_task()
        try:
            while self._closing is None:
                while (message := self._outbox.next(self._clock())) is not None:
                    await _send(socket, message)
                self._news.clear()
                if self._closing is None:
                    await self._news.wait()
            while (message := self._outbox.next(self._clock())) is not None:
                if isinstance(message, str):
                    await _send(socket, message)
            assert self._closing is not None
            await socket.close(*self._closing)
        finally:
            self._writer = None  # how it ends is an exception, and that knows this transport
            self._done.set()

    # -- from the browser ---------------------------------------------------------------------

    def begin(self) -> None:
        """The browser was told that it is let in: sound and picture may come."""
        self._events.state("connected")

    def ended(self, state: str) -> None:
        """The connection is over: ``closed`` where the browser said goodbye, or ``failed``."""
        self._events.state(state)

    def take(self, data: str | bytes) -> None:
        """One message that came.

        Raises:
            RequestError: it is none of ours.
            TooMany: they come faster than sound does.
        """
        try:
            self._rate.check("", self._clock())
        except TooMany as error:
            raise TooMany("Messages come faster than sound does.") from error
        self.received_packets += 1
        if isinstance(data, str):
            self._take_text(data)
            return
        packet = parse(data)
        match packet.kind:
            case Kind.ACKNOWLEDGEMENT:
                now = self._clock()
                self._outbox.acknowledged(packet.sequence, now)
                report = self._outbox.report(now)
                if report is not None:
                    self._events.report(report)
            case Kind.MICROPHONE:
                if self.speech is not None:
                    self._say(self.speech, packet)
                    return
                if len(packet.payload) > LONGEST_PACKET:
                    raise RequestError("A packet has at most 60 ms of sound.", status=413)
                sequence, timestamp = packet.sequence & 0xFFFF, packet.pts & 0xFFFFFFFF
                self._events.packet(sequence, timestamp, packet.payload)
            case _:
                raise RequestError("A browser sends microphone packets and acknowledgements only.")

    def _take_text(self, text: str) -> None:
        message = parse_text(text)
        match message["type"]:
            case "key_frame":
                self._events.key_frame()
            case "clear":
                self._events.clear()
            case "control":
                del message["type"]
                self._events.control(message, self.send_message)
            case "end" if self.speech is not None:
                self.speech.end()
            case "bye":
                self.close_with(1000, "")
                self.ended("closed")
            case unknown:
                raise RequestError(f"There is no message {unknown[:40]!r} here.")

    def _say(self, speech: SpeechStream, packet: Packet) -> None:
        """Take sound of a speech model, whatever its pace."""
        if len(packet.payload) % 2:
            raise RequestError("Speech comes in whole samples of 16 bits.")
        if self._expected not in (None, packet.sequence):
            if self._refused:
                return  # it was on its way when an earlier one was refused
            raise RequestError(
                f"Speech comes in order: packet {packet.sequence} is not {self._expected}."
            )
        room = MOST_SECONDS - speech.waiting_seconds
        self._refused = len(packet.payload) / 2 / self._speech_rate > room
        if self._refused:
            # Whoever sent it may go on: nothing that was taken is lost, and this can come again.
            self._expected = packet.sequence
            sentence = str(TooMuchSpeech(MOST_SECONDS))
            self.send_message({"type": "refused", "sequence": packet.sequence, "detail": sentence})
            return
        self._expected = (packet.sequence + 1) % (1 << 32)
        speech.put(self._speech_decoder.decode(packet.payload))

    def _played(self, event: PlaybackEvent) -> None:
        match event:
            case PlaybackStarted(segment):
                self.send_message({"type": "playback_started", "segment": segment})
            case PlaybackFinished(segment, samples, interrupted):
                self.send_message(
                    {
                        "type": "playback_finished",
                        "segment": segment,
                        "position_ms": round(samples / 48, 3),
                        "interrupted": interrupted,
                    }
                )

    # -- the end ------------------------------------------------------------------------------

    def close_with(self, code: int, reason: str) -> None:
        """Close soon, with a code and a sentence; what waits is not sent any more."""
        if self._closing is None:
            self._closing = (code, reason)
        self._news.set()

    async def aclose(self) -> None:
        """Say goodbye and wait until the writer is done; may be called again."""
        if self._closing is None:
            self.send_message({"type": "bye"})
            self.close_with(1001, "The session has ended.")
        if self._writer is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._done.wait(), LAST_WORDS_SECONDS)
        if self._writer is not None:
            self._writer.cancel()


def _send(socket: Socket, message: str | bytes) -> Awaitable[None]:
    return socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message)
