"""Mouths that nobody would want, each of which some figure alone would call good.

They stand in the table as rows, so that it shows which figure gives each of them away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TOYS", "Scene", "Toy"]

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a toy may look at.

    Attributes:
        shown: float64[K], the opening that is shown, IOD.
        real: float64[K], the real or wanted one of this stretch; others: of other stretches.
        loud: float64[K], `loudness`, any unit.
        gate: float64[K], how far the gate is open.
    """

    shown: F64
    real: F64
    others: Sequence[F64]
    loud: F64
    gate: F64


@dataclass(frozen=True, slots=True)
class Toy:
    """A way to make an opening float64[K]; `gate`: what it does to the gate."""

    name: str
    opening: Callable[[Scene], F64]
    gate: Callable[[Scene], F64] = lambda scene: scene.gate


_HALF_OPEN = 0.08
_OPEN_95 = 0.22


def _shifted(curve: F64, frames: int) -> F64:
    """Later by so many frames."""
    return np.asarray(np.interp(np.arange(len(curve)) - frames, np.arange(len(curve)), curve))


def _energy(scene: Scene) -> F64:
    low, high = np.quantile(scene.loud, (0.05, 0.95))
    gap = np.clip((scene.loud - low) / max(float(high - low), 1e-9), 0.0, None) * _OPEN_95
    return np.asarray(gap, np.float64)


def _smoothed(scene: Scene) -> F64:
    width = min(15, len(scene.shown) // 2 * 2 - 1)
    kernel = np.hanning(width + 2)[1:-1]
    padded = np.pad(scene.shown, width // 2, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), "valid")


def _jittered(scene: Scene) -> F64:
    noise = np.random.default_rng(len(scene.shown)).normal(0.0, 0.03, len(scene.shown))
    return np.maximum(0.0, scene.shown + noise)


def _elsewhere(scene: Scene) -> F64:
    if not scene.others:
        return np.roll(scene.real, len(scene.real) // 2)
    return np.resize(scene.others[0], len(scene.real))


TOYS: tuple[Toy, ...] = (
    Toy("half open", lambda s: np.full(len(s.shown), _HALF_OPEN), lambda s: np.ones(len(s.shown))),
    Toy("energy x gain", _energy),
    Toy("80 ms late", lambda s: _shifted(s.shown, 2), lambda s: _shifted(s.gate, 2)),
    Toy("80 ms early", lambda s: _shifted(s.shown, -2), lambda s: _shifted(s.gate, -2)),
    Toy("smoothed", _smoothed),
    Toy("jittered", _jittered),
    Toy("always shut", lambda s: np.zeros(len(s.shown))),
    Toy("gate never opens", lambda s: np.zeros(len(s.shown)), lambda s: np.zeros(len(s.shown))),
    Toy("other words", _elsewhere),
)
