"""Amplitude: what is predicted moves less than the person, so it is stretched to their quantiles.

Never by more than half again, never where nothing is predicted, and nothing moved stays nothing
moved: a gain that reaches further would re-open closures and enlarge errors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "MOST", "curve_of", "gain_of"]

F64 = NDArray[np.float64]

LEVELS = (0.05, 0.5, 0.95)
MOST = 1.5
_END = 1.0  # IOD: wider than any mouth
_APART = 1e-3  # IOD


def gain_of(heard: F64, real: F64, most: float = MOST) -> float:
    """The factor that brings the quantiles of a prediction nearest to those of the truth.

    Args:
        heard, real: float64[N], of frames that were left out when the prediction was fitted.
    """
    h, r = np.quantile(heard, LEVELS), np.quantile(real, LEVELS)
    return float(np.clip((h @ r) / max(float(h @ h), 1e-12), 0.5, most))


def curve_of(heard: F64, real: F64, most: float = MOST) -> list[list[float]]:
    """A rising curve for `tract@2`, from heard to shown aperture, through 0 and the quantiles.

    Args:
        heard, real: as of `gain_of`, IOD.
        most: times what is heard that is shown.
    """
    points = [[0.0, 0.0]]
    for h, r in zip(np.quantile(heard, LEVELS), np.quantile(real, LEVELS), strict=True):
        x = float(h)
        if x - points[-1][0] < _APART or x > _END - _APART:
            continue
        points.append([x, float(np.clip(r, points[-1][1], most * x))])
    x, y = points[-1]
    points.append([_END, max(y, _END * (y / x if x > 0.0 else 1.0))])
    return [[round(x, 4), round(y, 4)] for x, y in points]
