"""A low-pass filter without delay, for clips that are whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MIN_ROWS", "butterworth", "smoothed"]

F64 = NDArray[np.float64]

ORDER = 8
# A clip is continued by three times the filter's length on both sides, which needs one row more.
PADDING = 3 * (ORDER + 1)
MIN_ROWS = PADDING + 1


def butterworth(cutoff: float) -> tuple[F64, F64]:
    """Return numerator and denominator f64[9] of an all-pole filter of order 8 (S. Butterworth).

    Args:
        cutoff: where half of the power passes, in half sample rates, 0 to 1.
    """
    # The analog poles on a circle, warped so that the bilinear transform puts them right.
    warped = 4.0 * np.tan(np.pi * cutoff / 2.0)
    angles = np.pi * (2.0 * np.arange(ORDER) - ORDER + 1.0) / (2.0 * ORDER)
    poles = -warped * np.exp(1j * angles)
    a = np.real(np.poly((4.0 + poles) / (4.0 - poles)))
    b = np.poly(-np.ones(ORDER))
    return b * (a.sum() / b.sum()), a


def smoothed(rows: NDArray[np.floating], cutoff: float) -> F64:
    """Return rows f64[N, C] filtered along the first axis, forward and then backward.

    Args:
        rows: f[N, C], N at least `MIN_ROWS`. Both ends are continued by turning the clip around its
            last value (F. Gustafsson, "Determining the initial states in forward-backward
            filtering", 1996, for what the filter starts from).
        cutoff: as `butterworth`.
    """
    x = np.asarray(rows, np.float64)
    if len(x) < MIN_ROWS:
        raise ValueError(f"A clip must have {MIN_ROWS} rows or more, not {len(x)}.")
    b, a = butterworth(cutoff)
    before = 2.0 * x[0] - x[PADDING:0:-1]
    after = 2.0 * x[-1] - x[-2 : -PADDING - 2 : -1]
    wide = _filtered(b, a, np.concatenate((before, x, after)))
    return _filtered(b, a, wide[::-1])[::-1][PADDING:-PADDING]


def _filtered(b: F64, a: F64, x: F64) -> F64:
    """One direction, transposed direct form II, begun as if the first row had been there always."""
    companion = np.eye(ORDER, k=1)
    companion[:, 0] = -a[1:]
    steady = np.linalg.solve(np.eye(ORDER) - companion, b[1:] - a[1:] * b[0])
    state = steady[:, None] * x[0]
    out = np.empty_like(x)
    for n, row in enumerate(x):
        out[n] = b[0] * row + state[0]
        moved = np.concatenate((state[1:], np.zeros((1, x.shape[1]))))
        state = moved + b[1:, None] * row - a[1:, None] * out[n]
    return out
