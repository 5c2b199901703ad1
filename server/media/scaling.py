"""Pictures of another size: libswscale, one thread."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from visavis.server.media.i420_frame import frame_of

__all__ = ["Scaler"]


class Scaler:
    """Scales I420 and grey pictures. One caller at a time; keeps its tables from call to call."""

    def __init__(self) -> None:
        self._scalers = {"yuv420p": VideoReformatter(), "gray": VideoReformatter()}

    def picture(self, i420: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        """``u8[height * 3 / 2, width]`` of ``u8[H * 3 / 2, W]``; the same where it fits already."""
        if i420.shape == (height * 3 // 2, width):
            return i420
        return self._scaled("yuv420p", frame_of(i420), width, height)

    def grey(self, plane: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        """``u8[height, width]`` of ``u8[H, W]``; the same where it fits already."""
        if plane.shape == (height, width):
            return plane
        frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(plane), format="gray")
        return self._scaled("gray", frame, width, height)

    def _scaled(
        self, name: str, frame: av.VideoFrame, width: int, height: int
    ) -> NDArray[np.uint8]:
        # Averaging is for making things smaller; enlarged with it, pixels stay squares.
        smaller = width <= frame.width and height <= frame.height
        how = Interpolation.AREA if smaller else Interpolation.BICUBIC
        # Left to itself, libswscale starts a thread for each core and keeps them all.
        frame = self._scalers[name].reformat(frame, width, height, interpolation=how, threads=1)
        return np.asarray(frame.to_ndarray(), np.uint8)
