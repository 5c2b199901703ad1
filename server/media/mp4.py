"""The file itself: fragmented MP4, H.264 and AAC, each second complete by itself.

A fragment (ISO/IEC 14496-12, 8.8) is written when the next one begins, at each key frame, and goes
to the kernel at once: a process that is killed loses the fragment it was making and no more. The
head of the file (``moov``) comes with the first fragment, when it is known by how much AAC begins
before its first sample; written earlier, it would move the voice by 21 ms.
"""

from __future__ import annotations

import contextlib
from fractions import Fraction
from typing import BinaryIO, Protocol

import av
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray

from visavis.server.media.i420_frame import frame_of
from visavis.server.recording.timeline import KEY_TICKS

__all__ = ["NOTICE", "Movie", "Mp4"]

FPS = 25
RATE = 48_000
VOICE_BITS = 96_000
QUALITY = 21  # x264's constant rate factor
NOTICE = "AI-generated: the person in these pictures was drawn by a computer."
"""Stands in the file's metadata as its comment."""


class Movie(Protocol):
    """A file that is being made; for one thread at a time."""

    def picture(self, tick: int, i420: NDArray[np.uint8]) -> None:
        """Add ``u8[height * 3 // 2, width]``; ticks of 1/25 s grow.

        Raises:
            OSError: it cannot be written.
        """

    def voice(self, pcm: NDArray[np.float32]) -> None:
        """Add ``f32[n]`` at 48 kHz to the end of the voice.

        Raises:
            OSError: it cannot be written.
        """

    def close(self) -> None:
        """Make it whole.

        Raises:
            OSError: it cannot be written.
        """


class Mp4:
    """A :class:`Movie`.

    Args:
        out: where it goes, from its beginning to its end, never back; stays the caller's to close.
        width, height: of the pictures, even.
        title: for the file's metadata.
    """

    def __init__(self, out: BinaryIO, width: int, height: int, *, title: str) -> None:
        self._out = _Whole(out)
        container = self._container = av.open(
            self._out,
            "w",
            format="mp4",
            options={
                "movflags": "frag_keyframe+delay_moov+default_base_moof",
                "fflags": "flush_packets",
            },
        )
        container.metadata.update(title=title, comment=NOTICE)
        face = self._face = container.add_stream("libx264", rate=FPS)
        face.width, face.height, face.pix_fmt = width, height, "yuv420p"
        face.time_base = face.codec_context.time_base = Fraction(1, FPS)
        face.codec_context.thread_count = 1
        face.codec_context.gop_size = 10 * KEY_TICKS  # they are asked for, by time
        face.codec_context.max_b_frames = 0
        face.options = {
            "preset": "superfast",
            "tune": "zerolatency",
            "crf": str(QUALITY),
            "forced-idr": "1",
            "x264-params": "scenecut=0:sliced-threads=0",
        }
        voice = self._voice = container.add_stream("aac", rate=RATE, layout="mono")
        voice.bit_rate = VOICE_BITS
        self._samples = 0
        self._key: int | None = None

    def picture(self, tick: int, i420: NDArray[np.uint8]) -> None:
        """Add a picture; see :class:`Movie`."""
        frame = frame_of(i420)
        frame.pts, frame.time_base = tick, Fraction(1, FPS)
        if self._key is None or tick - self._key >= KEY_TICKS:
            frame.pict_type = PictureType.I
            self._key = tick
        for packet in self._face.encode(frame):
            packet.duration = packet.duration or 1
            self._mux(packet)

    def voice(self, pcm: NDArray[np.float32]) -> None:
        """Add voice; see :class:`Movie`."""
        frame = av.AudioFrame.from_ndarray(pcm[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        frame.pts, frame.time_base = self._samples, Fraction(1, RATE)
        self._samples += len(pcm)
        for packet in self._voice.encode(frame):
            self._mux(packet)

    def close(self) -> None:
        """Write what the codecs still hold, and the file's end."""
        try:
            if self._key is not None and not self._out.failed:
                for stream in (self._face, self._voice):
                    for packet in stream.encode(None):
                        self._mux(packet)
        finally:
            self._container.close()
        self._out.flush()

    def _mux(self, packet: av.Packet[av.VideoStream] | av.Packet[av.AudioStream]) -> None:
        self._container.mux(packet)
        self._out.flush()


class _Whole:
    """What libavformat writes to; it is handed on a fragment at a time, or not at all.

    So a torn fragment, which stricter players stumble over, is as good as never there.
    """

    def __init__(self, out: BinaryIO) -> None:
        self.failed = False
        self._out = out
        self._waiting = bytearray()
        self._written = 0

    def write(self, data: bytes) -> int:
        """Take what is written at one time."""
        if not self.failed:
            self._waiting += data
        return len(data)

    def flush(self) -> None:
        """Hand on what was taken.

        Raises:
            OSError: it cannot be written, and nothing of it is there.
        """
        waiting, self._waiting = self._waiting, bytearray()
        rest = memoryview(waiting)
        try:
            while rest:
                rest = rest[self._out.write(rest) :]
        except OSError:
            self.failed = True
            with contextlib.suppress(OSError):
                self._out.truncate(self._written)
            raise
        self._written += len(waiting)
