"""Another sample rate, or another pitch, size and pace of a voice at once."""

from __future__ import annotations

import bisect
import functools

import numpy as np
from numpy.typing import NDArray

__all__ = ["resample"]

RATE = 16000
F32 = NDArray[np.float32]

_SMOOTH = tuple(
    sorted(
        2**a * 3**b * 5**c * 7**d
        for a in range(21)
        for b in range(10)
        for c in range(5)
        for d in range(3)
        if 2**a * 3**b * 5**c * 7**d < 2_000_000
    )
)


@functools.lru_cache(4096)
def _ratio(wanted: float) -> tuple[int, int]:
    """The nearest fraction of numbers that the FFT likes; exact for the usual sample rates."""
    small = [k for k in _SMOOTH if k <= 512]
    best = (1, 1)
    for below in small:
        i = bisect.bisect(small, wanted * below)
        for above in small[max(0, i - 1) : i + 1]:
            if abs(above / below - wanted) < abs(best[0] / best[1] - wanted):
                best = (above, below)
    return best


def resample(sound: F32, rate: float) -> F32:
    """To 16 kHz from any rate, by the FFT of the whole sound (band-limited).

    A rate that is no common sample rate is met within 0.6 %: times go by the ratio of the lengths.
    """
    if rate == RATE or len(sound) == 0:
        return sound
    above, below = _ratio(RATE / rate)
    # Padded: the FFT takes the sound for one turn of a circle.
    turns = -(-256 // below)
    least = len(sound) // below + 1 + 2 * turns
    blocks = _SMOOTH[bisect.bisect_left(_SMOOTH, least)]
    before = turns * below
    padded = np.pad(sound, (before, blocks * below - before - len(sound))).astype(np.float32)
    length = blocks * above
    spectrum = np.fft.rfft(padded)[: length // 2 + 1]
    out = np.fft.irfft(spectrum, length) * (above / below)
    cut = turns * above
    return np.ascontiguousarray(out[cut : cut + round(len(sound) * above / below)], np.float32)
