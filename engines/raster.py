"""Rasterizer: which triangle covers each pixel, and where in it the pixel lies.

Edges are tested in homogeneous coordinates before any division, so triangles that cross the camera
plane need no clipping (M. Olano and T. Greer, "Triangle scan conversion using 2D homogeneous
coordinates", Graphics Hardware 1997). What published systems did differently is a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.engines.raster_kernels import fill_triangles

__all__ = ["RasterRule", "rasterize"]


@dataclass(frozen=True, slots=True)
class RasterRule:
    """How ties are decided.

    Attributes:
        inside_tolerance: a pixel is inside where none of the three edge values is below minus this.
            They are the barycentric coordinates over w times the triangle's determinant.
        later_wins: at equal depth the later triangle replaces the earlier one.
    """

    inside_tolerance: float = 0.0
    later_wins: bool = True


def rasterize(
    clip: NDArray[np.float32],
    triangles: NDArray[np.int32],
    width: int,
    height: int,
    rule: RasterRule = RasterRule(),  # noqa: B008 - frozen
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Draw triangles.

    Args:
        clip: f32[V, 4], clip space; visible where -w <= x, y, z <= w.
        triangles: int32[T, 3], indices of vertices; both directions are drawn.
        width, height: in pixels. Row 0 is at y = -w, column 0 at x = -w.

    Returns:
        triangle_id: int32[H, W], -1 where nothing is drawn.
        barycentric: f32[H, W, 3], perspective correct, 0 where nothing is drawn.
        z: f32[H, W], depth -1 to 1, 1 where nothing is drawn.
    """
    clip = np.ascontiguousarray(clip, np.float32)
    triangles = np.ascontiguousarray(triangles, np.int32)
    if clip.ndim != 2 or clip.shape[1] != 4 or triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(f"clip {clip.shape} must be [V, 4], triangles {triangles.shape} [T, 3]")
    if len(triangles) and not 0 <= triangles.min() <= triangles.max() < len(clip):
        raise ValueError("a triangle names a vertex that does not exist")
    ids = np.full((height, width), -1, np.int32)
    barycentric = np.zeros((height, width, 3), np.float32)
    z = np.ones((height, width), np.float32)
    fill_triangles(
        clip,
        triangles,
        np.float32(rule.inside_tolerance),
        rule.later_wins,
        ids,
        barycentric,
        z,
    )
    return ids, barycentric, z
