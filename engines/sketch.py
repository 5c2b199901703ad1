"""Operation `sketch@1`: 68 landmarks, turned as the head is, drawn as curves.

Coefficients are the landmarks themselves, seen from the front: 68 times x, y and z in pixels of the
crop, in the usual order. A pose is a rotation vector and a translation, which turn a face that is
seen as it was into one that is seen from the front (front = R face + t); so what is drawn is
R^T (front - t). Curves join points by threes, as T.-C. Wang et al. draw them ("Few-shot
video-to-video synthesis", 2019); the outline is closed by the jaw, mirrored upwards and two thirds
as high.

A pose may bring landmarks of its own after its six numbers: those that a voice says nothing of, so
that eyes and brows move as they did in the person's footage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.engines.sketch_kernels import draw_curves

__all__ = [
    "LANDMARKS",
    "POSE",
    "SketchRaster",
    "SketchState",
    "Smoothing",
    "draw_sketch",
    "posed",
    "rotation_of",
]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]

LANDMARKS = 68
POSE = 6  # a rotation vector, a translation
JAW = 17  # points, from ear to ear
TICK_SECONDS = 0.04
LARGEST = 2048  # pixels of a side

# Which points follow each other: the outline, closed above by the mirrored jaw; brows; nose; eyes;
# lips outside and inside.
_OUTLINE = [*range(JAW), *range(LANDMARKS, LANDMARKS + JAW - 2), 0]
_LINES: Sequence[Sequence[int]] = [
    _OUTLINE,
    range(17, 22),
    range(22, 27),
    [28, 31],
    range(31, 36),
    [35, 28],
    [36, 37, 38, 39],
    [39, 40, 41, 36],
    [42, 43, 44, 45],
    [45, 46, 47, 42],
    range(48, 55),
    [54, 55, 56, 57, 58, 59, 48],
    range(60, 65),
    [64, 65, 66, 67, 60],
]
# An eyelid of four points is a curve of three and a line of two.
_CURVES: I32 = np.array(
    [
        [*line[start : start + 3], -1][:3]
        for line in map(list, _LINES)
        for start in range(0, max(1, len(line) - 1), 2)
    ],
    np.int32,
)
_PARAMS = {"size", "smooth"}


@dataclass(frozen=True, slots=True)
class Smoothing:
    """A filter that follows the faster, the faster a point moves, and looks at nothing later.

    G. Casiez et al., "1 euro filter: a simple speed-based low-pass filter", CHI 2012.

    Attributes:
        hertz: what passes of a point that rests.
        rise: hertz more for a pixel a second.
        speed_hertz: what passes of the speed itself.
    """

    hertz: float
    rise: float
    speed_hertz: float = 1.0


@dataclass(slots=True)
class SketchState:
    """What one session carries where points are smoothed.

    Attributes:
        points: f64[68, 2], as they were drawn last, None before the first frame.
        speed: f64[68, 2], pixels a second.
    """

    points: F64 | None = None
    speed: F64 | None = None


class SketchRaster:
    """The stage, for any number of sessions of one person.

    Args:
        params: `size`, S; `smooth`, an object of `hertz`, `rise` and perhaps `speed_hertz`, or None
            for points as they are (the default): see `Smoothing`.
        parts: `own` int32[K], optional: which landmarks come with the pose, rising.

    Attributes:
        shape: (1, S, S). ahead: 0.

    Raises:
        PersonFileError: a parameter or part is not known or senseless.
    """

    ahead = 0

    def __init__(self, params: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        if unknown := sorted(params.keys() - _PARAMS):
            raise PersonFileError(f"sketch@1 has no parameter {', '.join(unknown)}.")
        size = params.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or not 16 <= size <= LARGEST:
            raise PersonFileError(f"sketch@1: size must be a whole number from 16 to {LARGEST}.")
        self.shape = (1, size, size)
        self.smoothing = _smoothing(params.get("smooth"))
        self._own = _own(parts.get("own"))

    def initial_state(self) -> SketchState:
        """Return the state of a session that nothing was drawn for."""
        return SketchState()

    def draw(
        self,
        vertices: F32,
        coefficients: F32,
        choices: Sequence[Any],
        pictures: Sequence[U8],
        out: F32,
        states: Sequence[SketchState],
    ) -> None:
        """Draw f32[N, 1, S, S] into `out`: 1 on a curve, 0 elsewhere.

        Args:
            vertices: not used.
            coefficients: f32[N, 204].
            choices: N, with the pose f32[6 + 3 K] of each.
            pictures: not used.
            states: N; changed, their arrays replaced.
        """
        if coefficients.shape[1:] != (3 * LANDMARKS,):
            raise PersonFileError(
                f"A sketch is drawn of {LANDMARKS} landmarks, {3 * LANDMARKS} numbers, not of "
                f"{coefficients.shape[1]}."
            )
        rows = zip(coefficients, choices, out, states, strict=True)
        for row, choice, planes, state in rows:
            front = row.reshape(LANDMARKS, 3).astype(np.float64)
            if choice.pose.shape != (POSE + 3 * len(self._own),):
                raise PersonFileError(
                    f"A pose has {len(choice.pose)} numbers; the sketch takes {POSE} and "
                    f"{3 * len(self._own)} of landmarks."
                )
            front[self._own] = choice.pose[POSE:].reshape(-1, 3)
            points = posed(front, choice.pose[:POSE])[:, :2]
            if self.smoothing is not None:
                points = _smoothed(self.smoothing, state, points)
            draw_sketch(points, planes[0])


def rotation_of(vector: NDArray[np.floating[Any]]) -> F64:
    """Return the matrix f64[3, 3] of a rotation vector [3] in radians (O. Rodrigues, 1840)."""
    x, y, z = (float(value) for value in vector)
    angle = math.sqrt(x * x + y * y + z * z)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    # Both factors by their series where the angle is too small to divide by.
    near = angle < 1e-4
    first = 1.0 - angle * angle / 6.0 if near else math.sin(angle) / angle
    second = 0.5 - angle * angle / 24.0 if near else (1.0 - math.cos(angle)) / (angle * angle)
    turned: F64 = np.eye(3) + first * cross + second * (cross @ cross)
    return turned


def posed(front: F64, pose: NDArray[np.floating[Any]]) -> F64:
    """Return points [..., 3], seen from the front, as a pose [6] shows them: R^T (front - t)."""
    turned: F64 = (front - pose[3:POSE].astype(np.float64)) @ rotation_of(pose[:3])
    return turned


def draw_sketch(points: NDArray[np.floating[Any]], out: F32) -> None:
    """Draw landmarks [68, 2 or more] in pixels into f32[S, S]: 1 on a curve, 0 elsewhere."""
    closed = np.concatenate((points[:, :2].astype(np.float64), _above(points)))
    out[...] = 0.0
    draw_curves(np.ascontiguousarray(closed), _CURVES, out)


def _above(points: NDArray[np.floating[Any]]) -> F64:
    """The jaw without its ends, mirrored at the height of its ends, from right to left.

    In whole pixels, as the published networks saw them.
    """
    with np.errstate(invalid="ignore"):
        jaw = np.trunc(np.clip(points[:JAW, :2].astype(np.float64), -1e6, 1e6))
    middle = (jaw[0, 1] + jaw[-1, 1]) / 2.0
    upper = jaw[1:-1]
    upper[:, 1] = np.trunc(middle + np.floor((middle - upper[:, 1]) * 2.0 / 3.0))
    mirrored: F64 = upper[::-1]
    return mirrored


def _smoothed(smoothing: Smoothing, state: SketchState, points: F64) -> F64:
    if state.points is None or state.speed is None:
        state.points, state.speed = points, np.zeros_like(points)
        return points
    speed = (points - state.points) / TICK_SECONDS
    state.speed = state.speed + _share(smoothing.speed_hertz) * (speed - state.speed)
    # One cutoff for x and y: a point that moves along one of them is not held back in the other.
    fast = np.linalg.norm(state.speed, axis=1, keepdims=True)
    hertz = smoothing.hertz + smoothing.rise * fast
    state.points = state.points + _share(hertz) * (points - state.points)
    return state.points


def _share(hertz: Any) -> Any:
    """How much of what is new passes a filter of the first order in one tick."""
    angle = 2.0 * math.pi * TICK_SECONDS * hertz
    return angle / (angle + 1.0)


def _smoothing(value: Any) -> Smoothing | None:
    if value is None:
        return None
    names = {"hertz", "rise", "speed_hertz"}
    if not isinstance(value, dict) or value.keys() - names or not {"hertz", "rise"} <= value.keys():
        raise PersonFileError("sketch@1: smooth has hertz, rise and perhaps speed_hertz.")
    numbers = {}
    for name, number in value.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise PersonFileError(f"sketch@1: smooth: {name} must be a number.")
        if not (0.0 <= number <= 1e3) or (number == 0.0 and name != "rise"):
            raise PersonFileError(f"sketch@1: smooth: {name} is out of range.")
        numbers[name] = float(number)
    return Smoothing(**numbers)


def _own(part: Any) -> I32:
    if part is None:
        return np.zeros(0, np.int32)
    if not isinstance(part, np.ndarray) or part.dtype != np.int32 or part.ndim != 1:
        raise PersonFileError("sketch@1: the part own must be int32[K].")
    rising = len(part) < 2 or bool((np.diff(part.astype(np.int64)) > 0).all())
    if not rising or (len(part) and not 0 <= part[0] <= part[-1] < LANDMARKS):
        raise PersonFileError(f"sketch@1: own must name different landmarks below {LANDMARKS}.")
    return part
