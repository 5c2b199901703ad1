"""The plane of the lips: where it is in a frame, and pictures seen in it, the head held still.

Weak perspective is affine on a plane, so a plane parallel to the face, at the depth of the lips,
carries any frame's mouth onto any other's (R. Hartley and A. Zisserman, "Multiple View Geometry in
Computer Vision", 2004, section 6.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Grid", "between", "grid_around", "look"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

_AROUND = 8  # pixels beside what is sampled, for the spline


@dataclass(frozen=True, slots=True)
class Grid:
    """Points of the plane, in head space.

    Attributes:
        left, top: of the first point; step: from point to point, all in IOD.
        rows, columns: of them.
        depth: z of the plane.
    """

    left: float
    top: float
    step: float
    rows: int
    columns: int
    depth: float

    def points(self) -> F64:
        """Return float64[rows, columns, 3], head space."""
        x = self.left + self.step * np.arange(self.columns)
        y = self.top + self.step * np.arange(self.rows)
        wide, high = np.meshgrid(x, y)
        return np.stack([wide, high, np.full(wide.shape, self.depth)], axis=-1)


def grid_around(points: NDArray[np.floating], margin: float, iod: float) -> Grid:
    """Return a grid over some points of the head, as fine as the frame.

    Args:
        points: float[..., 3], head space.
        margin: beside them, IOD.
        iod: pixels between the outer eye corners, which make the step.
    """
    flat = np.asarray(points, np.float64).reshape(-1, 3)
    low, high = flat[:, :2].min(axis=0) - margin, flat[:, :2].max(axis=0) + margin
    columns, rows = (np.ceil((high - low) * iod).astype(int) + 1).tolist()
    return Grid(float(low[0]), float(low[1]), 1.0 / iod, rows, columns, float(flat[:, 2].mean()))


def look(luma: U8, pose: NDArray[np.floating], grid: Grid) -> F32:
    """Return what a frame shows on the grid, float32[rows, columns], by cubic splines.

    Args:
        luma: uint8[H, W].
        pose: float[3, 4], of the head in that frame.
    """
    turn = np.asarray(pose, np.float64)
    place = grid.points() @ turn[:2, :3].T + turn[:2, 3]
    return _sample(luma, place)


def between(
    luma: U8,
    pose: NDArray[np.floating],
    onto: NDArray[np.floating],
    depth: float,
    rows: slice,
    columns: slice,
) -> F32:
    """Return a window of a frame as it would be with the head where it is in another frame.

    Args:
        luma: uint8[H, W], of the frame that is seen.
        pose: float[3, 4], of it.
        onto: float[3, 4], of the other frame.
        depth: z of the plane, head space.
        rows, columns: of the window, in the other frame.

    Returns:
        float32[rows, columns].
    """
    (here, at), (there, to) = _affine(pose, depth), _affine(onto, depth)
    x, y = np.meshgrid(
        np.arange(columns.start, columns.stop) + 0.5, np.arange(rows.start, rows.stop) + 0.5
    )
    flat = (np.stack([x, y], axis=-1) - to) @ np.linalg.inv(there).T
    return _sample(luma, flat @ here.T + at)


def _affine(pose: NDArray[np.floating], depth: float) -> tuple[F64, F64]:
    """From the plane's x and y to pixels: matrix and shift."""
    turn = np.asarray(pose, np.float64)
    return turn[:2, :2], turn[:2, 2] * depth + turn[:2, 3]


def _sample(luma: U8, place: F64) -> F32:
    """Levels at pixels float64[h, w, 2] (x, y); a pixel's middle is at halves."""
    low = np.floor(place.min(axis=(0, 1))).astype(int) - _AROUND
    high = np.ceil(place.max(axis=(0, 1))).astype(int) + _AROUND
    left, top = np.clip(low, 0, np.array(luma.shape[::-1]) - 2).tolist()
    right, bottom = np.maximum(high, (left + 2, top + 2)).tolist()
    part = np.asarray(luma[top:bottom, left:right], np.float32)
    at = [place[..., 1] - 0.5 - top, place[..., 0] - 0.5 - left]
    return np.asarray(ndimage.map_coordinates(part, at, order=3, mode="nearest"), np.float32)
