"""What each session says: cuts of one recording that are all unlike each other, as Opus packets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.benchmarks.live.speech import RATE, varied
from visavis.server.media.opus import OpusEncoder

__all__ = ["LOOP_S", "PACKET", "opus_packets", "voice"]

LOOP_S = 20.0
PACKET = RATE // 50
GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, never come close to each other
FASTEST, SLOWEST = 1.12, 0.88
SOFTEST = 0.5

F32 = NDArray[np.float32]


def voice(recording: F32, number: int, seconds: float = LOOP_S) -> F32:
    """The voice of session ``number``: another cut, another pitch and pace, another loudness.

    Args:
        recording: f32[n], mono at 48 kHz.
        number: counts from 0; equal numbers, equal voices.
        seconds: to be said again and again. Each voice is a few packets longer than the one before,
            so that two that began together do not stay together.

    Returns:
        f32[m], whole packets of 20 ms.
    """
    pace = SLOWEST + (FASTEST - SLOWEST) * (number * GOLDEN**2 % 1.0)
    gain = SOFTEST + (1 - SOFTEST) * (number * GOLDEN**3 % 1.0)
    length = (round(seconds * RATE / PACKET) + number % 50) * PACKET
    start = number * GOLDEN % 1.0 * recording.size
    where = (start + pace * np.arange(length)) % recording.size
    cut = np.interp(where, np.arange(recording.size), recording).astype(np.float32)
    return varied(gain * cut, length / RATE, seed=number)[:length].astype(np.float32)


def opus_packets(samples: F32) -> list[bytes]:
    """Encode whole packets of 20 ms once, to be sent again and again.

    At the seam a decoder hears the state of another packet: a click at most, every 20 seconds.
    """
    encoder = OpusEncoder()
    return [encoder.encode(samples[n : n + PACKET]) for n in range(0, samples.size, PACKET)]
