"""A sound for warming up and for measuring."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.engines.timeline import TICK_SAMPLES

__all__ = ["probe_voice"]


def probe_voice(lookahead_ms: int, ticks: int) -> list[NDArray[np.float32]]:
    """Return the samples of so many ticks: a buzz of 120 Hz that opens and closes 4 times a second.

    It makes mouths move without being anybody's voice.
    """
    count = lookahead_ms * 16 + (ticks - 1) * TICK_SAMPLES
    seconds = np.arange(count) / 16000.0
    buzz = sum(np.sin(2 * np.pi * 120 * k * seconds) / k for k in range(1, 25))
    envelope = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * seconds)
    pcm = (0.2 * buzz * envelope).astype(np.float32)
    return np.split(pcm, range(lookahead_ms * 16, count, TICK_SAMPLES))
