"""Stressed syllables: those that are louder than the ones before.

People nod with what they stress (U. Hadar et al., "Head movement correlates of juncture and stress
at sentence level", Language and Speech, 1983). All that is known here is the level of the sound
that came with a tick, which lies the session's look-ahead after what is shown; a peak is told one
tick after it, so a nod begins before its syllable and is deepest with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["StressState", "follow", "levels", "listen"]

TICK = 640  # samples
FLOOR_DB, QUIET_DB = -70.0, -45.0  # of full scale; under the second nobody stresses anything
FORGET = 1.0 / 6.0  # of the running mean, a syllable
PROMINENT_DB, STRONGEST_DB = 1.0, 6.0  # above the mean


@dataclass(slots=True)
class StressState:
    """What one session carries.

    Attributes:
        mean: of the peaks of the voice, one a syllable, dB; None before there was any.
        last, before: levels of the last two ticks, dB.
    """

    mean: float | None = None
    last: float = FLOOR_DB
    before: float = FLOOR_DB


def listen(state: StressState, pcm: NDArray[np.float32]) -> float:
    """Take the sound of a tick and say how strong a stress has just been passed.

    Args:
        state: changed in place.
        pcm: f32[n], 16 kHz, full scale 1; the last 640 samples count.

    Returns:
        0 where there was no peak, to 1.
    """
    return follow(state, *levels([pcm]))


def levels(pcm: Sequence[NDArray[np.float32]]) -> list[float]:
    """Return the level of each of N sounds, of their last 640 samples, dB of full scale."""
    if all(len(samples) == TICK for samples in pcm):
        powers = np.square(np.stack(pcm), dtype=np.float64).mean(axis=1).tolist() if pcm else []
    else:
        powers = [
            float(np.square(samples[-TICK:], dtype=np.float64).mean()) if len(samples) else 0.0
            for samples in pcm
        ]
    # What is not finite counts as silence, as it does for the voice activity.
    return [
        min(10.0 * math.log10(power), 0.0) if math.isfinite(power) and power > 1e-7 else FLOOR_DB
        for power in powers
    ]


def follow(state: StressState, level: float) -> float:
    """As `listen`, of a tick whose level is known, dB."""
    peak, mean = state.last, state.mean
    is_peak = peak > state.before and peak >= level and peak > QUIET_DB
    state.before, state.last = peak, level
    if not is_peak:
        return 0.0
    state.mean = peak if mean is None else mean + FORGET * (peak - mean)
    if mean is None or peak < mean + PROMINENT_DB:
        return 0.0
    return min(1.0, (peak - mean) / STRONGEST_DB)
