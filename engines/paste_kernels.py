"""The loop of `paste@1`, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.engines.raster_kernels import compiled

__all__ = ["lay_in"]

U8 = NDArray[np.uint8]


@compiled(fast=True)
def lay_in(
    plane: U8,
    crop: U8,
    mask: U8,
    back: NDArray[np.float32],
    left: int,
    top: int,
    right: int,
    bottom: int,
) -> None:
    """Blend a crop into one plane, in place, sampled bilinearly.

    Args:
        plane: uint8[H, W].
        crop: uint8[S, S].
        mask: uint8[M, M], over the whole crop.
        back: f32[2, 3], from the plane's pixels to the crop's.
        left, top, right, bottom: the pixels to look at.
    """
    last = crop.shape[0] - 1
    ratio = np.float32(mask.shape[0]) / np.float32(crop.shape[0])
    for row in range(top, bottom):
        for column in range(left, right):
            x = back[0, 0] * column + back[0, 1] * row + back[0, 2]
            y = back[1, 0] * column + back[1, 1] * row + back[1, 2]
            if x < 0.0 or y < 0.0 or x > last or y > last:
                continue
            share = _between(
                mask, (x + 0.5) * ratio - np.float32(0.5), (y + 0.5) * ratio - np.float32(0.5)
            ) / np.float32(255.0)
            if share <= 0.0:
                continue
            old = np.float32(plane[row, column])
            new = old + share * (_between(crop, x, y) - old)
            plane[row, column] = np.uint8(new + np.float32(0.5))


@compiled(fast=True)
def _between(picture: U8, x: np.float32, y: np.float32) -> np.float32:
    last = picture.shape[0] - 1
    x = min(max(x, np.float32(0.0)), np.float32(last))
    y = min(max(y, np.float32(0.0)), np.float32(last))
    column, row = min(int(x), max(last - 1, 0)), min(int(y), max(last - 1, 0))
    right, below = min(column + 1, last), min(row + 1, last)
    across, down = x - column, y - row
    upper = picture[row, column] + across * (
        np.float32(picture[row, right]) - np.float32(picture[row, column])
    )
    lower = picture[below, column] + across * (
        np.float32(picture[below, right]) - np.float32(picture[below, column])
    )
    return np.float32(upper + down * (lower - upper))
