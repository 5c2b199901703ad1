"""How a person's way of speaking varies while the words stay: effort and local rate.

Synthesisers say everything equally loud and evenly. People lean on some syllables and swallow
others. The effort is kept beside every phone; it moves no target, because louder speech opened real
mouths no wider on average (docs/lips.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.speech.phones import Phone
from visavis.finetune.speech.shapes import SHAPES
from visavis.finetune.speech.spectral import FFT, frame_times, spectra, to_sound

__all__ = ["Rate", "effort_curve", "local_rate", "spend", "with_effort"]

RATE = 16000
STEP = 0.010  # seconds between the points of a curve

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Rng = np.random.Generator

_TILT = 0.25  # dB per octave above 500 Hz and dB of effort


def _smooth_noise(n: int, shortest: float, longest: float, rng: Rng) -> F64:
    """A curve through unit-normal knots, each `shortest` to `longest` seconds after the last."""
    at = np.cumsum(rng.uniform(shortest, longest, max(2, int(n * STEP / shortest) + 2)))
    at = at - at[0] * rng.uniform()
    x = np.interp(np.arange(n) * STEP, at, rng.normal(size=len(at)))
    kernel = np.hanning(9)
    padded = np.pad(x, 4, mode="edge")
    return np.asarray(np.convolve(padded, kernel / kernel.sum(), "valid"))


def _by_stress(phones: Sequence[Phone], n: int) -> F64:
    """Stress of vowels in time, -1 (reduced) to 1, 0 elsewhere; smoothed over 70 ms."""
    out = np.zeros(n)
    for p in phones:
        if SHAPES[p.name].kind == "vowel":
            out[int(p.start / STEP) : int(np.ceil(p.end / STEP))] = 2.0 * p.stress - 1.0
    kernel = np.hanning(9)
    return np.asarray(np.convolve(np.pad(out, 4, mode="edge"), kernel / kernel.sum(), "valid"))


def effort_curve(phones: Sequence[Phone], seconds: float, rng: Rng, scale: float = 1.0) -> F64:
    """Effort over one utterance in dB, a point every 10 ms, within +-10.

    An offset of the whole phrase (sigma 3 dB), syllables on top of it (knots 0.15 to 0.5 s apart,
    sigma 3 dB), a fall towards the end, and more of it on stressed vowels.
    """
    n = int(seconds / STEP) + 2
    curve = rng.normal(0.0, 3.0) + 3.0 * _smooth_noise(n, 0.15, 0.5, rng)
    curve += np.linspace(0.5, -0.5, n) * rng.uniform(0.0, 6.0)
    curve += rng.uniform(0.5, 4.0) * _by_stress(phones, n)
    return np.asarray(np.clip(scale * curve, -10.0, 10.0))


def spend(sound: F32, effort: F64) -> F32:
    """Applies an effort curve: gain, and a brighter sound above 500 Hz for more of it."""
    frames = spectra(sound)
    decibels = np.interp(frame_times(len(frames)) / STEP, np.arange(len(effort)), effort)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(FFT, 1 / RATE), 500.0) / 500.0)
    # In float32: this runs over the whole corpus.
    slope = (1.0 + _TILT * octaves).astype(np.float32)
    frames *= np.exp((decibels * (np.log(10.0) / 20.0)).astype(np.float32)[:, None] * slope)
    return to_sound(frames, len(sound))


def with_effort(phones: Sequence[Phone], effort: F64) -> list[Phone]:
    """Phones with the mean effort over each."""
    total = np.concatenate(([0.0], np.cumsum(effort)))
    out = []
    for p in phones:
        a = min(int(p.start / STEP), len(effort) - 1)
        b = min(max(a + 1, int(np.ceil(p.end / STEP))), len(effort))
        out.append(replace(p, effort=float((total[b] - total[a]) / (b - a))))
    return out


class Rate:
    """A change of local rate: which moment of the old sound is heard at which new moment.

    Args:
        speed: f64[n], local rate at every 10 ms of the old sound; 2 is twice as fast.
    """

    def __init__(self, speed: F64) -> None:
        self.old: F64 = np.arange(len(speed) + 1, dtype=np.float64) * STEP
        self.new: F64 = np.concatenate(([0.0], np.cumsum(STEP / speed)))

    def to_new(self, seconds: NDArray[np.floating] | float) -> F64:
        """When something at this old moment is heard now."""
        return np.asarray(np.interp(seconds, self.old, self.new))

    def to_old(self, seconds: NDArray[np.floating] | float) -> F64:
        """The inverse of `to_new`."""
        return np.asarray(np.interp(seconds, self.new, self.old))

    def phones(self, phones: Sequence[Phone]) -> list[Phone]:
        """Phones at their new times."""
        return [
            replace(p, start=float(self.to_new(p.start)), end=float(self.to_new(p.end)))
            for p in phones
        ]

    def __call__(self, sound: F32) -> F32:
        """The sound at its new times and its old pitch (WSOLA, Verhelst and Roelands 1993)."""
        size, reach = 400, 120
        half = size // 2
        count = int(self.new[-1] * RATE) // half + 1
        want = np.rint(self.to_old(np.arange(count) * half / RATE) * RATE).astype(int)
        window = np.hanning(size + 1)[:-1].astype(np.float32)
        padded = np.pad(sound, (half + reach, size + half + 2 * reach)).astype(np.float32)
        energy = np.concatenate(([0.0], np.cumsum(np.square(padded, dtype=np.float64))))
        shift = np.abs(np.arange(-reach, reach + 1)) / reach
        out = np.zeros((count + 2) * half, np.float32)
        at = reach
        for i in range(count):
            centre = min(int(want[i]), len(sound)) + reach  # where a frame around it begins
            if i:
                # The place near it that continues best what was written last.
                go_on = padded[at + half : at + half + size]
                around = padded[centre - reach : centre + reach + size]
                at = centre
                if len(go_on) == size and len(around) == size + 2 * reach:
                    first = centre - reach
                    power = energy[first + size : first + size + 2 * reach + 1]
                    power = power - energy[first : first + 2 * reach + 1]
                    # Likeness, not loudness, or every onset would come early.
                    match = np.correlate(around, go_on, "valid") / np.sqrt(power + 1e-9)
                    match -= 0.2 * match.max() * shift
                    at = first + int(match.argmax())
            else:
                at = centre
            piece = padded[at : at + size]
            out[i * half : i * half + len(piece)] += piece * window[: len(piece)]
        length = int(self.new[-1] * RATE)
        return np.ascontiguousarray(out[half : half + length])


def local_rate(phones: Sequence[Phone], seconds: float, rng: Rng, scale: float = 1.0) -> Rate:
    """A local rate of 0.6 to 1.7 for one utterance.

    It wanders from word to word; reduced vowels are hurried over, stressed ones and the end of the
    phrase are not.
    """
    n = int(np.ceil(seconds / STEP))
    log = 0.22 * _smooth_noise(n, 0.3, 0.9, rng) - rng.uniform(0.0, 0.3) * _by_stress(phones, n)
    last = np.clip((np.arange(n) * STEP - seconds + 0.5) / 0.3, 0.0, 1.0)
    log -= rng.uniform(0.0, 0.3) * last
    log += rng.normal(0.0, 0.10)
    return Rate(np.clip(np.exp(scale * log), 0.6, 1.7))
