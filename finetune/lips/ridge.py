"""The linear half of the motion network: a ridge from the last 400 ms of rows to the moves.

Its penalty is chosen for voices that it never heard: a ridge that fits its own synthetic voices
best carries over to real ones worse.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.finetune.lips.streams import Recording
from visavis.models.motion import MOVES, RIDGE_TICKS, ROWS, STEPS, Motion

__all__ = ["PENALTY", "SHARE", "fit_ridge"]

F64 = NDArray[np.float64]

PENALTY = 2.0  # times the inputs' own variance
# Of aperture, jaw, width, protrusion, tuck, tongue: how much of the move is the ridge's.
SHARE = (0.75, 0.5, 0.4, 0.4, 0.2, 0.2)


def _inputs(recording: Recording) -> NDArray[np.float32]:
    """f32[K, RIDGE_TICKS F], as the network's own windows."""
    rows = recording.features.astype(np.float32)
    blocks = rows.reshape(len(rows) // ROWS, ROWS, -1).mean(1)
    padded = np.concatenate((np.zeros((RIDGE_TICKS - 1, blocks.shape[1]), np.float32), blocks))
    windows = np.lib.stride_tricks.sliding_window_view(padded, RIDGE_TICKS, axis=0)
    return np.ascontiguousarray(windows.transpose(0, 2, 1)).reshape(len(blocks), -1)


def _wanted(recording: Recording, lookaheads: Sequence[int]) -> NDArray[np.float32]:
    """f32[K, H STEPS MOVES], as the network's own heads."""
    ticks = len(recording.phones) // STEPS
    longest = max(lookaheads) // 20
    heads = [
        recording.tract[longest - ms // 20 :][: STEPS * ticks, :MOVES].reshape(ticks, -1)
        for ms in lookaheads
    ]
    return np.concatenate(heads, 1).astype(np.float32)


def fit_ridge(
    motion: Motion,
    recordings: Sequence[Recording],
    *,
    share: Sequence[float] = SHARE,
    penalty: float = PENALTY,
) -> None:
    """Fits the ridge of a trained network in closed form, and sets its share, in place.

    The penalty shrinks what it says; a factor per output undoes that as far as least squares wants.
    """
    size = RIDGE_TICKS * motion.config.features
    lookaheads = motion.config.lookaheads
    outputs = len(lookaheads) * STEPS * MOVES
    # Moments about a first guess of the mean: the sums of squares stay small.
    count = 0
    sx, sy = np.zeros(size), np.zeros(outputs)
    sxx, sxy = np.zeros((size, size)), np.zeros((size, outputs))
    for recording in recordings:
        x, y = _inputs(recording), _wanted(recording, lookaheads)
        count += len(x)
        sx += x.sum(0, dtype=np.float64)
        sy += y.sum(0, dtype=np.float64)
        sxx += x.T @ x
        sxy += x.T @ y
    mean_x, mean_y = sx / count, sy / count
    covariance = sxx / count - np.outer(mean_x, mean_x)
    cross = sxy / count - np.outer(mean_x, mean_y)
    spread = np.diag(covariance).clip(1e-6)
    weights = np.linalg.solve(covariance + penalty * np.diag(spread), cross)
    explained = (weights * (covariance @ weights)).sum(0)
    weights *= (weights * cross).sum(0) / np.maximum(explained, 1e-12)
    with torch.no_grad():
        motion.ridge.weight.copy_(torch.from_numpy(weights.T))
        motion.ridge.bias.copy_(torch.from_numpy(mean_y - mean_x @ weights))
        motion.ridge_share.copy_(torch.tensor(share))
