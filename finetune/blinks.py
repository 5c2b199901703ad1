"""The clip's own blinks, found in its pictures: the engine lays them over frames that lack one.

With the head held still by its pose, the upper half of an open eye is bright, dark and bright again
from corner to corner, and the lid that covers it is none of that. A glance aside changes where the
dark is, not that it is there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from visavis.engines.blinks import LONGEST, MOST
from visavis.finetune.geometry import Geometry

__all__ = ["eye_ellipses", "find_blinks", "openness"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]

# Vertices of MediaPipe's mesh: outer and inner corner, middle of the upper and of the lower lid.
EYES = ((33, 133, 159, 145), (263, 362, 386, 374))
# The ellipse over the width of the eye: half axes, and how far its middle lies above the eye's, for
# the fold of the lid moves and the cheek does not.
HALF_WIDTH, HALF_HEIGHT, RAISED = 0.98, 0.62, 0.12
SHUT, WIDE = 0.55, 0.85  # of the usual openness: a blink goes below one, and is over at the other
SHORTEST = 4  # frames: one is a flash
_COLUMNS, _ROWS = 25, 7


def eye_ellipses(geometry: Geometry) -> F32:
    """Return what moves in a blink, f32[2, 5]: x, y, z, half width and half height, head space."""
    rows = []
    for corners in EYES:
        points = geometry.mean[list(corners)].astype(np.float64)
        width = float(np.linalg.norm(points[0, :2] - points[1, :2]))
        x, y, z = points.mean(axis=0).tolist()
        rows.append([x, y - RAISED * width, z, HALF_WIDTH * width, HALF_HEIGHT * width])
    return np.array(rows, np.float32)


def openness(frames: U8, geometry: Geometry) -> F64:
    """Return how open the eyes are, float64[N], about 1 where they are as mostly.

    Args:
        frames: uint8[N, H*3/2, W], I420; geometry: fitted to them.
    """
    height = frames.shape[1] * 2 // 3
    grids = []
    for corners in EYES:
        points = geometry.mean[list(corners)].astype(np.float64)
        low, high = np.sort(points[:2, 0])
        inset = 0.1 * (high - low)
        # From the upper lid's edge to the middle between the corners.
        y = np.linspace(points[2, 1] + 0.01, points[:2, 1].mean(), _ROWS)
        x = np.linspace(low + inset, high - inset, _COLUMNS)
        wide, tall = np.meshgrid(x, y)
        grids.append(np.stack([wide, tall, np.full(wide.shape, points[:, 2].mean())], axis=-1))
    grid = np.stack(grids)
    out = np.empty(len(frames))
    for index, pose in enumerate(geometry.pose.astype(np.float64)):
        place = grid @ pose[:2, :3].T + pose[:2, 3]
        luma = frames[index, :height].astype(np.float32)
        seen = ndimage.map_coordinates(
            luma, [place[..., 1] - 0.5, place[..., 0] - 0.5], order=1, mode="nearest"
        )
        out[index] = seen.mean(axis=1).std(axis=1).mean()
    # What is usual may drift with light and pose.
    usual = ndimage.percentile_filter(out, 70, size=min(len(out), 251))
    return np.asarray(out / np.maximum(usual, 1e-6))


def find_blinks(opening: F64) -> I32:
    """Return the first and last frame of every blink, int32[B, 2], in order.

    Args:
        opening: float64[N], of `openness`.
    """
    shut, count = ndimage.label(opening < SHUT)
    found: list[tuple[int, int]] = []
    for label in range(1, count + 1):
        at = np.flatnonzero(shut == label)
        first, last = int(at[0]), int(at[-1])
        while first > 0 and opening[first - 1] < WIDE and last - first < 2 * LONGEST:
            first -= 1
        while last < len(opening) - 1 and opening[last + 1] < WIDE and last - first < 2 * LONGEST:
            last += 1
        # One frame of open eyes before and after, from which the lids go.
        first, last = first - 1, last + 1
        whole = first >= 0 and last < len(opening)
        apart = not found or first > found[-1][1]
        if whole and apart and SHORTEST <= last - first + 1 <= LONGEST:
            found.append((first, last))
    # The deepest, where there are many.
    depth = [opening[first : last + 1].min() for first, last in found]
    keep = sorted(np.argsort(depth, kind="stable")[:MOST].tolist())
    return np.array([found[index] for index in keep], np.int32).reshape(-1, 2)
