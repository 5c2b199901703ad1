"""What rooms and microphones do to speech.

All functions take f32 sound at 16 kHz and a generator, and give f32 sound. Nothing here changes the
times of phones; what does (resampling) is done where the phones are known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["colour", "fast_length", "filtered", "reverberate"]

RATE = 16000
F32 = NDArray[np.float32]
Rng = np.random.Generator


def fast_length(n: int) -> int:
    """The next length of the form 2^k or 3 * 2^k, which the FFT likes."""
    power = 1 << max(n - 1, 1).bit_length()
    return power * 3 // 4 if power * 3 // 4 >= n else power


def filtered(x: F32, gain_db: NDArray[np.float64], hz: NDArray[np.float64]) -> F32:
    """Zero-phase filter by a gain curve, linear between the given frequencies."""
    n = fast_length(len(x) + 512)
    spectrum = np.fft.rfft(x, n)
    at = np.fft.rfftfreq(n, 1 / RATE)
    spectrum *= np.power(10.0, np.interp(at, hz, gain_db) / 20.0).astype(np.float32)
    return np.fft.irfft(spectrum, n)[: len(x)].astype(np.float32)


def colour(x: F32, rng: Rng) -> F32:
    """A microphone's and a line's colour: tilt, two or three broad peaks, and band limits."""
    hz = np.geomspace(50.0, 8000.0, 48)
    octave = np.log2(hz / 700.0)
    gain = rng.uniform(-3.0, 3.5) * octave
    for _ in range(rng.integers(1, 4)):
        centre, width = rng.uniform(-3.0, 3.3), rng.uniform(0.25, 1.0)
        gain += rng.uniform(-9.0, 9.0) * np.exp(-(((octave - centre) / width) ** 2))
    kind = rng.random()
    low, high = rng.uniform(50.0, 180.0), 8000.0
    if kind < 0.12:
        low, high = 300.0, rng.uniform(3200.0, 3800.0)
    elif kind < 0.35:
        high = rng.uniform(4000.0, 7500.0)
    gain -= 24.0 * np.maximum(0.0, np.log2(low / hz)) + 90.0 * np.maximum(0.0, np.log2(hz / high))
    return filtered(x, gain, hz)


def reverberate(x: F32, rng: Rng, *, far: bool = False) -> F32:
    """A room: direct sound, then decaying noise (T60 .1 to .6 s) that loses its treble.

    far: from the other end of a larger room (T60 .3 to .9 s), where the room is louder than the
    direct sound.
    """
    t60 = rng.uniform(0.3, 0.9) if far else rng.uniform(0.1, 0.6)
    n = int(t60 * RATE)
    tail = rng.normal(0.0, 1.0, n).astype(np.float32)
    tail *= np.exp(-6.9 * np.arange(n) / n).astype(np.float32)
    smooth = rng.uniform(0.0, 0.7)
    tail[1:] = (1 - smooth) * tail[1:] + smooth * tail[:-1]
    tail[: int(rng.uniform(0.001, 0.012) * RATE)] = 0.0
    level = rng.uniform(4.0, 15.0) if far else rng.uniform(-18.0, 2.0)
    tail *= np.float32(10 ** (level / 20.0) / np.sqrt(np.sum(tail**2) + 1e-9))
    tail[0] = 1.0
    size = fast_length(len(x) + n)
    wet = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(tail, size), size)
    return np.asarray(wet[: len(x)], np.float32)
