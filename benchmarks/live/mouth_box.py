"""Where in the picture the mouth is, and where the head shows nothing but its own movement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.benchmarks.live.browser import Box
from visavis.engines.person import Person

__all__ = ["boxes", "from_parts"]

# Head space: origin between the outer eye corners, their distance is 1, x right, y down. The bridge
# and the sides of the nose move with the head and hardly with speech; the lids are above.
NOSE = (-0.4, 0.15, 0.4, 0.55)  # left, top, right, bottom
LIVELY = 0.3  # of the liveliest vertex' movement: what moves more is mouth


def boxes(person: Person) -> tuple[Box, Box] | None:
    """Boxes of mouth and control in a person's frames; None where its parts do not tell."""
    try:
        return from_parts(
            {**person.stage_parts("geometry"), **person.stage_parts("background")},
            (person.width, person.height),
        )
    except KeyError:
        return None


def from_parts(parts: Mapping[str, Any], size: tuple[int, int]) -> tuple[Box, Box]:
    """Boxes from the vertices that speech moves most, at the middle of all head poses.

    Args:
        parts: mean f32[V, 3] and basis f32[C, V, 3] in head space, pose f32[N, 3, 4] to pixels.
        size: width and height of the frame.
    """
    movement = np.sqrt((parts["basis"].astype(np.float64) ** 2).sum(axis=(0, 2)))
    lively = parts["mean"][movement > LIVELY * movement.max()]
    low, high = np.percentile(lively, (5, 95), axis=0)
    depth = float(np.median(lively[:, 2]))
    pose = np.median(parts["pose"], axis=0).astype(np.float64)
    mouth = _box(pose, (low[0], low[1], high[0], high[1]), depth, size)
    return mouth, _box(pose, NOSE, depth, size)


def _box(
    pose: NDArray[np.float64],
    area: tuple[float, float, float, float],
    depth: float,
    size: tuple[int, int],
) -> Box:
    """An area of head space in pixels: even, inside the frame."""
    left, top, right, bottom = area
    corners = np.array([[left, top, depth, 1], [right, bottom, depth, 1]]) @ pose.T
    (x0, y0), (x1, y1) = corners[:, :2]
    x0, x1 = np.clip((x0, x1), 0, size[0] - 8)
    y0, y1 = np.clip((y0, y1), 0, size[1] - 8)
    x, y = int(x0) // 2 * 2, int(y0) // 2 * 2
    return x, y, max(8, int(x1 - x) // 2 * 2), max(8, int(y1 - y) // 2 * 2)
