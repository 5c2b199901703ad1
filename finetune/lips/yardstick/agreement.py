"""How well a mouth follows a real one: in shape, in time, in amplitude and in speed.

Figures of a family are arrays of an estimate and its bootstrap draws (see `sampling`); `average`
makes the macro mean of families out of them, each weighing the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.mouth import Mouth
from visavis.finetune.lips.yardstick.sampling import Curves, Sampling, correlations, quantiles

__all__ = ["FPS", "LEVELS", "Agreement", "agreement", "average", "high_pass", "lag_ms"]

F64 = NDArray[np.float64]

FPS = 25
LEVELS = (0.05, 0.5, 0.95)
_SPAN = 6  # frames: 240 ms either way
_SLOWEST_S = 2.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """Arrays float64[1 + D, ...]: the estimate, then a value a draw.

    Attributes:
        r: of opening at no lag; fast: the same of what moves faster than two seconds.
        width, protrusion: r of these.
        curve: [1 + D, 13], r of opening at shifts of -240 to 240 ms.
        opening, real_opening: [1 + D, 3], quantiles of 5, 50 and 95 %, IOD.
        speed, real_speed: the same of the lips' speed, IOD/s.
    """

    r: F64
    fast: F64
    width: F64
    protrusion: F64
    curve: F64
    opening: F64
    real_opening: F64
    speed: F64
    real_speed: F64

    @property
    def lag(self) -> F64:
        """How late the prediction is, ms, float64[1 + D]."""
        return lag_ms(self.curve)

    @property
    def opening_off(self) -> F64:
        """The worst of the quantiles' deviations, as a share; float64[1 + D]."""
        return _off(self.opening, self.real_opening)

    @property
    def speed_off(self) -> F64:
        """The same of speed."""
        return _off(self.speed, self.real_speed)


def _off(shown: F64, real: F64) -> F64:
    # A nearly closed or still mouth has a 5 % quantile of nearly nothing: there, of the median.
    scale = np.maximum(np.maximum(real, real[:, 1:2]), 1e-9)
    return np.asarray((np.abs(shown - real) / scale).max(axis=1))


def lag_ms(curve: F64) -> F64:
    """The peak of correlation curves float64[..., 2 span + 1], by a parabola through it, in ms.

    Not a number where there is no peak inside: then nothing is followed, early or late.
    """
    span = curve.shape[-1] // 2
    best = curve.argmax(axis=-1)
    inside = np.clip(best, 1, 2 * span - 1)
    a, b, c = (np.take_along_axis(curve, (inside + d)[..., None], -1)[..., 0] for d in (-1, 0, 1))
    bend = a - 2 * b + c
    peak = (best == inside) & (bend < -1e-12)
    offset = np.where(peak, 0.5 * (a - c) / np.where(peak, bend, 1.0), np.nan)
    return np.asarray((best - span + offset) * 1000.0 / FPS)


def high_pass(curve: F64, slowest_s: float = _SLOWEST_S) -> F64:
    """Take off everything slower than a period, with no phase: the cosines below it (DCT-II)."""
    frames = len(curve)
    count = max(1, int(np.ceil(2 * frames / FPS / slowest_s)))
    at = np.pi * (np.arange(frames) + 0.5)[:, None] * np.arange(count) / frames
    basis = np.cos(at)
    basis /= np.linalg.norm(basis, axis=0)
    return np.asarray(curve - basis @ (basis.T @ curve))


def _speeds(curves: Curves) -> list[list[F64]]:
    # As long as the curve, so that it is cut into the same blocks.
    return [[np.abs(np.diff(c, append=c[-1:])) * FPS for c in pieces] for pieces in curves]


def agreement(
    sampling: Sampling, shown: Sequence[Sequence[Mouth]], real: Sequence[Sequence[Mouth]]
) -> Agreement:
    """Compare what is shown with what was real, over the pieces of the clips of a family."""

    def each(mouths: Sequence[Sequence[Mouth]], name: str) -> list[list[F64]]:
        return [[np.asarray(getattr(m, name), np.float64) for m in pieces] for pieces in mouths]

    def r(a: Curves, b: Curves) -> F64:
        return np.asarray(correlations(sampling, a, b)[:, 0])

    gap, true = each(shown, "opening"), each(real, "opening")
    fast = [[high_pass(c) for c in pieces] for pieces in gap]
    true_fast = [[high_pass(c) for c in pieces] for pieces in true]
    return Agreement(
        r=r(gap, true),
        fast=r(fast, true_fast),
        width=r(each(shown, "width"), each(real, "width")),
        protrusion=r(each(shown, "protrusion"), each(real, "protrusion")),
        curve=correlations(sampling, gap, true, _SPAN),
        opening=quantiles(sampling, gap, LEVELS),
        real_opening=quantiles(sampling, true, LEVELS),
        speed=quantiles(sampling, _speeds(gap), LEVELS),
        real_speed=quantiles(sampling, _speeds(true), LEVELS),
    )


def average(families: Sequence[Agreement]) -> Agreement:
    """The macro mean: every family weighs the same."""
    names = Agreement.__slots__
    return Agreement(**{n: np.mean([getattr(f, n) for f in families], axis=0) for n in names})
