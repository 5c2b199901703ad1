"""What a rasterizer found, filled with values of the vertices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["interpolated"]


def interpolated(
    ids: NDArray[np.int32],
    barycentric: NDArray[np.float32],
    triangles: NDArray[np.integer],
    values: NDArray[np.float32],
    background: float,
) -> NDArray[np.float32]:
    """Return f32[H, W, C]: the vertices' values where a triangle is, elsewhere `background`.

    Args:
        ids: int32[H, W], -1 where no triangle is.
        barycentric: f32[H, W, 3], perspective correct.
        triangles: int[T, 3].
        values: f32[V, C].
    """
    picture = np.full((*ids.shape, values.shape[1]), background, np.float32)
    seen = ids >= 0
    corners = values[triangles[ids[seen]]]
    picture[seen] = np.einsum("pkc,pk->pc", corners, barycentric[seen])
    return picture
