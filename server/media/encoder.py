"""Video encoders of our own: VP8 and H.264, real-time settings, one thread, no colour conversion.

The codec is opened once and never again: a new one would begin with a key frame nobody asked for.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from numpy.typing import NDArray

__all__ = ["Encoded", "H264Encoder", "VideoEncoder", "Vp8Encoder", "bitrate_for", "open_encoder"]

VIDEO_TIME_BASE = Fraction(1, 90_000)
FPS = 25
GOP = 3000


@dataclass(frozen=True, slots=True)
class Encoded:
    """One compressed frame, and what it cost."""

    index: int
    data: bytes
    key: bool
    distinct: bool
    """Whether the picture differs from the one encoded before it."""
    cpu_ms: float


class VideoEncoder(Protocol):
    """Compresses the frames of one session, in order, on any thread but one at a time."""

    mime_type: str

    def encode(self, index: int, i420: NDArray[np.uint8], *, key: bool) -> Encoded:
        """Compress frame ``index``, ``u8[height * 3 // 2, width]``; ``key`` forces a key frame."""


def bitrate_for(width: int, height: int) -> int:
    """Bits per second: 1.2 Mbit/s at 512x512, growing a little slower than the area."""
    return int(1_200_000 * math.pow(width * height / 512**2, 0.75))


class _Encoder:
    mime_type = ""

    def __init__(self, context: VideoCodecContext, width: int, height: int) -> None:
        context.width = width
        context.height = height
        context.bit_rate = bitrate_for(width, height)
        context.pix_fmt = "yuv420p"
        context.gop_size = GOP
        context.framerate = Fraction(FPS, 1)
        context.time_base = VIDEO_TIME_BASE
        # libvpx with two threads spins when the machine is busy: 24 ms a frame in place of 2.
        context.thread_count = 1
        self._context = context
        self._previous: NDArray[np.uint8] | None = None

    def encode(self, index: int, i420: NDArray[np.uint8], *, key: bool) -> Encoded:
        started = time.thread_time()
        frame = av.VideoFrame.from_numpy_buffer(i420, format="yuv420p")
        frame.pts = index * (90_000 // FPS)
        frame.time_base = VIDEO_TIME_BASE
        frame.pict_type = PictureType.I if key else PictureType.NONE
        packets = self._context.encode(frame)
        distinct = self._previous is None or not np.array_equal(self._previous, i420)
        self._previous = i420
        return Encoded(
            index=index,
            data=b"".join(bytes(packet) for packet in packets),
            key=any(packet.is_keyframe for packet in packets),
            distinct=distinct,
            cpu_ms=(time.thread_time() - started) * 1000,
        )


class Vp8Encoder(_Encoder):
    """libvpx VP8: constant bit rate, no look-ahead, speed 8."""

    mime_type = "video/VP8"

    def __init__(self, width: int, height: int) -> None:
        context = av.CodecContext.create("libvpx", "w")
        assert isinstance(context, VideoCodecContext)
        rate = bitrate_for(width, height)
        context.qmin, context.qmax = 2, 56
        context.options = {
            "deadline": "realtime",
            "cpu-used": "-8",
            "lag-in-frames": "0",
            "noise-sensitivity": "0",
            "static-thresh": "1",
            "minrate": str(rate),
            "maxrate": str(rate),
            "bufsize": str(rate // 2),
            "max-intra-rate": "300",
            "undershoot-pct": "100",
            "overshoot-pct": "15",
        }
        super().__init__(context, width, height)


class H264Encoder(_Encoder):
    """x264 Constrained Baseline: ultrafast, no look-ahead, no B-frames."""

    mime_type = "video/H264"

    def __init__(self, width: int, height: int) -> None:
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, VideoCodecContext)
        rate = bitrate_for(width, height)
        context.profile = "Baseline"
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "level": "31",
            "maxrate": str(rate),
            "bufsize": str(rate // 4),
            "forced-idr": "1",
            "x264-params": "scenecut=0:sliced-threads=0",
        }
        super().__init__(context, width, height)


def open_encoder(mime_type: str, width: int, height: int) -> VideoEncoder:
    """The encoder for a codec that :func:`visavis.server.media.sdp.choose_video` returned."""
    if mime_type.lower() == "video/h264":
        return H264Encoder(width, height)
    return Vp8Encoder(width, height)
