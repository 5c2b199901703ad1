"""Video encoders of our own: VP8 and H.264, real-time settings, one thread.

They take I420 as it is to be sent; nothing is converted or scaled here.

A codec is opened once for each size that is used and never again: a new one would begin with a key
frame nobody asked for. Its bit rate changes while it runs. libavcodec hands a new rate on to x264
but not to libvpx; there the frames' *durations* are told shorter or longer than they are, and
libvpx, which gives each frame its share of the rate by its duration, makes smaller or larger ones.
(x264 would need a frame in hand to do so.)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from numpy.typing import NDArray

from visavis.server.media.i420_frame import frame_of
from visavis.server.rate.sizes import bitrate_for

__all__ = [
    "Encoded",
    "H264Encoder",
    "NvencEncoder",
    "OpenEncoder",
    "VideoEncoder",
    "Vp8Encoder",
    "open_encoder",
]

VIDEO_TIME_BASE = Fraction(1, 90_000)
FPS = 25
TICKS = 90_000 // FPS
GOP = 3000


@dataclass(frozen=True, slots=True)
class Encoded:
    """One compressed frame, and what it cost."""

    index: int
    data: bytes
    key: bool
    distinct: bool
    """Whether the engine drew another picture than the one before. Encoders, which do not know,
    say yes."""
    cpu_ms: float
    bit_rate: int = 0
    """What the encoder was asked for, in bits per second; 0 where it was not said."""


class VideoEncoder(Protocol):
    """Compresses the frames of one session, in order, on any thread but one at a time."""

    mime_type: str

    def encode(
        self,
        index: int,
        i420: NDArray[np.uint8],
        *,
        key: bool,
        bit_rate: int | None = None,
    ) -> Encoded:
        """Compress a frame.

        Args:
            index: its number; each is larger than the one before.
            i420: ``u8[height * 3 // 2, width]``. Another size than that of the frame before makes
                a key frame.
            key: whether it must stand alone.
            bit_rate: in bits per second; None for what the size usually gets.
        """


class _Codec:
    """One open codec context: one size."""

    def __init__(self, context: VideoCodecContext, width: int, height: int) -> None:
        context.width = width
        context.height = height
        self.usual = bitrate_for(width, height)
        context.bit_rate = self.usual  # x264 follows a change only where it began as its maxrate
        context.pix_fmt = "yuv420p"
        context.gop_size = GOP
        context.framerate = Fraction(FPS, 1)
        context.time_base = VIDEO_TIME_BASE
        # libvpx with two threads spins when the machine is busy: 24 ms a frame in place of 2.
        context.thread_count = 1
        context.open()
        self.context = context
        self._time = 0.0

    def encode(self, frame: av.VideoFrame, ticks: float, *, key: bool) -> tuple[bytes, bool]:
        """The bytes of a frame that is to last ``ticks`` of 1/90,000 s, and whether it is a key."""
        frame.pts = round(self._time)
        frame.duration = max(1, round(self._time + ticks) - frame.pts)
        self._time += ticks
        frame.time_base = VIDEO_TIME_BASE
        frame.pict_type = PictureType.I if key else PictureType.NONE
        packets = self.context.encode(frame)
        return b"".join(bytes(p) for p in packets), any(p.is_keyframe for p in packets)


class _Encoder:
    mime_type = ""
    by_duration = False
    """Whether the bit rate is set through the frames' durations."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._codecs = {self._size: self._open(width, height)}
        self._index = -1

    def _open(self, width: int, height: int) -> _Codec:
        raise NotImplementedError

    def encode(
        self,
        index: int,
        i420: NDArray[np.uint8],
        *,
        key: bool,
        bit_rate: int | None = None,
    ) -> Encoded:
        started = time.thread_time()
        rows, width = i420.shape
        size = (width, rows * 2 // 3)
        key = key or size != self._size
        codec = self._codecs.get(size)
        if codec is None:
            # At most three sizes of one look, 3 ms each, and never again.
            codec = self._codecs[size] = self._open(*size)
        self._size = size
        frame = frame_of(i420)
        bit_rate = bit_rate or codec.usual
        ticks = float(TICKS * max(1, index - self._index))
        if self.by_duration:
            ticks *= bit_rate / codec.usual
        elif codec.context.bit_rate != bit_rate:
            codec.context.bit_rate = bit_rate
        data, is_key = codec.encode(frame, ticks, key=key)
        self._index = index
        return Encoded(
            index=index,
            data=data,
            key=is_key,
            distinct=True,
            cpu_ms=(time.thread_time() - started) * 1000,
            bit_rate=bit_rate,
        )


class Vp8Encoder(_Encoder):
    """libvpx VP8: constant bit rate, no look-ahead, speed 8."""

    mime_type = "video/VP8"
    by_duration = True

    def _open(self, width: int, height: int) -> _Codec:
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
        return _Codec(context, width, height)


class H264Encoder(_Encoder):
    """x264 Constrained Baseline: ultrafast, no look-ahead, no B-frames."""

    mime_type = "video/H264"

    def _open(self, width: int, height: int) -> _Codec:
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
        return _Codec(context, width, height)


class NvencEncoder(_Encoder):
    """H.264 Constrained Baseline by an NVIDIA card, through libavcodec.

    Not run by us yet: no machine of ours had such an encoder. The options are those that NVENC's
    own guide names for low delay: constant bit rate, no B-frames, no frame held back, and a key
    frame that is asked for resets the decoder.
    """

    mime_type = "video/H264"

    def _open(self, width: int, height: int) -> _Codec:
        context = av.CodecContext.create("h264_nvenc", "w")
        assert isinstance(context, VideoCodecContext)
        rate = bitrate_for(width, height)
        context.max_b_frames = 0
        context.options = {
            "preset": "p2",
            "tune": "ull",
            "profile": "baseline",
            "rc": "cbr",
            "zerolatency": "1",
            "delay": "0",
            "bf": "0",
            "forced-idr": "1",
            "maxrate": str(rate),
            "bufsize": str(rate // 4),
        }
        return _Codec(context, width, height)


class OpenEncoder(Protocol):
    """Opens the encoder for a codec, at a width and height; called in the pool."""

    def __call__(self, mime_type: str, width: int, height: int, /) -> VideoEncoder: ...


def open_encoder(mime_type: str, width: int, height: int) -> VideoEncoder:
    """The encoder for a codec that :func:`visavis.server.media.sdp.choose_video` returned."""
    if mime_type.lower() == "video/h264":
        return H264Encoder(width, height)
    return Vp8Encoder(width, height)
