"""48 kHz to 16 kHz, streaming, with a known delay; and one sample more or less for clock drift."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DELAY_SAMPLES", "Decimator", "stretch"]

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
        windows = np.lib.stride_tricks.sliding_window_view(line, TAPS)[::FACTOR]
        out: NDArray[np.float32] = windows @ self._taps
        return out


_HALF = 8  # taps of the interpolator on each side


def stretch(pcm: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """Interpolate ``m + 2 * 8`` samples to ``n``, where ``n`` is ``m`` or one more or one less.

    The first and last eight samples are context and not part of the result. Output sample ``i``
    lies at ``i * m / n`` of the input: nothing jumps at either end.
    """
    m = len(pcm) - 2 * _HALF
    if m == n:
        return pcm[_HALF:-_HALF]
    position = np.arange(n) * (m / n)
    whole = position.astype(np.intp)
    fraction = position - whole
    offsets = np.arange(-_HALF + 1, _HALF + 1)
    distance = fraction[:, None] - offsets[None, :]
    weights = np.sinc(distance) * np.cos(np.pi * distance / (2 * _HALF + 2)) ** 2
    weights /= weights.sum(1, keepdims=True)
    windows = pcm[(whole + _HALF)[:, None] + offsets[None, :]]
    out: NDArray[np.float32] = np.einsum("ij,ij->i", windows, weights).astype(np.float32)
    return out
