"""The three planes of an I420 picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["planes_of"]

U8 = NDArray[np.uint8]


def planes_of(picture: U8) -> tuple[U8, U8, U8]:
    """Return Y, U, V of an I420 picture uint8[H*3/2, W], as views."""
    rows, width = picture.shape
    height = rows * 2 // 3
    chroma = picture[height:].reshape(2, height // 2, width // 2)
    return picture[:height], chroma[0], chroma[1]
