"""Frames as the fit compares them: small, in red, green and blue, sampled between pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.engines.i420 import planes_of

__all__ = ["sampled", "shrunk"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

# BT.601, limited range.
_FROM_YUV = np.array(
    [[1.164, 1.164, 1.164], [0.0, -0.392, 2.017], [1.596, -0.813, 0.0]], np.float32
)


def shrunk(frame: U8, by: int) -> F32:
    """Return an I420 frame uint8[H*3/2, W] as f32[H/by, W/by, 3], means of blocks, 0 to 255.

    Args:
        by: 2 or a power of it; what is left over at the right and the bottom is cut off.
    """
    y, u, v = planes_of(frame)
    planes = [_mean(y, by), _mean(u, by // 2), _mean(v, by // 2)]
    yuv = np.stack(planes, axis=-1) - np.array([16.0, 128.0, 128.0], np.float32)
    rgb: F32 = np.clip(yuv @ _FROM_YUV, 0.0, 255.0)
    return rgb


def _mean(plane: U8, by: int) -> F32:
    height, width = plane.shape[0] // by, plane.shape[1] // by
    cut = plane[: height * by, : width * by].reshape(height, by, width, by)
    mean: F32 = cut.mean(axis=(1, 3), dtype=np.float32)
    return mean


def sampled(picture: F32, points: F64, by: int) -> tuple[F32, F32]:
    """Return colours f32[P, 3] and their change with a pixel of the frame, f32[P, 3, 2].

    Args:
        picture: f32[h, w, 3], of `shrunk`.
        points: f64[P, 2], pixels of the frame.
        by: how much the picture is smaller.
    """
    half = np.float32(0.5)
    small = (points / by).astype(np.float32) - half
    x, y = small[:, 0], small[:, 1]
    right, left = _between(picture, x + half, y), _between(picture, x - half, y)
    below, above = _between(picture, x, y + half), _between(picture, x, y - half)
    change = np.stack([right - left, below - above], axis=-1) / by
    return _between(picture, x, y), change.astype(np.float32)


def _between(picture: F32, x: F32, y: F32) -> F32:
    """Return f32[P, 3], bilinear, the edge's own value outside."""
    height, width = picture.shape[:2]
    x = np.clip(x, np.float32(0), np.float32(width - 1.001))
    y = np.clip(y, np.float32(0), np.float32(height - 1.001))
    column, row = x.astype(np.int64), y.astype(np.int64)
    fx, fy = (x - column)[:, None], (y - row)[:, None]
    flat = picture.reshape(-1, picture.shape[2])
    at = row * width + column
    top = flat[at] * (1 - fx) + flat[at + 1] * fx
    bottom = flat[at + width] * (1 - fx) + flat[at + width + 1] * fx
    mixed: F32 = top + (bottom - top) * fy
    return mixed
