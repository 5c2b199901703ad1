"""Mel-frequency cepstral coefficients as `headpose` and `audiodvp` hear them.

S. Davis, P. Mermelstein, "Comparison of parametric representations for monosyllabic word
recognition", 1980, with the choices of the python_speech_features package: no window function,
power spectrum over the transform's length, 26 mel filters to half the sample rate, the energy of
the window in place of coefficient 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["COEFFICIENTS", "HOP", "PADDING", "ROWS", "clip_windows", "mfcc", "windows"]

SAMPLE_RATE = 16_000
WINDOW, HOP, TRANSFORM = 400, 160, 512
FILTERS, COEFFICIENTS = 26, 13
LIFTER = 22
EMPHASIS = 0.97
PADDING = 1920  # samples of silence before and after a clip: 120 ms
ROWS = 28  # that a frame of 40 ms sees, of which it moves on by 4
STEP = 4

F64 = NDArray[np.float64]


def mfcc(samples: NDArray[np.floating], previous: float | None = None) -> F64:
    """Return coefficients f64[M, 13], M = 1 + ceil((N - 400) / 160); column 0 is the log energy.

    Scaling the samples moves column 0 alone. Silence is heard as the smallest number: 0 in the
    others.

    Args:
        samples: f[N], mono, 16 kHz, N at least 1. The last window is filled up with silence.
        previous: the sample before the first one; None where a clip begins. A stream that leaves it
            out is wrong by tens in every first row.
    """
    x = np.asarray(samples, np.float64)
    if x.ndim != 1 or not x.size:
        raise ValueError(f"Samples must be a vector that is not empty, not of shape {x.shape}.")
    before = np.concatenate(([0.0 if previous is None else previous], x[:-1]))
    x = x - EMPHASIS * before
    rows = 1 + max(0, -(-(len(x) - WINDOW) // HOP))
    x = np.pad(x, (0, max(0, (rows - 1) * HOP + WINDOW - len(x))))
    framed = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP][:rows]
    power = np.abs(np.fft.rfft(framed, TRANSFORM)) ** 2 / TRANSFORM
    tiny = np.finfo(np.float64).eps
    energy = power.sum(1)
    mel = power @ _filters().T
    cepstra = np.log(np.where(mel == 0.0, tiny, mel)) @ _cosines().T
    lift = 1.0 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    cepstra = cepstra * lift
    cepstra[:, 0] = np.log(np.where(energy == 0.0, tiny, energy))
    return cepstra


def windows(coefficients: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return what the network sees of each frame, f32[K, 28, 12], K = floor(M / 4) - 6, at least 0.

    Frame k hears rows 4k to 4k + 28 of a padded clip: with `PADDING` 120 ms before its begin to 175
    ms after it.

    Args:
        coefficients: f[M, 13] of `mfcc`; column 0 is dropped.
    """
    count = max(0, len(coefficients) // STEP - (ROWS // STEP - 1))
    kept = np.asarray(coefficients, np.float32)[:, 1:]
    if not count:
        return np.zeros((0, ROWS, COEFFICIENTS - 1), np.float32)
    return np.stack([kept[STEP * k : STEP * k + ROWS] for k in range(count)])


def clip_windows(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return what the network sees of every frame of a clip, f32[K, 28, 12].

    K is about one less than the clip has frames of 40 ms.

    Args:
        samples: f[N], mono, 16 kHz, -1 to 1.
    """
    return windows(mfcc(np.pad(samples, PADDING)))


def _filters() -> F64:
    """Triangles f64[26, 257] with equal steps on the mel scale 2595 log10(1 + f / 700)."""
    top = 2595.0 * np.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    hertz = 700.0 * (10.0 ** (np.linspace(0.0, top, FILTERS + 2) / 2595.0) - 1.0)
    bins = np.floor((TRANSFORM + 1) * hertz / SAMPLE_RATE)
    k = np.arange(TRANSFORM // 2 + 1)
    left, middle, right = (bins[i : i + FILTERS, None] for i in range(3))
    rise = np.where((k >= left) & (k < middle), (k - left) / (middle - left), 0.0)
    fall = np.where((k >= middle) & (k < right), (right - k) / (right - middle), 0.0)
    return rise + fall


def _cosines() -> F64:
    """The first 13 rows of the orthonormal DCT-II of 26 values, f64[13, 26]."""
    row, column = np.ogrid[:COEFFICIENTS, :FILTERS]
    matrix = np.cos(np.pi * row * (2 * column + 1) / (2 * FILTERS)) * np.sqrt(2.0 / FILTERS)
    matrix[0] /= np.sqrt(2.0)
    return np.asarray(matrix, np.float64)
