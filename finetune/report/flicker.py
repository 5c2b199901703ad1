"""Lips that flicker while they should be still: changes of luma between 6 Hz and 12.5.

The head is held still by its pose, so that nods and sway do not count. What a real mouth does then,
grain of the video included, is what to compare with: less is a mask, more is a shimmer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.agreement import FPS, high_pass
from visavis.finetune.report.plane import Grid, look

__all__ = ["LEAST", "flicker", "held_vowels", "silences", "stack"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]

LEAST = 6  # frames of a stretch that counts
_SLOWEST_S = 1.0 / 6.0
_OPEN = 0.05  # IOD
_STILL = 0.4  # IOD a second, smoothed over three frames
_SPEAKING = 0.5  # of the gate


def flicker(stacks: Sequence[F32]) -> float | None:
    """Return the mean energy of a pixel above 6 Hz, levels squared; None of nothing.

    Args:
        stacks: float32[K, h, w] each, luma with the head held still, 25 a second.
    """
    total, count = 0.0, 0
    for stretch in stacks:
        flat = np.asarray(stretch, np.float64).reshape(len(stretch), -1)
        total += float(np.square(high_pass(flat, _SLOWEST_S)).sum())
        count += flat.size
    return total / count if count else None


def stack(lumas: Sequence[U8], poses: NDArray[np.floating], grid: Grid) -> F32:
    """Return frames with the head held still, float32[K, rows, columns].

    Args:
        lumas: K of uint8[H, W]; poses: float[K, 3, 4].
    """
    return np.stack([look(luma, pose, grid) for luma, pose in zip(lumas, poses, strict=True)])


def silences(gate: NDArray[np.floating], opening: F64) -> list[tuple[int, int]]:
    """Return stretches (first, after the last) in which nobody speaks and the lips are still.

    Args:
        gate: float[K], how far the engine's gate is open.
        opening: float64[K], IOD.
    """
    return _runs((np.asarray(gate) < _SPEAKING) & (_speed(opening) < _STILL))


def held_vowels(gate: NDArray[np.floating], opening: F64) -> list[tuple[int, int]]:
    """The same of speech in which the lips stand open and still."""
    speaking = np.asarray(gate) >= _SPEAKING
    return _runs(speaking & (opening > _OPEN) & (_speed(opening) < _STILL))


def _speed(opening: F64) -> F64:
    if len(opening) < 2:
        return np.zeros(len(opening))
    speed = np.abs(np.gradient(opening)) * FPS
    return np.convolve(np.pad(speed, 1, mode="edge"), np.full(3, 1 / 3), "valid")


def _runs(wanted: Bools) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], wanted, [False])).astype(int)))
    return [(a, b) for a, b in edges.reshape(-1, 2).tolist() if b - a >= LEAST]
