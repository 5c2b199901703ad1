"""A small face for the tests of what draws one: a curved sheet with a slit where the mouth is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["sheet"]

F32 = NDArray[np.float32]


def sheet(
    columns: int = 17, rows: int = 21, hole: tuple[slice, slice] = (slice(13, 15), slice(6, 10))
) -> tuple[F32, NDArray[np.int32]]:
    """Return vertices f32[V, 3] and triangles int32[T, 3].

    Basel's axes: x right, y up, z towards the viewer; about two units high, facing the viewer.

    Args:
        hole: rows from the top and columns of the squares that are left out.
    """
    x, y = np.meshgrid(np.linspace(-0.8, 0.8, columns), np.linspace(1.0, -1.0, rows))
    z = 0.6 - 0.5 * x**2 - 0.3 * y**2
    left_out = np.zeros((rows - 1, columns - 1), bool)
    left_out[hole] = True
    corner = np.arange(rows * columns).reshape(rows, columns)[:-1, :-1][~left_out]
    below = corner + columns
    triangles = np.concatenate(
        [
            np.stack([corner, below, corner + 1], axis=1),
            np.stack([corner + 1, below, below + 1], axis=1),
        ]
    )
    return np.stack([x, y, z], axis=-1).reshape(-1, 3).astype(np.float32), triangles.astype(
        np.int32
    )
