"""Another background behind a person, without cutting them out.

What stood behind them is known, so each pixel moves by the difference of the two backgrounds as
far as it shows the background: ``out = picture + (1 - alpha) * (new - old)``. What of the old one
shines through hair is taken out by that, and nothing of the person has to be guessed. (The
compositing equation of Porter and Duff, "Compositing Digital Images", 1984, written once for each
background, and the foreground eliminated.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.engines.i420 import planes_of

__all__ = ["Blender", "blurred", "difference_of", "solid"]

U8 = NDArray[np.uint8]
I16 = NDArray[np.int16]

PASSES = 3
"""Of a box: together nearly a Gaussian."""
BLUR_SHARE = 0.035
"""Of the frame's height: the standard deviation, with which nothing in a room can be read."""


def difference_of(new: U8, old: U8) -> I16:
    """``i16[...]``: what to add to the old background to get the new one."""
    return new.astype(np.int16) - old.astype(np.int16)


def solid(y: int, u: int, v: int, width: int, height: int) -> U8:
    """An I420 picture of one colour."""
    i420 = np.empty((height * 3 // 2, width), np.uint8)
    for plane, value in zip(planes_of(i420), (y, u, v), strict=True):
        plane[:] = value
    return i420


def blurred(i420: U8) -> U8:
    """An I420 picture as a call's blurred background; takes tens of milliseconds."""
    out = np.empty_like(i420)
    sigma = BLUR_SHARE * i420.shape[0] * 2 / 3
    for index, (plane, result) in enumerate(zip(planes_of(i420), planes_of(out), strict=True)):
        # Of n boxes with radius r the variance is n * ((2 r + 1)^2 - 1) / 12.
        radius = round((np.sqrt(12 * (sigma / (1 + (index > 0))) ** 2 / PASSES + 1) - 1) / 2)
        soft = plane.astype(np.float32)
        for _ in range(PASSES):
            soft = _box(_box(soft, radius).T, radius).T
        result[:] = np.round(soft)
    return out


def _box(plane: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """The mean of each pixel and its `radius` neighbours above and below; edges are repeated."""
    padded = np.pad(plane, ((radius + 1, radius), (0, 0)), mode="edge")
    sums = np.cumsum(padded, axis=0, dtype=np.float64)
    return ((sums[2 * radius + 1 :] - sums[: -2 * radius - 1]) / (2 * radius + 1)).astype(
        np.float32
    )


class Blender:
    """Replaces backgrounds of pictures of one size; holds its scratch memory. One caller at a time.

    Integers of 16 bits: a weight of 0 to 128 times a difference of at most 255 fits. The result is
    within two levels of the exact one; where alpha is 255 it is the picture itself, and where it is
    0 the new background itself (the picture's own noise stays behind).
    """

    def __init__(self) -> None:
        self._weight = np.empty(0, np.int16)
        self._moved = np.empty(0, np.int16)

    def blend(self, i420: U8, alpha: U8, new: U8, difference: I16) -> U8:
        """Return the picture before the new background, in memory of its own.

        Args:
            i420: ``u8[H * 3 / 2, W]``, C-contiguous like all of them.
            alpha: ``u8[H, W]``, 255 where there is only the person.
            new: ``u8[H * 3 / 2, W]``, the new background.
            difference: ``i16[H * 3 / 2, W]``, of `difference_of`.
        """
        if self._weight.shape != i420.shape:
            self._weight = np.empty(i420.shape, np.int16)
            self._moved = np.empty(i420.shape, np.int16)
        weight, moved = self._weight, self._moved
        y, u, v = planes_of(weight)
        np.subtract(255, alpha, out=y, dtype=np.int16, casting="unsafe")
        # The mean of four, rounded; a pair is added before the next.
        np.add(y[::2, ::2], y[::2, 1::2], out=u)
        u += y[1::2, ::2]
        u += y[1::2, 1::2]
        u += 2
        u >>= 2
        v[:] = u
        nothing = weight == 255
        # 0..255 to 0..128, both ends exact.
        np.right_shift(weight, 7, out=moved)
        weight += moved
        weight >>= 1
        np.multiply(weight, difference, out=moved)
        moved += 64
        moved >>= 7
        moved += i420
        np.maximum(moved, 0, out=moved)
        np.minimum(moved, 255, out=moved)
        out = moved.astype(np.uint8)
        np.copyto(out, new, where=nothing)
        return out
