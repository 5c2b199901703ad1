"""`audiodvp`'s composite: the made lower face laid over the real picture under a soft mask.

Grey-scale morphology and an 8-bit Gaussian. Outside the picture there is nothing that could grow or
shrink what is inside; the blur mirrors it without repeating the edge.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["blend", "covering", "dilated", "eroded", "softened"]

U8 = NDArray[np.uint8]

GROWN, SHRUNK = 4, 9  # pixels, when a mask is made and before it is used
# The original passes the number of a border rule, 4, where the deviation is expected; it is what
# its pictures were made with.
BLUR_SIZE, BLUR_DEVIATION = 5, 4.0


def covering(open_mouth: NDArray[np.bool_], closed_mouth: NDArray[np.bool_]) -> U8:
    """Return the mask of a frame uint8[H, W]: what is covered with the mouth open or closed, grown.

    Args:
        open_mouth, closed_mouth: bool[H, W], the pixels of the lower face in the frame's pose, with
            the frame's expression but for the first, which is -8, and with none.
    """
    return dilated(np.where(open_mouth | closed_mouth, 255, 0).astype(np.uint8), GROWN)


def softened(mask: U8) -> U8:
    """Return the mask that blends uint8[H, W] of the mask of a frame."""
    return _blurred(eroded(mask, SHRUNK))


def blend(mask: U8, foreground: U8, background: U8) -> U8:
    """Return uint8[H, W, 3], `mask` 255ths of the foreground, rounded to the nearest level.

    Args:
        mask: uint8[H, W]; foreground, background: uint8[H, W, 3].
    """
    share = mask[..., None].astype(np.float64) / 255.0
    return np.rint(share * foreground + (1.0 - share) * background).astype(np.uint8)


def dilated(picture: U8, reach: int) -> U8:
    """Return the largest value within `reach` pixels, uint8[H, W]."""
    wide = np.pad(picture, reach, constant_values=0)
    rows = sliding_window_view(wide, 2 * reach + 1, axis=0).max(axis=-1)
    largest: U8 = sliding_window_view(rows, 2 * reach + 1, axis=1).max(axis=-1)
    return largest


def eroded(picture: U8, reach: int) -> U8:
    """Return the smallest value within `reach` pixels, uint8[H, W]."""
    return 255 - dilated(255 - picture, reach)


def _blurred(picture: U8) -> U8:
    """A Gaussian in both directions."""
    offset = np.arange(BLUR_SIZE) - BLUR_SIZE // 2
    kernel = np.exp(-0.5 * (offset / BLUR_DEVIATION) ** 2)
    kernel /= kernel.sum()
    wide = np.pad(picture.astype(np.float64), BLUR_SIZE // 2, mode="reflect")
    rows = sliding_window_view(wide, BLUR_SIZE, axis=0) @ kernel
    return np.rint(sliding_window_view(rows, BLUR_SIZE, axis=1) @ kernel).astype(np.uint8)
