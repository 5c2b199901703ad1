"""The three planes of an I420 picture."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["planes_of"]

Value = TypeVar("Value", bound=np.generic)


def planes_of(
    picture: NDArray[Value],
) -> tuple[NDArray[Value], NDArray[Value], NDArray[Value]]:
    """Return Y, U, V of an I420 picture uint8[H*3/2, W], as views."""
    rows, width = picture.shape
    height = rows * 2 // 3
    chroma = picture[height:].reshape(2, height // 2, width // 2)
    return picture[:height], chroma[0], chroma[1]
