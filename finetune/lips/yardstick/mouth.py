"""What a mouth does, measured the same way on a tracked face and on a commanded one.

All in units of IOD, the distance of the outer eye corners, after the pose of the head is taken off:

* opening: from the upper to the lower inner lip, in the plane of the face;
* width: from corner to corner, in that plane;
* protrusion: how far the middle of the lips stands before the line from the base of the nose to the
  chin. One camera guesses depth, and the jaw is in it: on real clips a ridge fitted to the very
  person reaches r of .1 to .35 there, so read it as a hint. Opening is trustworthy, width fairly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.geometry import (
    CHIN,
    LIP_LOWER,
    LIP_UPPER,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    STABLE,
    head_frame,
    similarity,
)

__all__ = ["Mouth", "mouth_of", "without_pose"]

F64 = NDArray[np.float64]

NOSE_BASE = 2
_OUTER_UPPER, _OUTER_LOWER = 0, 17
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Mouth:
    """A mouth through time: opening, width and protrusion, float64[K] each, in IOD."""

    opening: F64
    width: F64
    protrusion: F64

    def __len__(self) -> int:
        return len(self.opening)


def mouth_of(shape: NDArray[np.floating]) -> Mouth:
    """Measure meshes.

    Args:
        shape: float[K, V, 3] in head space, with the vertices of MediaPipe's mesh first.
    """

    def across(a: int, b: int) -> F64:
        return np.asarray(np.linalg.norm((shape[:, a] - shape[:, b])[:, :2], axis=1), np.float64)

    depth = shape[:, :, 2]
    lips = depth[:, [_OUTER_UPPER, _OUTER_LOWER]].mean(axis=1)
    behind = depth[:, [NOSE_BASE, CHIN[0]]].mean(axis=1)
    return Mouth(
        across(LIP_UPPER, LIP_LOWER),
        across(MOUTH_RIGHT, MOUTH_LEFT),
        np.asarray(behind - lips, np.float64),
    )


def without_pose(landmarks: NDArray[np.floating]) -> F64:
    """Return tracked landmarks float64[N, V, 3] in head space.

    Every frame is laid onto the mean shape by the similarity (Umeyama 1991) of the points that
    speech does not move; the mean is refined with the poses. Nothing is smoothed over time.

    Args:
        landmarks: float[N, V, 3], of MediaPipe's mesh; z in the unit of x.
    """
    points = np.asarray(landmarks, np.float64)
    stable = list(STABLE)
    mean = head_frame(points[len(points) // 2])
    for _ in range(_ROUNDS):
        fits = [similarity(frame[stable], mean[stable]) for frame in points]
        scale = np.array([fit[0] for fit in fits])
        rotation = np.stack([fit[1] for fit in fits])
        shift = np.stack([fit[2] for fit in fits])
        still = scale[:, None, None] * np.einsum("nij,nvj->nvi", rotation, points)
        still += shift[:, None]
        mean = head_frame(np.median(still, axis=0))
    return np.asarray(still, np.float64)
