"""Where a video was cut, and the stretches between that can be learnt from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.check.findings import Finding, listed
from visavis.finetune.lips.yardstick.tracks import find_cuts

__all__ = ["LEAST_S", "LEAST_STRETCH_S", "breaks", "cut_times", "gaps", "stretches", "too_little"]

F64 = NDArray[np.float64]

LEAST_S = 12.0  # of a video that is used
LEAST_STRETCH_S = 3.0
_LEAST_CHANGE = 1.0  # levels; a key frame of a still picture changes less
_SAME = 0.02  # levels: the picture before, shown again
_LONGEST_GAP_S = 0.25


def cut_times(time: F64, change: F64) -> list[float]:
    """Return when another shot begins, in seconds. Fades are not found.

    Args:
        time: float64[M], of all pictures.
        change: float64[M], mean difference of luma to the picture before, in levels.
    """
    # Repeated pictures would make every change beside them look sudden.
    other = np.flatnonzero((change > _SAME) | (np.arange(len(change)) == 0))
    sudden = [int(other[i]) for i in find_cuts(change[other])]
    return [float(time[i]) for i in sudden if change[i] >= _LEAST_CHANGE]


def gaps(time: F64) -> list[tuple[float, float]]:
    """Return from when to when no new picture comes for longer than a face may stand still."""
    step = np.diff(time)
    return [(float(time[i]), float(time[i + 1])) for i in np.flatnonzero(step > _LONGEST_GAP_S)]


def breaks(cuts: Sequence[float], missing: Sequence[tuple[float, float]]) -> list[float]:
    """Return all moments that nothing may be learnt across, in seconds, in their order."""
    return sorted({*cuts, *(edge for gap in missing for edge in gap)})


def stretches(
    cuts: Sequence[float], missing: Sequence[tuple[float, float]], end: float
) -> list[tuple[float, float]]:
    """Return from when to when the video is whole, for at least `LEAST_STRETCH_S` each."""
    edges = [0.0, *breaks(cuts, missing), end]
    frozen = set(missing)
    return [
        (a, b)
        for a, b in zip(edges[:-1], edges[1:], strict=True)
        if b - a >= LEAST_STRETCH_S and (a, b) not in frozen
    ]


def too_little(
    cuts: Sequence[float], missing: Sequence[tuple[float, float]], end: float
) -> Finding | None:
    """Return why too little of a video is whole; None where enough is."""
    kept = sum(b - a for a, b in stretches(cuts, missing, end))
    if kept >= LEAST_S:
        return None
    why = f", with cuts at {listed(cuts)}" if cuts else ""
    return Finding(
        "cuts",
        "refused",
        f"Only {kept:.1f} s of the video are in stretches of {LEAST_STRETCH_S:.0f} s and more"
        f"{why}; {LEAST_S:.0f} are needed: record it in one go.",
    )
