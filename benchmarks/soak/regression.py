"""The slope of noisy samples, and how sure it is. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["LEAST", "Slope", "slope", "t_975"]

LEAST = 8
"""Samples below which nothing is said."""
Z_975 = 1.959963984540054
EXACT = {1: 12.706205, 2: 4.302653}


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line's slope with its 95 % confidence interval.

    Attributes:
        value, low, high: of the slope; units of y for one of x.
        samples: how many were fitted.
        effective: how many independent ones they are worth.
    """

    value: float
    low: float
    high: float
    samples: int
    effective: float


def t_975(freedom: float) -> float:
    """Student's t below which 97.5 % lie, for ``freedom`` degrees of freedom, at least 1.

    Exact for 1 and 2; else the expansion of Abramowitz & Stegun 26.7.5, good to 0.02 from 3 on.
    """
    if freedom < 3:
        return EXACT[max(1, int(freedom))]
    z, n = Z_975, freedom
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / n ** (power + 1) for power, term in enumerate(terms))


def slope(x: ArrayLike, y: ArrayLike) -> Slope | None:
    """Fit a line by least squares.

    Successive samples of a process are alike, and an interval that takes each for news would be too
    narrow: the residuals' correlation r from one sample to the next makes n samples worth
    n (1 - r) / (1 + r). (Bayley & Hammersley 1946, for a first-order process.)

    Args:
        x: f[n], in rising order.
        y: f[n]; NaN where not known.

    Returns:
        The slope; None for fewer than eight known samples, or where x does not change.
    """
    abscissa = np.asarray(x, np.float64)
    ordinate = np.asarray(y, np.float64)
    known = np.isfinite(abscissa) & np.isfinite(ordinate)
    abscissa, ordinate = abscissa[known], ordinate[known]
    count = int(abscissa.size)
    if count < LEAST:
        return None
    centred = abscissa - abscissa.mean()
    squares = float(centred @ centred)
    if squares <= 0:
        return None
    value = float(centred @ (ordinate - ordinate.mean())) / squares
    residual = ordinate - ordinate.mean() - value * centred
    power = float(residual @ residual)
    likeness = float(residual[1:] @ residual[:-1]) / power if power > 0 else 0.0
    likeness = min(max(likeness, 0.0), 0.999)
    effective = max(3.0, count * (1 - likeness) / (1 + likeness))
    error = math.sqrt(power / (count - 2) / squares * count / effective)
    half = t_975(effective - 2) * error
    return Slope(value, value - half, value + half, count, effective)
