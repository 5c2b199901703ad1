"""Where a stretch of sound is found again in another recording.

The server's timeline and the browser's recordings run on different sample clocks, pass through an
opus codec, and may be stretched or cut on the way. So nothing is assumed about their relation: each
short window of the reference is looked for by normalised cross-correlation in all places where it
can physically be, and a window whose best place is not convincing says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_PEAK", "RATE", "Alignment", "align", "resample"]

RATE = 16_000  # Hz
BAND = (100.0, 3_400.0)  # Hz; what every codec keeps, and low enough that a peak spans some samples
LEAST_PEAK = 0.6
WINDOW_S = 0.5
HOP_S = 0.2
LEAST_LEVEL_DB = -50.0  # of full scale: quieter windows hold no speech
NEIGHBOURS_S = 0.003  # windows that overlap agree to this, or the odd one is thrown away
REACH_S = 0.75  # a lag holds this far around the windows that measured it

Samples = NDArray[np.float64]


def resample(samples: NDArray[np.floating], rate: int, to_rate: int) -> Samples:
    """Band-limited resampling of a whole recording by its spectrum; adds no delay."""
    if rate == to_rate or not samples.size:
        return samples.astype(np.float64)
    length = round(samples.size * to_rate / rate)
    spectrum = np.fft.rfft(samples)
    resampled: Samples = np.fft.irfft(spectrum[: length // 2 + 1], length)
    return resampled * (length / samples.size)


@dataclass(frozen=True, slots=True)
class Alignment:
    """What was found, one entry a window of the reference.

    Attributes:
        times: middle of each window, seconds in the reference.
        lags: how much later it is found in the recording, seconds.
        peaks: its normalised correlation there, 0 to 1.
        spoken: which windows hold any speech.
        sure: which windows were found; only these give lags.
    """

    times: Samples
    lags: Samples
    peaks: Samples
    spoken: NDArray[np.bool_]
    sure: NDArray[np.bool_]

    def lag_at(self, times: NDArray[np.floating]) -> Samples:
        """Lags at any times of the reference; NaN where no sure window is near."""
        times = np.asarray(times, dtype=np.float64)
        if not self.sure.any():
            return np.full(times.shape, np.nan)
        known = self.times[self.sure]
        lags: Samples = np.interp(times, known, self.lags[self.sure])
        right = np.clip(np.searchsorted(known, times), 0, known.size - 1)
        left = np.clip(right - 1, 0, known.size - 1)
        distance = np.minimum(np.abs(known[right] - times), np.abs(known[left] - times))
        lags[distance > REACH_S] = np.nan
        return lags

    def found(self) -> float:
        """Share of the windows with speech that were found; 0 if there was no speech."""
        return float(self.sure.sum() / self.spoken.sum()) if self.spoken.any() else 0.0


def align(
    reference: NDArray[np.floating],
    recording: NDArray[np.floating],
    *,
    search: tuple[float, float],
    least_peak: float = LEAST_PEAK,
) -> Alignment:
    """Look for each window of ``reference`` in ``recording``.

    Args:
        reference, recording: mono, full scale 1.0, both at ``RATE`` and both starting at time 0.
        search: the earliest and latest lag that is possible, seconds.
        least_peak: correlation from which a window counts as found.
    """
    reference, recording = _emphasise(reference), _emphasise(recording)
    window, hop = round(WINDOW_S * RATE), round(HOP_S * RATE)
    low, high = round(search[0] * RATE), round(search[1] * RATE)
    starts = np.arange(0, max(0, reference.size - window), hop)
    lags = np.full(starts.size, np.nan)
    peaks = np.zeros(starts.size)
    spoken = np.zeros(starts.size, dtype=np.bool_)
    quiet = 10 ** (LEAST_LEVEL_DB / 20)
    size = 1 << (high - low + window - 1).bit_length()
    for i, start in enumerate(starts.tolist()):
        piece = reference[start : start + window]
        energy = float(piece @ piece)
        spoken[i] = np.sqrt(energy / window) > quiet
        if spoken[i]:
            begin = start + low
            field = _cut(recording, begin, high - low + window)
            lags[i], peaks[i] = _best(piece, field, size, energy)
            lags[i] = (lags[i] + low) / RATE
    sure = spoken & (peaks >= least_peak)
    sure &= _agrees(lags, sure)
    return Alignment((starts + window / 2) / RATE, lags, peaks, spoken, sure)


def _emphasise(samples: NDArray[np.floating]) -> Samples:
    """The speech band with first-order pre-emphasis: a flat spectrum makes narrow peaks."""
    if not samples.size:
        return np.zeros(0)
    padded = samples.size + RATE  # a second of silence, so that the end does not wrap to the start
    frequency = np.fft.rfftfreq(padded, 1 / RATE)
    gain = np.abs(1 - 0.9 * np.exp(-2j * np.pi * frequency / RATE))
    gain[(frequency < BAND[0]) | (frequency > BAND[1])] = 0
    return np.fft.irfft(np.fft.rfft(samples, padded) * gain, padded)[: samples.size]


def _cut(samples: Samples, begin: int, length: int) -> Samples:
    """``length`` samples from ``begin``, silence where there are none."""
    out = np.zeros(length)
    first, last = max(begin, 0), min(begin + length, samples.size)
    if last > first:
        out[first - begin : last - begin] = samples[first:last]
    return out


def _best(piece: Samples, field: Samples, size: int, energy: float) -> tuple[float, float]:
    """Place of ``piece`` in ``field`` with the highest normalised correlation, and its height."""
    places = field.size - piece.size + 1
    product = np.fft.irfft(np.conj(np.fft.rfft(piece, size)) * np.fft.rfft(field, size), size)[
        :places
    ]
    running = np.concatenate(([0.0], np.cumsum(field * field)))
    local = running[piece.size :] - running[:places]
    score = product / np.sqrt(np.maximum(local, 0.01 * energy) * energy)
    top = int(np.argmax(score))
    if not 0 < top < places - 1:
        return float(top), float(score[top])
    before, at, after = score[top - 1 : top + 2]
    curve = before - 2 * at + after
    shift = 0.5 * (before - after) / curve if curve < 0 else 0.0
    return top + float(shift), float(at)


def _agrees(lags: Samples, sure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Windows that lie near the middle one of themselves and two sure neighbours either way.

    A lasting step (a cut) keeps both its sides; a lone wrong place goes.
    """
    good = np.zeros(lags.size, dtype=np.bool_)
    indices = np.flatnonzero(sure)
    for n, i in enumerate(indices):
        near = indices[max(0, n - 2) : n + 3]
        close = np.abs(lags[near] - lags[i]) <= NEIGHBOURS_S
        good[i] = close.sum() >= 2 or near.size == 1
    return good
