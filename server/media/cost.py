"""What one session's pictures and packets cost this machine, measured through the classes at work.

Processor time of the measuring thread, so that neighbours do not count. Pictures are the person's
own, moving, at the settings that sessions get. Packets go the whole way over a socket of this
machine: Opus, RTP, SRTP, the receive path, and the loop that calls them. Sending the microphone's
packets, which is the visitor's to do, is in it too.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import count

import av
import numpy as np
from aiortc.codecs import get_encoder
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket
from numpy.typing import NDArray
from pylibsrtp import Policy, Session

from visavis.engines.client import EngineClient, Frame
from visavis.engines.errors import EngineError
from visavis.server.loops import loop_factory
from visavis.server.media.clock import STEP_SECONDS
from visavis.server.media.encoder import OpenEncoder, open_encoder
from visavis.server.media.encoding import Encoding
from visavis.server.media.opus import OpusDecoder, OpusEncoder
from visavis.server.media.receive import MicrophoneStream
from visavis.server.media.voice import VoiceLine

__all__ = ["MediaCost", "encode_seconds", "measure", "packet_seconds", "pictures"]

ENCODE_SECONDS = 0.3
PICTURES = 25
PICTURES_TIMEOUT = 20.0
RATE = 16_000
TICK = 640
PACED_SECONDS = 0.6
SESSIONS = 2
FRAME_BYTES = 6_000  # of a picture at 1.2 Mbit/s
VOICE, FACE = 96, 97
HISTORY = 128
_PROFILE = Policy.SRTP_PROFILE_AES128_CM_SHA1_80
_KEY = bytes(range(30))


@dataclass(frozen=True, slots=True)
class MediaCost:
    """What the media side of a session costs.

    Attributes:
        encode_seconds: of one core, for one frame's compression.
        packet_seconds: of one core, for one session and one second.
        card_frames_per_s: what a card compresses; None where the processor does it.
    """

    encode_seconds: float
    packet_seconds: float
    card_frames_per_s: float | None = None


def measure(engine: EngineClient, encoding: Encoding) -> MediaCost:
    """Measure both; takes about two seconds, and blocks.

    Args:
        engine: draws the pictures; its first person is taken.
        encoding: what compresses them.

    Raises:
        VisavisError: the engine draws nothing.
    """
    frames = pictures(engine)
    started = time.monotonic()
    encode, number = encode_seconds(frames, encoding.usual, make=encoding.open)
    pace = number / (time.monotonic() - started)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        packets = runner.run(packet_seconds())
    return MediaCost(encode, packets, pace if encoding.on_card else None)


def pictures(engine: EngineClient) -> list[NDArray[np.uint8]]:
    """A second of the first person who speaks: ``u8[H * 3 / 2, W]`` each.

    Raises:
        VisavisError: the person cannot be loaded, or nothing was drawn in time.
    """
    person = engine.persons()[0]
    engine.prepare(person.name)
    frames: list[NDArray[np.uint8]] = []
    news = threading.Condition()

    def on_frame(frame: Frame) -> None:
        with news:
            frames.append(frame.i420)
            news.notify()

    session = engine.open(person.name, on_frame, seed=0)
    try:
        session.push(_babble(person.lookahead_ms * RATE // 1000))
        for number in range(PICTURES):
            # One tick after the other: an engine leaves out ticks that wait for it.
            session.push(_babble(TICK, number * TICK))
            with news:
                while len(frames) <= number:
                    if not news.wait(PICTURES_TIMEOUT):
                        raise EngineError("The engine draws no pictures; nothing can be measured.")
    finally:
        session.close()
    return frames


def _babble(samples: int, start: int = 0) -> NDArray[np.float32]:
    """A voiced buzz that opens and shuts four times a second, so that the mouth moves."""
    t = (np.arange(start, start + samples) / RATE).astype(np.float32)
    buzz = sum(np.sin(2 * np.pi * 110 * k * t) / k for k in range(1, 20))
    return np.asarray(0.1 * buzz * (0.5 - 0.5 * np.cos(2 * np.pi * 4 * t)), np.float32)


def encode_seconds(
    frames: list[NDArray[np.uint8]],
    mime_type: str = "video/VP8",
    *,
    seconds: float = ENCODE_SECONDS,
    make: OpenEncoder = open_encoder,
) -> tuple[float, int]:
    """Core seconds for one frame, and how many were compressed.

    The pictures are shown forwards and backwards, so that there is never a cut.
    """
    height, width = frames[0].shape[0] * 2 // 3, frames[0].shape[1]
    encoder = make(mime_type, width, height)
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    encoder.encode(0, frames[0], key=True)
    started = time.thread_time()
    for done in count(1):
        encoder.encode(done, frames[order[done % len(order)]], key=False)
        spent = time.thread_time() - started
        # Once through all of them at least, or a still stretch would be all that was seen.
        if spent >= seconds and done >= len(order):
            return spent / done, done
    raise AssertionError


async def packet_seconds(
    seconds: float = PACED_SECONDS, sessions: int = SESSIONS, *, speaks: bool = True
) -> float:
    """Core seconds that one session's packets need each second.

    Or those of somebody who only watches: without a microphone, and with a voice and a picture that
    were compressed for another.

    At the pace of real sessions: a loop that sleeps between its packets must wake up, and finds its
    caches cold, which costs as much again as the packets themselves. ICE, RTCP and the session's
    own housekeeping are not in it; to make up for that only two sessions share a wake-up's cost,
    where a full worker has twenty.
    """
    async with contextlib.AsyncExitStack() as stack:
        all_ = [await stack.enter_async_context(_packets(speaks)) for _ in range(sessions)]
        for one in all_:
            await one.step()  # nobody begins cold
        started, steps = time.thread_time(), round(seconds / STEP_SECONDS)
        await asyncio.gather(
            *(one.run(steps, number * STEP_SECONDS / sessions) for number, one in enumerate(all_))
        )
        return (time.thread_time() - started) / (sessions * steps * STEP_SECONDS)


@contextlib.asynccontextmanager
async def _packets(speaks: bool = True) -> AsyncIterator[_Packets]:
    loop = asyncio.get_running_loop()
    near, visitor = await loop.create_datagram_endpoint(_Inbox, local_addr=("127.0.0.1", 0))
    far, server = await loop.create_datagram_endpoint(
        _Inbox, local_addr=("127.0.0.1", 0), remote_addr=near.get_extra_info("sockname")
    )
    pool = ThreadPoolExecutor(1, thread_name_prefix="visavis-measure")
    try:
        yield _Packets(near, far, visitor, server, pool, speaks)
    finally:
        near.close()
        far.close()
        pool.shutdown()


class _Inbox(asyncio.DatagramProtocol):
    """Holds what came (bounded, drop-newest, as a socket's buffer does)."""

    def __init__(self) -> None:
        self.packets: asyncio.Queue[bytes] = asyncio.Queue(64)

    def datagram_received(self, data: bytes, address: object) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self.packets.put_nowait(data)


class _Way:
    """One direction: RTP and SRTP as aiortc does them, over a socket."""

    def __init__(self, transport: asyncio.DatagramTransport, to: tuple[str, int] | None) -> None:
        self._transport = transport
        self._to = to
        self._out = Session(
            Policy(key=_KEY, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=_PROFILE)
        )
        self._in = Session(
            Policy(key=_KEY, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=_PROFILE)
        )
        self._extensions = HeaderExtensionsMap()
        self._sequence = {VOICE: 0, FACE: 0}
        self._history: dict[int, RtpPacket] = {}

    async def send(self, kind: int, timestamp: int, payload: bytes, *, last: bool = True) -> None:
        sequence = self._sequence[kind]
        self._sequence[kind] = (sequence + 1) & 0xFFFF
        packet = RtpPacket(kind, int(last), sequence, timestamp & 0xFFFFFFFF, kind, payload)
        self._history[sequence % HISTORY] = packet
        data = self._out.protect(packet.serialize(self._extensions))
        self._transport.sendto(data, self._to)

    async def receive(self, inbox: _Inbox) -> RtpPacket:
        data = await inbox.packets.get()
        return RtpPacket.parse(self._in.unprotect(data), self._extensions)


class _Packets:
    """The packets of one session: a microphone in, a voice and a picture out."""

    def __init__(
        self,
        near: asyncio.DatagramTransport,
        far: asyncio.DatagramTransport,
        visitor: _Inbox,
        server: _Inbox,
        pool: ThreadPoolExecutor,
        speaks: bool,
    ) -> None:
        self._to_server = _Way(near, far.get_extra_info("sockname"))
        self._to_visitor = _Way(far, None)
        self._visitor, self._server = visitor, server
        self._pool = pool
        self._speaks = speaks
        self._packer = get_encoder(
            RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90_000, payloadType=FACE)
        )
        self._encoder = OpusEncoder()
        self._microphone = MicrophoneStream(OpusDecoder())
        self._line = VoiceLine(self._microphone, origin=0.0, lookahead_ms=100, budget_ms=20)
        self._noise = np.random.default_rng(0).normal(0, 0.1, (8, 960)).astype(np.float32)
        self._said = self._encoder.encode(self._noise[0])
        self._step = 0

    async def run(self, steps: int, after: float) -> None:
        """So many steps, one every 20 ms, the first after so many seconds."""
        begun = time.monotonic() + after
        for number in range(steps):
            await asyncio.sleep(max(0.0, begun + number * STEP_SECONDS - time.monotonic()))
            await self.step()

    async def step(self) -> None:
        """20 ms of voice, and every second time a picture."""
        step, now = self._step, (self._step + 1) * STEP_SECONDS
        self._step += 1
        if self._speaks:
            await self._answer(step, now)
        else:
            await asyncio.ensure_future(self._to_visitor.send(VOICE, step * 960, self._said))
        if step % 2 == 0:
            await asyncio.ensure_future(self._picture(step * 1800))
        while not self._visitor.packets.empty():
            self._visitor.packets.get_nowait()

    async def _answer(self, step: int, now: float) -> None:
        await self._to_server.send(VOICE, step * 960, self._said)
        packet = await self._to_server.receive(self._server)
        self._microphone.add(
            packet.sequence_number, packet.timestamp, packet.payload, now=now - 0.008
        )
        self._line.pull(now)
        for voice in self._line.send(now):
            # Noise, for silence is cheap; the microphone sends it in the next step.
            self._said = self._encoder.encode(voice.pcm + self._noise[step % 8])
            await asyncio.ensure_future(self._to_visitor.send(VOICE, step * 960, self._said))

    async def _picture(self, timestamp: int) -> None:
        # From the engine's thread to the loop, from there to the encoder's and back.
        data = bytes(FRAME_BYTES)
        if self._speaks:
            data = await asyncio.get_running_loop().run_in_executor(self._pool, bytes, FRAME_BYTES)
        picture = av.Packet(data)
        picture.pts = timestamp
        picture.time_base = Fraction(1, 90_000)
        payloads, _ = self._packer.pack(picture)
        for number, payload in enumerate(payloads):
            await self._to_visitor.send(FACE, timestamp, payload, last=number == len(payloads) - 1)
