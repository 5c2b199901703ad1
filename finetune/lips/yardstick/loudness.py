"""How loud a recording is, frame by frame: the baseline that anybody has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.engines.audio import RATE, LogMel

__all__ = ["loudness"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_SMOOTH = 12  # rows: 120 ms
_CENTRE = 1.25  # rows: half of the window, which ends where the row is complete


def loudness(sound: F32, frames: int, low_hz: float = 60.0, high_hz: float = 7600.0) -> F64:
    """Energy of a band, logarithmic, smoothed over 120 ms.

    Args:
        sound: float32[n], 16 kHz.
        frames: K.

    Returns:
        float64[K], at the middle of frames of 40 ms; no unit.
    """
    mel = LogMel({"low_hz": low_hz, "high_hz": high_hz, "bands": 8.0, "mean_strength": 0.0})
    rows = mel.step(mel.initial_state(), np.concatenate((sound, np.zeros(RATE, np.float32))))
    power = rows[:, :8].mean(1)
    smooth = np.convolve(power, np.ones(_SMOOTH) / _SMOOTH, "same")
    at = (np.arange(frames) + 0.5) * 4.0 - 1.0 + _CENTRE
    return np.asarray(np.interp(at, np.arange(len(smooth)), smooth), np.float64)
