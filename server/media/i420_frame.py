"""I420 arrays as frames of libav."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["frame_of"]


def frame_of(i420: NDArray[np.uint8]) -> av.VideoFrame:
    """A frame of ``u8[height * 3 // 2, width]``; it shares the memory where that can be.

    PyAV takes the height of a shared buffer for a multiple of four, and would read the chroma of
    any other from the wrong place.
    """
    i420 = np.ascontiguousarray(i420)
    if i420.shape[0] % 6:
        return av.VideoFrame.from_ndarray(i420, format="yuv420p")
    return av.VideoFrame.from_numpy_buffer(i420, format="yuv420p")
