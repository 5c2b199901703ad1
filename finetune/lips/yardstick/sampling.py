"""Block bootstrap: how far a figure would move with other two seconds of the same recordings.

Every statistic is computed for all draws at once, as an array float64[1 + D]: first the estimate
itself, then one value a draw. Arrays of equal seeds are paired: a difference of two methods is the
difference of their arrays (H. Kunsch, "The jackknife and the bootstrap for general stationary
observations", 1989; here with blocks that do not overlap).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "DRAWS", "Curves", "Estimate", "Sampling", "correlations", "quantiles"]

F64 = NDArray[np.float64]
# Of a clip, its uncut pieces; of a family, its clips.
Curves = Sequence[Sequence[F64]]

BLOCK = 50  # frames: two seconds
DRAWS = 1000
_LEAST_KNOWN = 0.9


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, draws: F64, scale: float = 1.0) -> Estimate:
        """From an array of the estimate and its draws."""
        if not np.isfinite(draws[0]):
            return cls(None)
        value, known = float(draws[0]) * scale, draws[1:][np.isfinite(draws[1:])]
        # A figure that hardly exists in other draws has no interval worth the name.
        if len(known) < max(1.0, _LEAST_KNOWN * (len(draws) - 1)):
            return cls(value)
        low, high = np.percentile(known, (2.5, 97.5)) * scale
        return cls(value, float(low), float(high))


class Sampling:
    """Which blocks of a family each draw takes.

    One clip is cut into blocks of two seconds within its pieces, and blocks are drawn. Of several
    short clips whole clips are drawn, and figures are means over clips.

    Args:
        lengths: frames of every piece of every clip.
        draws: D.
        name: of the family; it seeds the draws.

    Attributes:
        weights: float64[1 + D, cells], how often each block or clip is taken.
    """

    def __init__(
        self, lengths: Sequence[Sequence[int]], draws: int = DRAWS, name: str = ""
    ) -> None:
        self.whole = len(lengths) > 1
        self.cells: list[tuple[int, int, int, int]] = []  # clip, piece, from, to
        for clip, pieces in enumerate(lengths):
            for piece, frames in enumerate(pieces):
                count = max(1, round(frames / BLOCK))
                edges = np.linspace(0, frames, count + 1).astype(int).tolist()
                self.cells += [
                    (clip, piece, a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)
                ]
        size = len(lengths) if self.whole else len(self.cells)
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        drawn = rng.multinomial(size, np.full(size, 1.0 / size), draws)
        self.weights = np.concatenate((np.ones((1, size)), drawn)).astype(np.float64)

    def mean(self, per_clip: F64) -> F64:
        """Mean over the drawn clips, float64[1 + D, ...] of float64[clips, ...]."""
        total = self.weights.sum(axis=1)
        flat = self.weights @ per_clip.reshape(len(per_clip), -1)
        return np.asarray((flat / total[:, None]).reshape(len(total), *per_clip.shape[1:]))

    def sums(self, per_cell: F64) -> F64:
        """Add what cells say, float64[cells, ...].

        Returns:
            float64[clips, ...] of several clips, float64[1 + D, ...] of one.
        """
        if not self.whole:
            flat = self.weights @ per_cell.reshape(len(per_cell), -1)
            return np.asarray(flat.reshape(len(flat), *per_cell.shape[1:]))
        clips = np.array([cell[0] for cell in self.cells])
        out = np.zeros((clips.max() + 1, *per_cell.shape[1:]))
        np.add.at(out, clips, per_cell)
        return out


def _pearson(sums: F64) -> F64:
    """r of sums [..., (n, x, y, xx, yy, xy)]; 0 where one of them does not vary."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    n = np.maximum(n, 1.0)
    vx, vy = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2
    product = np.maximum(vx, 0.0) * np.maximum(vy, 0.0)
    still = product < 1e-18
    r = (xy / n - x * y / n**2) / np.sqrt(np.where(still, 1.0, product))
    return np.asarray(np.where(still, 0.0, r))


def correlations(sampling: Sampling, predicted: Curves, real: Curves, span: int = 0) -> F64:
    """Pearson's r at shifts of -span to +span frames, within pieces.

    Args:
        predicted, real: of each clip its pieces, float64[K].

    Returns:
        float64[1 + D, 2 span + 1]; entry `span + s` compares the prediction at k + s with the truth
        at k, so that the peak of a late prediction is at s > 0. All shifts see the same truth.
    """
    shifts = np.arange(-span, span + 1)
    rows = np.zeros((len(sampling.cells), len(shifts), 6))
    for cell, (clip, piece, start, stop) in enumerate(sampling.cells):
        p, r = predicted[clip][piece], real[clip][piece]
        a, b = max(start, span), min(stop, len(r) - span)
        if b <= a:
            continue
        y = r[a:b]
        for i, s in enumerate(shifts.tolist()):
            x = p[a + s : b + s]
            rows[cell, i] = (
                b - a, x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()
            )  # fmt: skip
    sums = sampling.sums(rows)
    r_all = _pearson(sums)
    return sampling.mean(r_all) if sampling.whole else r_all


def quantiles(sampling: Sampling, curves: Curves, levels: Sequence[float]) -> F64:
    """Quantiles over all frames, float64[1 + D, levels]; of several clips the mean of theirs."""
    if sampling.whole:
        per_clip = [np.quantile(np.concatenate(pieces), levels) for pieces in curves]
        return sampling.mean(np.asarray(per_clip))
    values, owner = [], []
    for cell, (clip, piece, start, stop) in enumerate(sampling.cells):
        part = curves[clip][piece][start:stop]
        values.append(part)
        owner += [cell] * len(part)
    joined = np.concatenate(values)
    order = np.argsort(joined, kind="stable")
    weight = np.cumsum(sampling.weights[:, np.asarray(owner)[order]], axis=1)
    out = np.empty((len(weight), len(levels)))
    for i, level in enumerate(levels):
        at = (weight < level * weight[:, -1:]).sum(axis=1)
        out[:, i] = joined[order][np.minimum(at, len(joined) - 1)]
    return out
