"""The 68 points of a system's face as its coefficients move them, in units of the face itself.

Whatever axes and unit a system has, lengths are counted in distances between the outer eye corners
of the face at rest, x goes along them, y down to the chin, z is what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.hearing import built_in
from visavis.models.points68 import (
    CHIN,
    EYE_LEFT,
    EYE_RIGHT,
    INNER_LOWER,
    INNER_UPPER,
    MOUTH,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    TRACKED,
)

__all__ = ["FacePoints", "MovedFace", "moved_face"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

STEP = 0.25  # of a coefficient's deviation, for differences
FITTED = (*range(4, 13), *range(MOUTH.start, MOUTH.stop))  # chin and lips
DEPTH_WEIGHT = 0.3  # of z: guessed from one camera
AT_ONCE = 512
TURNS = 3  # Newton's, towards shut lips


@dataclass(frozen=True, slots=True)
class MovedFace:
    """How the built-in person's points move, in `FacePoints.flat`'s order and weights.

    Attributes:
        moves: f64[P, 6], by a move of 1; liptooth: f64[P], from rest to a lip on the teeth.
    """

    moves: F64
    liptooth: F64


class FacePoints:
    """A face whose head is held still.

    Args:
        points: coefficients f32[K, C] to float[K, 68, 3], in any axes and unit.
        rest: f64[C].

    Raises:
        ImportRefused: what comes out is no face.
    """

    def __init__(self, points: Callable[[F32], NDArray[np.floating]], rest: F64) -> None:
        self._points = points
        self._rest = rest
        at_rest = np.asarray(points(np.asarray(rest, np.float32)[None]), np.float64)
        if at_rest.shape != (1, 68, 3) or not np.isfinite(at_rest).all():
            raise ImportRefused(f"The face has points {at_rest.shape}, not finite [1, 68, 3].")
        shape = at_rest[0]
        across = shape[EYE_LEFT] - shape[EYE_RIGHT]
        unit = float(np.linalg.norm(across))
        middle = (shape[EYE_LEFT] + shape[EYE_RIGHT]) / 2.0
        if not unit > 0.0:
            raise ImportRefused("The eyes of the face are in one place.")
        x = across / unit
        down = shape[CHIN] - middle
        down = down - (down @ x) * x
        length = float(np.linalg.norm(down))
        if not 0.3 * unit < length < 4.0 * unit:
            raise ImportRefused(
                "The points are not those of a face: the chin is not under the eyes."
            )
        y = down / length
        self._axes = np.stack([x, y, np.cross(x, y)]) / unit
        self._middle = middle
        # Where all points are in a plane, there is no depth to be compared.
        self.flat = bool(np.ptp(at_rest[..., 2]) == 0.0)
        self._still = self.at(rest[None])[0]
        self.weight = self.jacobian(np.ones(len(rest)))

    def at(self, coefficients: F64) -> F64:
        """Return the points f64[K, 68, 3] of coefficients f64[K, C]."""
        given = np.asarray(coefficients, np.float32)
        parts = [
            np.asarray(self._points(given[k : k + AT_ONCE]), np.float64)
            for k in range(0, len(given), AT_ONCE)
        ]
        return np.asarray((np.concatenate(parts) - self._middle) @ self._axes.T)

    def opening(self, coefficients: F64) -> F64:
        """Return the gap of the lips f64[K], less than 0 where they pass each other."""
        gaps: F64 = _gaps(self.at(coefficients)).mean(axis=1)
        return gaps

    def measured(self, coefficients: F64) -> tuple[F64, F64, F64]:
        """Return how far lips, jaw and corners are from rest, f64[K] each."""
        points = self.at(coefficients)
        return (
            _gaps(points).mean(axis=1) - _gaps(self._still[None]).mean(),
            points[:, CHIN, 1] - self._still[CHIN, 1],
            _width(points) - _width(self._still[None]),
        )

    def jacobian(self, deviation: F64) -> F64:
        """Return how chin and lips move by a deviation of every coefficient, f64[P, C]."""
        steps = self._rest + STEP * np.diag(deviation)
        moved = (self.at(steps) - self._still)[:, FITTED] / STEP
        return _weighted(moved, self.flat).T

    def opening_slope(self) -> F64:
        """Return how much each coefficient opens the mouth, f64[C]."""
        steps = self._rest + STEP * np.eye(len(self._rest))
        return np.asarray((self.opening(steps) - self.opening(self._rest[None])) / STEP)

    def shut(self, start: F64, deviation: F64) -> F64:
        """Return the least change of coefficients, from rest, that shuts the lips, f64[C].

        Args:
            start: f64[C], what is changed, from rest.
            deviation: f64[C], of the coefficients.
        """
        offset = start.copy()
        for _ in range(TURNS):
            here = self._rest + offset
            gaps = _gaps(self.at(here[None]))[0]
            steps = here + STEP * np.diag(deviation)
            slope = (_gaps(self.at(steps)) - gaps).T / STEP
            normal = slope @ slope.T
            normal += 1e-4 * max(float(np.trace(normal)), 1e-12) * np.eye(len(gaps))
            offset = offset - deviation * (slope.T @ np.linalg.solve(normal, gaps))
        return offset


def _gaps(points: F64) -> F64:
    """How far the inner lips are apart at three places, f64[K, 3]."""
    return np.asarray(points[:, INNER_LOWER, 1] - points[:, INNER_UPPER, 1])


def _width(points: F64) -> F64:
    apart = (points[:, MOUTH_LEFT] - points[:, MOUTH_RIGHT])[:, :2]
    return np.asarray(np.linalg.norm(apart, axis=1))


def _weighted(moved: F64, flat: bool) -> F64:
    """Displacements f64[K, Q, 3] as f64[K, 3 Q], those in depth counting less."""
    return np.asarray((moved * (1.0, 1.0, 0.0 if flat else DEPTH_WEIGHT)).reshape(len(moved), -1))


@cache
def moved_face(flat: bool) -> MovedFace:
    """Return how the built-in person's chin and lips move.

    Args:
        flat: without depth.
    """
    person = built_in()
    lips = person.stage_parts("motion")
    face = person.stage_parts("geometry")
    basis = np.asarray(face["basis"], np.float64)[:, TRACKED[list(FITTED)]]
    rest = np.asarray(lips["rest"], np.float64)
    # Her own lips are the unit: what is asked of her map is what she does.
    columns = np.asarray(lips["map"], np.float64).T
    contact = np.asarray(lips["liptooth"], np.float64) - rest
    moved = np.einsum("mc,cvd->mvd", np.concatenate([columns, contact[None]]), basis)
    weighted = _weighted(moved, flat)
    return MovedFace(weighted[:-1].T, weighted[-1])
