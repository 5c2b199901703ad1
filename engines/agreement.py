"""How far a network may be from the one that was trained, and how far it is.

Everything is in 255ths: levels of a picture's bytes; of other outputs, shares of the range that
each of their channels has. So one table of bounds does for every graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

__all__ = ["BOUNDS", "FRAME_BOUNDS", "Figures", "compare", "past", "worst_of"]

Arrays = Mapping[str, NDArray[np.generic]]

TAIL = 0.999
# Of a channel's range, in the output's own unit: what hardly moves is not judged by its noise.
LEAST_RANGE = 0.05


@dataclass(frozen=True, slots=True)
class Figures:
    """Differences, or the largest that there may be, in 255ths.

    Attributes:
        mean, rms: of the absolute difference.
        tail: what 99.9 % of the differences do not exceed.
        worst: the largest.
    """

    mean: float
    rms: float
    tail: float
    worst: float


# Of a graph, by variant. A byte that is rounded the other way is one level.
BOUNDS: Mapping[str, Figures] = {
    # Sums in another order, and weights that are kept in 16 bits.
    "fp32": Figures(mean=0.03, rms=0.2, tail=1.0, worst=3.0),
    # 11 bits of mantissa: a twentieth of a level for the picture, and as much for every layer.
    "fp16": Figures(mean=0.15, rms=0.4, tail=2.0, worst=6.0),
    # 256 steps for every layer. rms and tail are what the engine asks of a variant (`backend`);
    # single pixels may be further off where a value lies beyond the calibrated range.
    "int8": Figures(mean=1.2, rms=2.0, tail=16.0, worst=64.0),
}
# Of the whole pipeline's frames, within the crop. Coefficients that differ in their last bits move
# a vertex by as little, but a pixel on an edge of the mesh then lies on its other side: single
# pixels say little here, and the mean, rms and tail all the more.
FRAME_BOUNDS: Mapping[str, Figures] = {
    "fp32": Figures(mean=0.15, rms=0.5, tail=3.0, worst=96.0),
    "fp16": Figures(mean=0.25, rms=0.7, tail=4.0, worst=96.0),
    "int8": Figures(mean=1.2, rms=2.0, tail=16.0, worst=96.0),
}


def compare(wanted: Arrays, given: Arrays) -> Figures:
    """Return how far outputs are apart, each figure of the output that it is largest for.

    Args:
        wanted: arrays [K, ...] by name: bytes, or floats with channels along the last axis.
        given: the same outputs; others beside them are not looked at. What is missing, of another
            shape or not finite is infinitely far off.
    """
    return worst_of([_difference(array, given.get(name)) for name, array in wanted.items()])


def worst_of(several: Sequence[Figures]) -> Figures:
    """Return the largest of each figure."""
    return Figures(*np.max([astuple(figures) for figures in several], axis=0).tolist())


def past(figures: Figures, bound: Figures) -> str:
    """Return the first figure that is past its bound, in words; "" where none is."""
    for field in fields(Figures):
        value, most = getattr(figures, field.name), getattr(bound, field.name)
        if not value <= most:
            return f"off by {value:.2f} levels ({_WORDS[field.name]}), more than the {most:g}"
    return ""


_WORDS = {"mean": "mean", "rms": "rms", "tail": "99.9 %", "worst": "largest"}


def _difference(wanted: NDArray[np.generic], given: NDArray[np.generic] | None) -> Figures:
    infinite = Figures(*[float("inf")] * 4)
    if given is None or given.shape != wanted.shape:
        return infinite
    apart = np.abs(wanted.astype(np.float64) - given.astype(np.float64))
    if not np.isfinite(apart).all():
        return infinite
    if wanted.dtype != np.uint8:
        channels = wanted.astype(np.float64).reshape(-1, wanted.shape[-1])
        apart *= 255.0 / np.maximum(np.ptp(channels, axis=0), LEAST_RANGE)
    return Figures(
        float(apart.mean()),
        float(np.sqrt(np.mean(apart**2))),
        float(np.quantile(apart, TAIL)),
        float(apart.max()),
    )
