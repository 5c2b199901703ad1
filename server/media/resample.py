"""48 kHz to 16 kHz, streaming, with a delay that is known and made good elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DELAY_SAMPLES", "Decimator"]

FACTOR = 3
TAPS = 61
DELAY_SAMPLES = (TAPS - 1) // 2
"""Group delay of :class:`Decimator` in samples at 48 kHz (0.625 ms, 10 samples at 16 kHz)."""


def _lowpass() -> NDArray[np.float32]:
    """A Kaiser-windowed sinc: flat to 6.8 kHz, 60 dB down at 9 kHz (which folds to 7 kHz)."""
    t = np.arange(TAPS) - DELAY_SAMPLES
    cutoff = 7_800 / 48_000
    taps = 2 * cutoff * np.sinc(2 * cutoff * t) * np.kaiser(TAPS, 5.65)
    normalised: NDArray[np.float32] = (taps / taps.sum()).astype(np.float32)
    return normalised


class Decimator:
    """A linear-phase FIR at 48 kHz of which every third output is kept.

    Output sample ``i`` shows the sound :data:`DELAY_SAMPLES` before input sample ``3 * i``.
    """

    def __init__(self) -> None:
        self._taps = _lowpass()
        self._tail = np.zeros(TAPS - 1, np.float32)

    def process(self, pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        """``f32[3 * n]`` at 48 kHz to ``f32[n]`` at 16 kHz.

        Raises:
            ValueError: the length is not a multiple of three.
        """
        if len(pcm) % FACTOR:
            raise ValueError(f"{len(pcm)} samples are not a multiple of {FACTOR}")
        if not len(pcm):
            return np.zeros(0, np.float32)
        line = np.concatenate([self._tail, pcm])
        self._tail = line[len(line) - (TAPS - 1) :]
        step = line.itemsize
        windows = np.ndarray(
            (len(pcm) // FACTOR, TAPS), np.float32, line, strides=(FACTOR * step, step)
        )
        out: NDArray[np.float32] = np.einsum("ij,j->i", windows, self._taps)
        return out
