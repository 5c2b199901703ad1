"""A sample of the sessions is decoded, to see that what was counted are pictures of somebody."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from aiortc.codecs import depayload
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

__all__ = ["Pictures"]

NAMES = {"vp8": ("video/VP8", "vp8"), "h264": ("video/H264", "h264")}
THUMB = 16


class Pictures:
    """Decodes one session's stream; after a loss it waits for the next key frame.

    Args:
        codec: ``vp8`` or ``h264``.
    """

    def __init__(self, codec: str) -> None:
        mime, name = NAMES[codec]
        self._parameters = RTCRtpCodecParameters(mimeType=mime, clockRate=90_000)
        context = av.CodecContext.create(name, "r")
        assert isinstance(context, VideoCodecContext)
        context.thread_count = 1
        self._context = context
        self._parts: list[bytes] = []
        self._timestamp: int | None = None
        self._broken = True  # until a key frame
        self._last: NDArray[np.uint8] | None = None
        self.decoded = 0
        self.distinct = 0
        self.moved = 0.0
        self.size = (0, 0)

    def packet(self, payload: bytes, timestamp: int, marker: bool, *, lost: bool) -> None:
        """Take the next packet; ``lost`` says that some before it did not come."""
        if lost or timestamp != self._timestamp:
            self._parts, self._timestamp = [], timestamp
        self._broken |= lost
        try:
            self._parts.append(depayload(self._parameters, payload))
            if marker:
                self._frame(b"".join(self._parts))
        except (ValueError, av.FFmpegError):
            self._broken = True

    def report(self) -> dict[str, Any]:
        """Frames decoded, how many differ from the one before, mean movement in levels of 255, the
        picture's size, and a thumbnail of the last one (16 x 16 means of the luma)."""
        thumb = None
        if self._last is not None:
            height, width = (side // THUMB * THUMB for side in self._last.shape)
            blocks = self._last[:height, :width].reshape(THUMB, height // THUMB, THUMB, -1)
            thumb = blocks.mean(axis=(1, 3)).round(1).ravel().tolist()
        return {
            "decoded": self.decoded,
            "distinct": self.distinct,
            "moved": round(self.moved / max(1, self.decoded - 1), 3),
            "size": list(self.size),
            "thumb": thumb,
        }

    def _frame(self, data: bytes) -> None:
        packet = av.Packet(data)
        for frame in self._context.decode(packet):
            if self._broken and not frame.key_frame:
                continue
            self._broken = False
            plane = frame.planes[0]
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            luma = rows[: frame.height, : frame.width].copy()
            self.decoded += 1
            self.size = (frame.width, frame.height)
            if self._last is not None and self._last.shape == luma.shape:
                # Every eighth row tells movement as well as all of them.
                away = np.abs(luma[::8].astype(np.int16) - self._last[::8])
                self.moved += float(away.mean())
                self.distinct += bool(away.any())
            else:
                self.distinct += 1
            self._last = luma
