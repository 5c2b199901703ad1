"""What a patient watcher sees while nobody speaks: how soon the head does the same again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.engines.walk import FrameChoice

__all__ = ["Repeats", "jumps", "places", "repeats"]

F64 = NDArray[np.float64]

FPS = 25
WINDOW = 50  # frames: two seconds
WITHIN = 1500  # frames: a minute
# Two seconds are the same where they differ by a tenth of their own movement; here squared.
_ALIKE = 0.01
# Movement in IOD, RMS, under which there is nothing to recognise.
_MOVES = 0.005
_FACE = np.array([(-0.4, -0.2, -0.2), (0.4, -0.2, -0.2), (0.0, 0.6, -0.4)])  # head space


@dataclass(frozen=True, slots=True)
class Repeats:
    """What comes again.

    Attributes:
        sequences: of two seconds that move at all.
        again: those of them that come again within a minute, forward or reversed.
        soonest_s: from the beginning of a sequence to the beginning of its repetition, None where
            none comes again.
        reversed_again: those that come again backward.
    """

    sequences: int
    again: int
    soonest_s: float | None
    reversed_again: int


def places(poses: NDArray[np.floating]) -> F64:
    """Return float64[T, 6]: three points of the face in every pose float[T, 3, 4], in IOD."""
    turn = np.asarray(poses, np.float64)
    iod = float(np.median(np.linalg.norm(turn[:, :, 0], axis=1)))
    at = np.einsum("nij,pj->npi", turn[:, :2, :3], _FACE) + turn[:, None, :2, 3]
    return np.asarray(at.reshape(len(turn), -1) / iod)


def repeats(path: F64) -> Repeats:
    """Look for sequences of two seconds that come again within a minute.

    Args:
        path: float64[T, D], of `places`, 25 a second.
    """
    count = len(path) - WINDOW + 1
    if count < 1:
        return Repeats(0, 0, None, 0)
    mean = _sums(path, WINDOW) / WINDOW
    moved = _sums(np.square(path), WINDOW).sum(axis=1) / WINDOW - np.square(mean).sum(axis=1)
    moves = np.sqrt(np.maximum(moved, 0.0)) > _MOVES
    soonest = np.full(count, np.inf)
    backward = np.zeros(count, np.bool_)
    for lag in range(WINDOW, min(WITHIN, len(path) - WINDOW) + 1):
        off = np.square(path[lag:] - path[:-lag]).sum(axis=1)
        same = _sums(off, WINDOW) / WINDOW < _ALIKE * moved[: count - lag]
        at = np.flatnonzero(same & moves[: count - lag])
        soonest[at] = np.minimum(soonest[at], lag)
    # The frame a + k of a sequence is the frame b + 49 - k of one that runs backward: of all pairs
    # i, j with one sum, so that every sum is one row of differences.
    for total in range(2 * WINDOW, 2 * len(path) - 2):
        first = max(0, total - len(path) + 1, (total - WITHIN - WINDOW + 1) // 2)
        last = total // 2 + 1  # the two do not overlap
        i = np.arange(first, last)
        if len(i) < WINDOW:
            continue
        off = np.square(path[i] - path[total - i]).sum(axis=1)
        starts = i[: len(i) - WINDOW + 1]
        lags = total - WINDOW + 1 - 2 * starts
        same = _sums(off, WINDOW) / WINDOW < _ALIKE * moved[starts]
        good = same & moves[starts] & (lags >= WINDOW) & (lags <= WITHIN)
        at = starts[good]
        backward[at] = True
        soonest[at] = np.minimum(soonest[at], lags[good])
    again = np.isfinite(soonest)
    return Repeats(
        sequences=int(moves.sum()),
        again=int(again.sum()),
        soonest_s=float(soonest.min()) / FPS if again.any() else None,
        reversed_again=int(backward.sum()),
    )


def _sums(values: F64, width: int) -> F64:
    """Sums of `width` neighbours along the first axis."""
    total = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values]), axis=0)
    return np.asarray(total[width:] - total[:-width])


def jumps(choices: Sequence[FrameChoice]) -> int:
    """Count how often the walk leaves the clip's order, blended or not."""
    count = 0
    for before, after in zip(choices, choices[1:], strict=False):
        if len(after.frames) > 1:
            count += len(before.frames) == 1
        elif len(before.frames) == 1:
            count += after.frames[0] - before.frames[0] not in (0, 1)
    return count
