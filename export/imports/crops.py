"""Cutting a face out of a picture, and how it comes back.

A matrix f64[2, 3] takes (x, y, 1) to (x, y); the middles of pixels are at whole numbers.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from visavis.export.imports.errors import ImportRefused

__all__ = ["box_around", "crop", "feather", "inverted", "similarity"]

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

MOST_SAMPLES = 8  # along a side of a pixel, where a picture is made smaller
FEATHER = 1 / 12  # of the side
LEAST_SPREAD = 1e-6


def similarity(points: ArrayLike, target: ArrayLike) -> F64:
    """Return the turn, scale and shift that bring points nearest to others, in least squares.

    S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    1991, in two dimensions. It never mirrors.

    Args:
        points, target: f[N, 2], N at least 2.

    Returns:
        f64[2, 3], from points to target.

    Raises:
        ImportRefused: the points are not as many as the target's, not finite, or all in one place.
    """
    given, wanted = np.asarray(points, np.float64), np.asarray(target, np.float64)
    if given.shape != wanted.shape or given.ndim != 2 or given.shape[1] != 2 or len(given) < 2:
        raise ImportRefused(
            f"A face is placed by {len(wanted)} points (x, y), and {given.shape} came."
        )
    middle, aim = given.mean(axis=0), wanted.mean(axis=0)
    a, b = given - middle, wanted - aim
    spread = float((a**2).sum())
    if not np.isfinite(given).all() or spread < LEAST_SPREAD:
        raise ImportRefused("The face's points must be finite and not all in one place.")
    along = float((a * b).sum()) / spread
    across = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / spread
    if math.hypot(along, across) < LEAST_SPREAD:
        raise ImportRefused("The face's points do not lie like those of a face.")
    turn = np.array([[along, -across], [across, along]])
    return np.column_stack([turn, aim - turn @ middle])


def inverted(matrix: ArrayLike) -> F64:
    """Return the way back of a matrix f[2, 3].

    Raises:
        ImportRefused: there is none.
    """
    whole = np.vstack([np.asarray(matrix, np.float64), [0.0, 0.0, 1.0]])
    try:
        back: F64 = np.linalg.inv(whole)[:2]
    except np.linalg.LinAlgError:
        raise ImportRefused("A crop must have a size.") from None
    return back


def crop(image: U8, matrix: ArrayLike, size: int) -> U8:
    """Return a square of a picture.

    Bilinear; where the picture is made smaller, each pixel is the mean of several samples. What
    lies outside is the picture's edge.

    Args:
        image: uint8[H, W, C].
        matrix: f[2, 3], from the picture to the crop.
        size: of the crop in pixels.

    Returns:
        uint8[size, size, C].
    """
    back = inverted(matrix)
    shrunk = math.sqrt(abs(float(np.linalg.det(back[:, :2]))))
    samples = min(max(math.ceil(shrunk - 0.01), 1), MOST_SAMPLES)
    offsets = (np.arange(samples) + 0.5) / samples - 0.5
    total = np.zeros((size, size, image.shape[2]), np.float32)
    y, x = np.mgrid[:size, :size].astype(np.float64)
    for down in offsets:
        for right in offsets:
            total += _bilinear(
                image,
                back[0, 0] * (x + right) + back[0, 1] * (y + down) + back[0, 2],
                back[1, 0] * (x + right) + back[1, 1] * (y + down) + back[1, 2],
            )
    return np.clip(np.rint(total / samples**2), 0, 255).astype(np.uint8)


def _bilinear(image: U8, x: F64, y: F64) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across = (x - left).astype(np.float32)[..., None]
    down = (y - top).astype(np.float32)[..., None]
    upper = image[top, left] * (1 - across) + image[top, right] * across
    lower = image[bottom, left] * (1 - across) + image[bottom, right] * across
    mixed: NDArray[np.float32] = upper * (1 - down) + lower * down
    return mixed


def feather(size: int, border: float = FEATHER) -> U8:
    """Return the mask with which a crop is laid back: 255 within, to 0 at the border.

    Args:
        size: of the crop in pixels.
        border: how wide the slope is, as a share of the size.

    Returns:
        uint8[size, size].
    """
    edge = np.minimum(np.arange(size), np.arange(size)[::-1]) / max(border * size, 1.0)
    ramp = np.clip(edge, 0.0, 1.0)
    smooth = ramp * ramp * (3.0 - 2.0 * ramp)
    return np.rint(255.0 * np.minimum.outer(smooth, smooth)).astype(np.uint8)


def box_around(points: ArrayLike, margin: int, size: int) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 around points [K, 2], in a picture of `size`, at least two wide."""
    there = np.asarray(points)
    low = np.clip(np.floor(there.min(0)) - margin, 0, size - 2).astype(int)
    high = np.clip(np.ceil(there.max(0)) + margin, low + 2, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
