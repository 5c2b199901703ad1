"""How somebody talks, in 135 numbers: the style code of `style_avatar`.

It says how far the expression coefficients spread, and how fast they and the head move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.models.systems.lowpass import smoothed

__all__ = ["Spread", "pose_rows", "style_code", "style_statistics", "without_average"]

CUTOFF = 0.7 / 2.5  # of half the sample rate; the original says 0.7 of 5

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spread:
    """What the style numbers of the training clips are like: a mean and a deviation of each.

    Attributes:
        mean, deviation: f[135], in the order of `style_statistics`.
    """

    mean: NDArray[np.floating]
    deviation: NDArray[np.floating]


def style_code(
    expression: NDArray[np.floating],
    angles: NDArray[np.floating],
    translation: NDArray[np.floating],
    spread: Spread,
) -> F64:
    """Return f64[135] for the motion network.

    Args:
        expression: f[F, 64], coefficients at 25 frames a second, F at least 28.
        angles: f[F, 3], about x, y and z, radians.
        translation: f[F, 3].
        spread: of the published training clips.
    """
    pose = pose_rows(*without_average(angles, translation))
    told = style_statistics(expression, pose)
    return (told - np.asarray(spread.mean)) / np.asarray(spread.deviation, np.float64)


def style_statistics(expression: NDArray[np.floating], pose: NDArray[np.floating]) -> F64:
    """Return f64[135]: deviations over time of the expression, its steps and the pose's steps.

    Args:
        expression: f[F, 64]; pose: f[F, 7] of `pose_rows`.
    """
    rows = np.asarray(expression, np.float64)
    moves = np.diff(np.asarray(pose, np.float64), axis=0)
    return np.concatenate((rows.std(0), np.diff(rows, axis=0).std(0), moves.std(0)))


def without_average(
    angles: NDArray[np.floating], translation: NDArray[np.floating]
) -> tuple[F64, F64]:
    """Return the pose f64[F, 3], f64[F, 3] around its average and smoothed.

    The average rotation is the one nearest to all (F. L. Markley et al., "Averaging quaternions",
    2007); every rotation is multiplied by its inverse from the right.
    """
    turns = _quaternions(np.asarray(angles, np.float64))
    average = np.linalg.eigh(turns.T @ turns)[1][:, -1]
    turned = _product(turns, average * np.array([1.0, -1.0, -1.0, -1.0]))
    moved = np.asarray(translation, np.float64)
    return (
        smoothed(_angles(turned), CUTOFF),
        smoothed(moved - moved.mean(0), CUTOFF),
    )


def pose_rows(angles: NDArray[np.floating], translation: NDArray[np.floating]) -> F64:
    """Return f64[F, 7]: a rotation as minus its quaternion w, x, y, z, and a translation.

    The sign is the original's; a deviation does not see it.
    """
    turns = -_quaternions(np.asarray(angles, np.float64))
    return np.concatenate((turns, np.asarray(translation, np.float64)), 1)


def _quaternions(angles: F64) -> F64:
    """f64[F, 4], w first, of turns about the z axis, then the y, then the x axis that stood."""
    half = angles / 2.0
    turns = []
    for axis in range(3):
        turn = np.zeros((len(angles), 4))
        turn[:, 0], turn[:, 1 + axis] = np.cos(half[:, axis]), np.sin(half[:, axis])
        turns.append(turn)
    return _product(_product(turns[0], turns[1]), turns[2])


def _angles(turns: F64) -> F64:
    """The inverse of `_quaternions`, the middle angle within 90 degrees."""
    w, x, y, z = turns.T
    return np.stack(
        (
            np.arctan2(2.0 * (w * x - y * z), 1.0 - 2.0 * (x * x + y * y)),
            np.arcsin(np.clip(2.0 * (w * y + x * z), -1.0, 1.0)),
            np.arctan2(2.0 * (w * z - x * y), 1.0 - 2.0 * (y * y + z * z)),
        ),
        axis=1,
    )


def _product(a: F64, b: F64) -> F64:
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        (
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ),
        axis=-1,
    )
