"""The still picture that faces are compared in: the mesh from the usual side, its lips open.

Lips that are closed leave no room for what is between them; so the mesh lies here as in the frames
that show most of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.engines.i420 import planes_of
from visavis.engines.raster_kernels import draw_chroma, draw_luma
from visavis.finetune.geometry import Geometry

__all__ = ["Layout", "halved", "open_layout", "unwrapped", "unwrapped_half"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]

WIDEST = 0.05  # share of the frames whose mean opening the mesh has
NOWHERE = np.zeros((0, 0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the mesh lies in the picture.

    Attributes:
        points: float32[V, 3], pixels; the third is 0.
        triangles: int32[T, 3], those that are drawn, the farthest first.
        lips: int32[L], the inner contour.
        size: S, pixels of the square picture, a multiple of 4.
        iod: pixels between the outer eye corners.
    """

    points: F32
    triangles: I32
    lips: I32
    size: int
    iod: float


def open_layout(
    geometry: Geometry, triangles: I32, anchor: tuple[float, float, float], size: int
) -> Layout:
    """Lay the mesh out.

    Args:
        geometry: of the frames that are learnt from.
        triangles: int32[T, 3], the farthest first.
        anchor: the point of head space that is in the middle.
        size: S.
    """
    count = max(1, round(WIDEST * len(geometry.aperture)))
    widest = np.argsort(-geometry.aperture, kind="stable")[:count]
    coefficients = geometry.coefficients[widest].mean(axis=0)
    shape = geometry.mean + np.tensordot(coefficients, geometry.basis, 1)
    usual = np.median(geometry.pose, axis=0)[:2, :3]
    points = np.zeros((len(shape), 3), np.float32)
    points[:, :2] = (shape - np.asarray(anchor)) @ usual.T + size / 2
    return Layout(points, triangles, geometry.lips, size, float(np.linalg.norm(usual[0])))


def unwrapped(frame: U8, points: F32, layout: Layout) -> F32:
    """Return a frame's face in the layout, float32[S*3/2, S], I420 levels; 128 where no mesh is.

    Args:
        frame: uint8[H*3/2, W], I420.
        points: f32[V, 2], the mesh in the frame's pixels.
    """
    size, half = layout.size, layout.size // 2
    four, chroma = np.zeros((4, half, half), np.float32), np.zeros((2, half, half), np.float32)
    y, u, v = (np.ascontiguousarray(plane) for plane in planes_of(frame))
    draw_luma(layout.points, points, layout.triangles, y, four)
    draw_chroma(layout.points, points, layout.triangles, u, v, chroma, NOWHERE)
    flat = np.concatenate([_shuffled(four).ravel(), chroma.ravel()]) * 128.0 + 128.0
    return np.asarray(flat.reshape(-1, size), np.float32)


def unwrapped_half(luma: U8, points: F32, layout: Layout) -> F32:
    """Return the luma of the same at half the resolution, float32[S/2, S/2], -1 to 1.

    Args:
        luma: uint8[H/2, W/2], see `halved`.
        points: f32[V, 2], the mesh in pixels of the whole frame.
    """
    quarter = layout.size // 4
    four = np.zeros((4, quarter, quarter), np.float32)
    half = np.float32(0.5)
    draw_luma(layout.points * half, points * half, layout.triangles, luma, four)
    return _shuffled(four)


def halved(frame: U8) -> U8:
    """Return the luma of an I420 frame at half its resolution, uint8[H/2, W/2]."""
    y = planes_of(frame)[0]
    height, width = len(y) // 2, y.shape[1] // 2
    four = y[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    return np.asarray(np.rint(four.mean(axis=(1, 3), dtype=np.float32)), np.uint8)


def _shuffled(four: F32) -> F32:
    """Return float32[2 h, 2 w] of the four planes of its even and odd rows and columns."""
    _, height, width = four.shape
    whole = four.reshape(2, 2, height, width).transpose(2, 0, 3, 1).reshape(2 * height, 2 * width)
    return np.ascontiguousarray(whole)
