"""Concealment of missing sound: the last pitch period is repeated and fades to silence in 60 ms.

After ITU-T G.711 Appendix I (a codec-independent algorithm), at 48 kHz, without its 3.75 ms of
delay: the joint is smoothed by a decaying offset instead of an overlap with sound already sent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FADE_SAMPLES", "Concealer", "repetition"]

RATE = 48_000
MIN_PERIOD = RATE // 400  # the highest voice, 400 Hz
MAX_PERIOD = RATE // 66  # the lowest, 66 Hz
HOLD_SAMPLES = RATE // 100  # the first 10 ms at full level
FADE_SAMPLES = RATE * 60 // 1000
MERGE_SAMPLES = RATE * 5 // 1000
OFFSET_SAMPLES = RATE * 2 // 1000
ALIKE = 0.8
DECIMATION = 6  # the pitch is searched at 8 kHz, as in the standard

_HISTORY = MAX_PERIOD * 3


class Concealer:
    """Watches the good sound and continues it where it breaks off."""

    def __init__(self) -> None:
        self._history = np.zeros(_HISTORY, np.float32)
        self._period = np.zeros(0, np.float32)
        self._made = 0
        self._offset = 0.0

    @property
    def made(self) -> int:
        """How many samples were made up since the last good sound."""
        return self._made

    @property
    def heard(self) -> bool:
        """Whether there is any sound that could be continued."""
        return bool(self._history.any())

    def good(self, pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pass sound that did arrive; after a concealment its first 5 ms are cross-faded.

        Args:
            pcm: ``f32[n]`` mono 48 kHz.

        Returns:
            ``f32[n]``; the argument itself where there is nothing to repair.
        """
        if self._made and len(pcm):
            n = min(MERGE_SAMPLES, len(pcm))
            continued = self._synthesise(n)
            rise = np.linspace(0.0, 1.0, n, dtype=np.float32)
            pcm = np.concatenate([continued * (1 - rise) + pcm[:n] * rise, pcm[n:]])
            self._made = 0
        self._remember(pcm)
        return pcm

    def conceal(self, n: int) -> NDArray[np.float32]:
        """Make up ``n`` samples, ``f32[n]``: the last sound goes on, then fades to silence."""
        if self._made == 0:
            self._begin()
        return self._synthesise(n)

    def _remember(self, pcm: NDArray[np.float32]) -> None:
        if len(pcm) >= _HISTORY:
            self._history = pcm[-_HISTORY:].copy()
        else:
            self._history = np.concatenate([self._history[len(pcm) :], pcm])

    def _begin(self) -> None:
        period = _pitch_period(self._history)
        self._period = self._history[-period:].copy()
        # The repeated period begins where the sound before it ended; the step that would be heard
        # at the joint is added as an offset that decays in 2 ms. The same offset, once a period,
        # would buzz, so the period's own end is bent to meet its beginning.
        step = float(self._history[-1] - self._history[-period - 1])
        bend = np.zeros(period, np.float32)
        n = min(OFFSET_SAMPLES, period)
        bend[-n:] = np.linspace(0.0, -step, n, dtype=np.float32)
        self._period += bend
        self._offset = step

    def _synthesise(self, n: int) -> NDArray[np.float32]:
        index = self._made + np.arange(n)
        out = self._period[index % len(self._period)]
        if self._made < OFFSET_SAMPLES:
            decay = np.clip(1.0 - index / OFFSET_SAMPLES, 0.0, 1.0).astype(np.float32)
            out = out + np.float32(self._offset) * decay
        gain = np.clip((FADE_SAMPLES - index) / (FADE_SAMPLES - HOLD_SAMPLES), 0.0, 1.0).astype(
            np.float32
        )
        self._made += n
        faded: NDArray[np.float32] = out * gain
        return faded


def repetition(pcm: NDArray[np.float32], most: int) -> int:
    """After how many samples the beginning of the sound comes again: so many can be left out.

    Args:
        pcm: ``f32[n]`` mono 48 kHz.
        most: no more than so many samples.

    Returns:
        One pitch period or a few; 0 where nothing resembles the beginning closely.
    """
    window = MIN_PERIOD * 4
    last = min(most, MAX_PERIOD, len(pcm) - window)
    if last < MIN_PERIOD:
        return 0
    windows = np.lib.stride_tricks.sliding_window_view(pcm, window)[MIN_PERIOD : last + 1]
    head = pcm[:window]
    energy = np.einsum("ij,ij->i", windows, windows) * float(np.dot(head, head))
    likeness = (windows @ head) / np.sqrt(energy + 1e-9)
    best = int(np.argmax(likeness))
    return best + MIN_PERIOD if likeness[best] > ALIKE else 0


def _pitch_period(history: NDArray[np.float32]) -> int:
    """The lag, in samples, at which the end of the sound resembles itself most."""
    coarse = history[: len(history) // DECIMATION * DECIMATION].reshape(-1, DECIMATION).mean(1)
    window = MAX_PERIOD // DECIMATION
    lags = np.arange(MIN_PERIOD // DECIMATION, MAX_PERIOD // DECIMATION + 1)
    tail = coarse[-window:]
    shifted = np.lib.stride_tricks.sliding_window_view(coarse, window)[len(coarse) - window - lags]
    energy = np.einsum("ij,ij->i", shifted, shifted)
    correlation = shifted @ tail
    best = int(lags[np.argmax(correlation / np.sqrt(energy + 1e-6))]) * DECIMATION
    # Refine to single samples around the coarse lag.
    window = MIN_PERIOD * 2
    near = np.arange(max(MIN_PERIOD, best - DECIMATION), min(MAX_PERIOD, best + DECIMATION) + 1)
    fine = np.lib.stride_tricks.sliding_window_view(history, window)[len(history) - window - near]
    error = np.square(fine - history[-window:]).sum(1)
    return int(near[np.argmin(error)])
