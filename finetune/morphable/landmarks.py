"""A model laid onto tracked points of a few frames: one identity, a pose and a face for each.

Gauss-Newton on pixels, reweighted for outliers, with normal priors on the coefficients (V. Blanz,
T. Vetter, 1999; the landmark term of J. Thies et al., "Face2Face", 2016).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.geometry import similarity
from visavis.finetune.morphable.surface import (
    POSE,
    Poses,
    Surface,
    pose_jacobian,
    shape_jacobian,
)

__all__ = ["Faces", "lay_on", "outlier_weight", "start_poses"]

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Faces:
    """One person in N frames.

    Attributes:
        identity: f64[I]; expression: f64[N, E]; poses: of the frames.
    """

    identity: F64
    expression: F64
    poses: Poses


def outlier_weight(error: F64) -> F64:
    """Return the weight of errors in deviations (Cauchy's, that of 2 is a half)."""
    weight: F64 = 1.0 / (1.0 + np.square(error / 2.0))
    return weight


def start_poses(shape: F64, tracked: F64) -> Poses:
    """Return poses by which a rigid shape lies nearest to tracked points.

    Args:
        shape: f64[P, 3]; tracked: f64[N, P, 3], pixels, with the tracker's depth.
    """
    fits = [similarity(shape, points) for points in tracked]
    return Poses(
        np.stack([fit[1] for fit in fits]),
        np.array([fit[0] for fit in fits]),
        np.stack([fit[2][:2] for fit in fits]),
    )


def lay_on(
    surface: Surface, tracked: F64, deviation: float, start: Faces, *, rounds: int = 8
) -> Faces:
    """Fit identity, expressions and poses to tracked points.

    Args:
        surface: the P points.
        tracked: f64[N, P, 2], pixels.
        deviation: of a tracked point, in pixels.
        start: what to begin at; its identity may be of no components.
        rounds: of Gauss-Newton.
    """
    people, faces = surface.identity.shape[2], surface.expression.shape[2]
    count, own = len(tracked), POSE + faces
    identity, expression = start.identity.copy(), start.expression.copy()
    poses = start.poses.copy()
    for _ in range(rounds):
        matrix = np.zeros((people + count * own,) * 2)
        right = np.zeros(len(matrix))
        for n, points in enumerate(tracked):
            turned = poses.turned(n, surface.shape(identity, expression[n]))
            error = points - turned[:, :2] - poses.shift[n]
            jacobian = np.concatenate(
                [
                    shape_jacobian(surface.identity, poses, n),
                    pose_jacobian(turned),
                    shape_jacobian(surface.expression, poses, n),
                ],
                axis=2,
            )
            weight = outlier_weight(np.linalg.norm(error, axis=1) / deviation) / deviation**2
            left = (jacobian * weight[:, None, None]).reshape(-1, people + own)
            at = np.r_[:people, people + n * own : people + (n + 1) * own]
            matrix[np.ix_(at, at)] += left.T @ jacobian.reshape(-1, people + own)
            right[at] += left.T @ error.reshape(-1)
        # The priors: a coefficient's variance is 1.
        prior = np.zeros(len(matrix))
        prior[:people] = 1.0
        current = np.zeros(len(matrix))
        current[:people] = identity
        for n in range(count):
            part = slice(people + n * own + POSE, people + (n + 1) * own)
            prior[part], current[part] = 1.0, expression[n]
        step = np.linalg.solve(matrix + np.diag(prior + 1e-9), right - prior * current)
        identity += step[:people]
        for n in range(count):
            part = people + n * own
            poses.step(n, step[part : part + POSE])
            expression[n] += step[part + POSE : part + own]
    return Faces(identity, expression, poses)
