"""Where a mouth is in a frame: its box, a window around it, and what is between the lips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.texture import inside

__all__ = ["BESIDE", "Window", "cut", "luma_of", "window"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]

# Beside the inner contour of the lips: 12 pixels where the eyes are 130 apart.
BESIDE = 0.09
# Pixels around the box, so that no filter of `octaves` sees an edge that is not there.
AROUND = 16


@dataclass(frozen=True, slots=True)
class Window:
    """A mouth in a frame.

    Attributes:
        rows, columns: of the frame: the mouth's box and 16 pixels around it, where there are so
            many.
        box: bool[h, w], the box in the window.
        between: bool[h, w], what is between the lips.
    """

    rows: slice
    columns: slice
    box: Bools
    between: Bools


def window(contour: NDArray[np.floating], iod: float, height: int, width: int) -> Window:
    """Return the window of a mouth.

    Args:
        contour: float[L, 2], inner contour of the lips, pixels of the frame.
        iod: pixels between the outer eye corners.
        height, width: of the frame.
    """
    lips = np.asarray(contour, np.float64)
    beside = BESIDE * iod
    left, top = np.floor(lips.min(axis=0) - beside).astype(int).tolist()
    right, bottom = np.ceil(lips.max(axis=0) + beside).astype(int).tolist()
    # A face at the frame's border has a smaller box, but it has one.
    left, right = np.clip((left, right), 0, width).tolist()
    top, bottom = np.clip((top, bottom), 0, height).tolist()
    rows = slice(max(0, top - AROUND), min(height, bottom + AROUND))
    columns = slice(max(0, left - AROUND), min(width, right + AROUND))
    x, y = np.meshgrid(
        np.arange(columns.start, columns.stop) + 0.5, np.arange(rows.start, rows.stop) + 0.5
    )
    box = (x > left) & (x < right) & (y > top) & (y < bottom)
    return Window(rows, columns, box, inside(lips, x, y))


def luma_of(frame: U8) -> U8:
    """Return uint8[H, W] of an I420 frame uint8[H*3/2, W]."""
    return frame[: len(frame) * 2 // 3]


def cut(frame: U8, where: Window) -> F32:
    """Return the luma of a window of an I420 frame, float32[h, w]."""
    return np.asarray(luma_of(frame)[where.rows, where.columns], np.float32)
