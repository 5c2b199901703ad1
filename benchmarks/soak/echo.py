"""How long sound was under way, by finding it again in what came back. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LONGEST_S", "Heard", "sound_delay"]

RATE = 48_000
COARSE = 4  # samples that are taken as one; a twelfth of a millisecond
WINDOW_S = 0.6  # of voice that is looked for
LONGEST_S = 1.0
LEAST_LOUD = 200.0  # rms of 16-bit samples
LEAST_ALIKE = 0.5


class Heard:
    """The last second of a voice, with the time when each packet came."""

    def __init__(self) -> None:
        self._packets: list[tuple[float, NDArray[np.int16]]] = []

    def add(self, now: float, samples: NDArray[np.int16]) -> None:
        """A packet of 20 ms came."""
        self._packets.append((now, samples))
        del self._packets[: -round(WINDOW_S * 50)]

    def latest(self) -> tuple[float, NDArray[np.int16]] | None:
        """When the first sample of the newest packets would have come, and all samples; None while
        there are too few."""
        if len(self._packets) < round(WINDOW_S * 50):
            return None
        # Packets that were late say nothing about when their first sample was due.
        times = np.array([at for at, _ in self._packets])
        first = float(np.median(times - np.arange(len(times)) * 0.02))
        return first, np.concatenate([samples for _, samples in self._packets])


def sound_delay(
    first_came: float, voice: NDArray[np.int16], said: NDArray[np.int16], started: float
) -> float | None:
    """Find how long ago the voice was said.

    Args:
        first_came: when the first sample of `voice` came, seconds.
        voice: i16[n] at 48 kHz.
        said: i16[m], said again and again since `started`.
        started: seconds, the same clock.

    Returns:
        seconds from a sample's being said to its coming back; None where it is not found.
    """
    piece = _coarse(voice)
    if np.sqrt(np.mean(piece**2)) < LEAST_LOUD:
        return None
    newest = int((first_came - started) * RATE)
    begin = newest - int(LONGEST_S * RATE)
    where = np.arange(begin, newest + len(voice)) % len(said)
    line = _coarse(said[where])
    size = 1 << int(np.ceil(np.log2(len(line) + len(piece))))
    spectrum = np.fft.rfft(line, size) * np.conj(np.fft.rfft(piece, size))
    match = np.fft.irfft(spectrum, size)[: len(line) - len(piece) + 1]
    energy = np.cumsum(np.concatenate(([0.0], line**2)))
    power = energy[len(piece) :] - energy[: -len(piece)]
    alike = match / np.sqrt(np.maximum(power, 1.0) * float((piece**2).sum()))
    best = int(alike.argmax())
    if alike[best] < LEAST_ALIKE:
        return None
    return (newest - (begin + best * COARSE)) / RATE


def _coarse(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    whole = samples[: len(samples) // COARSE * COARSE].astype(np.float64)
    mean: NDArray[np.float64] = whole.reshape(-1, COARSE).mean(axis=1)
    return mean
