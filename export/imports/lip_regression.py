"""Linear regression of coefficients onto moves, with a prior and without."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["contact", "explained", "posterior", "ridge"]

F64 = NDArray[np.float64]

TYPICAL = np.array([0.1, 0.06, 0.05, 0.3, 0.3, 0.3])  # moves of speech
PRIOR_FRAMES = 50.0  # of speech that the prior weighs as much as
PRIOR_CONTACTS = 5.0  # frames of a contact, likewise
RIDGE = 0.02  # of the power of a move, where there is no geometry


def posterior(moves: F64, offset: F64, prior: F64) -> F64:
    """The map f64[C, 6] that data f64[n, 6], f64[n, C] and the prior f64[C, 6] agree on."""
    weight = PRIOR_FRAMES * np.diag(TYPICAL**2)
    left = moves.T @ moves + weight
    return np.asarray(np.linalg.solve(left, moves.T @ offset + weight @ prior.T).T)


def ridge(moves: F64, offset: F64) -> F64:
    """The map f64[C, 6] without a prior; nothing moved is the rest."""
    power = moves.T @ moves
    penalty = RIDGE * np.diag(np.diag(power) + 1e-9)
    return np.asarray(np.linalg.solve(power + penalty, moves.T @ offset).T)


def contact(seen: F64, prior: F64) -> F64:
    """The mean of the frames of a contact, f64[n, C], and of the prior, which is some of them."""
    return np.asarray(
        (seen.sum(axis=0) + PRIOR_CONTACTS * prior) / (len(seen) + PRIOR_CONTACTS), np.float64
    )


def explained(
    moves: F64, offset: F64, prior: F64, weight: F64, *, geometry: bool = True, blocks: int = 6
) -> float:
    """Share of the variance that the map explains, in blocked cross-validation.

    Args:
        weight: f64[P, C], from coefficients to what is compared.
    """
    if len(moves) < 4 * blocks:
        return 0.0
    frames = np.arange(len(moves))
    error = total = 0.0
    for block in np.array_split(frames, blocks):
        others = np.setdiff1d(frames, block)
        fitted = (
            posterior(moves[others], offset[others], prior)
            if geometry
            else ridge(moves[others], offset[others])
        )
        error += float(np.square((offset[block] - moves[block] @ fitted.T) @ weight.T).sum())
        mean = offset[others].mean(axis=0)
        total += float(np.square((offset[block] - mean) @ weight.T).sum())
    return 1.0 - error / total if total > 0.0 else 0.0
