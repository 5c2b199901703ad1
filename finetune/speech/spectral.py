"""Short-time spectra at 16 kHz and back, without shifting anything in time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FFT", "HOP", "frame_times", "spectra", "to_sound"]

RATE = 16000
FFT, HOP = 512, 128

F32 = NDArray[np.float32]

# Used twice, before and after: its squares at a quarter of its length apart sum to 2.
_WINDOW = np.sqrt(np.hanning(FFT + 1)[:-1]).astype(np.float32)


def spectra(sound: F32) -> NDArray[np.complex64]:
    """complex64[N, 257], 8 ms apart; the first frames lie before the sound."""
    padded = np.pad(sound, (FFT, FFT + HOP)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
    return np.asarray(np.fft.rfft(frames * _WINDOW), np.complex64)


def frame_times(frames: int) -> NDArray[np.float64]:
    """Middle of every frame of `spectra`, seconds from the start of the sound."""
    return np.asarray((np.arange(frames) * HOP - FFT / 2) / RATE)


def to_sound(frames: NDArray[np.complex64], length: int) -> F32:
    """f32[length]: the inverse of `spectra`."""
    shaped = np.fft.irfft(frames, FFT).astype(np.float32) * _WINDOW
    out = np.zeros((len(frames) + 2 * FFT // HOP) * HOP, np.float32)
    for part in range(FFT // HOP):  # frames a whole window apart do not overlap
        block = shaped[part :: FFT // HOP]
        start = part * HOP
        out[start : start + block.size] += block.reshape(-1)
    return out[FFT : FFT + length] * np.float32(0.5)
