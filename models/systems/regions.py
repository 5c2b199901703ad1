"""Connected regions of a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["flooded", "holes"]

Mask = NDArray[np.bool_]


def flooded(mask: Mask, seeds: Mask, *, diagonal: bool) -> Mask:
    """Return what can be reached from `seeds` without leaving `mask`, bool[H, W].

    Args:
        mask, seeds: bool[H, W]; seeds outside the mask do not count.
        diagonal: whether pixels that touch at a corner are neighbours (8 in all, not 4).
    """
    reached = seeds & mask
    while True:
        grown = _grown(reached, diagonal) & mask
        if np.array_equal(grown, reached):
            return reached
        reached = grown


def holes(mask: Mask) -> Mask:
    """Return what is not in `mask` and enclosed by it, bool[H, W]: no way of 4 leads outside."""
    outside = np.zeros(mask.shape, bool)
    outside[[0, -1]] = outside[:, [0, -1]] = True
    return ~mask & ~flooded(~mask, outside, diagonal=False)


def _grown(mask: Mask, diagonal: bool) -> Mask:
    wide = np.pad(mask, 1)
    rows = wide[:-2] | wide[1:-1] | wide[2:]
    if diagonal:
        return rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
    across = wide[1:-1]
    return rows[:, 1:-1] | across[:, :-2] | across[:, 2:]
