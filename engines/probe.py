"""A voice that nobody has, to drive a person's mouth with: vowels, hisses and pauses.

A person takes it for speech and opens the mouth within half a second, so what is measured or
compared on it is a face that speaks, and not one at rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.engines.timeline import TICK_SAMPLES

__all__ = ["probe_voice"]

F32 = NDArray[np.float32]

RATE = 16000
# Formants of vowels in Hz, as in father, see, you, bed, law (G. Peterson and H. Barney, "Control
# methods used in a study of the vowels", 1952).
VOWELS = np.array(
    [(730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410)]
)
BANDWIDTHS = np.array([80.0, 100.0, 140.0])
SYLLABLE_S, GLIDE_S = 0.22, 0.05
PAUSE_EVERY = 7  # syllables


def probe_voice(lookahead_ms: int, ticks: int, *, seed: int = 0) -> list[F32]:
    """Return the samples of so many ticks, as `timeline` hands them out: L at first, then 40 ms.

    It begins with a pause of 220 ms, and is the same in every run.
    """
    random = np.random.default_rng(seed)
    count = lookahead_ms * RATE // 1000 + (ticks - 1) * TICK_SAMPLES
    time = np.arange(count) / RATE
    syllable = (time / SYLLABLE_S).astype(np.int64)
    within = time - syllable * SYLLABLE_S
    spoken = random.integers(0, len(VOWELS), int(syllable[-1]) + 2)
    share = np.clip(1.0 - within / GLIDE_S, 0.0, 1.0)[:, None]
    before = VOWELS[spoken[np.maximum(syllable - 1, 0)]]
    formants = VOWELS[spoken[syllable]] * (1.0 - share) + before * share

    pitch = 118.0 + 14.0 * np.sin(2 * np.pi * 0.6 * time) - 6.0 * (syllable % PAUSE_EVERY)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    buzz = np.zeros(count)
    for k in range(1, 40):
        tone = (k * pitch)[:, None]
        gain = (1.0 / (1.0 + ((tone - formants) / BANDWIDTHS) ** 2)).sum(axis=1)
        buzz += gain / k**0.5 * np.sin(k * phase)
    envelope = np.sin(np.pi * np.clip(within / SYLLABLE_S, 0.0, 1.0)) ** 0.5
    # Every third syllable begins with a hiss, the others from closed lips.
    hiss = np.diff(random.standard_normal(count + 1)) * (within < 0.07) * (syllable % 3 == 2)
    pause = (syllable % PAUSE_EVERY == 0).astype(np.float64)
    sound = (0.12 * buzz * envelope + 0.04 * hiss) * (1.0 - pause)
    sound += 0.0003 * random.standard_normal(count)
    chunks = range(lookahead_ms * RATE // 1000, count, TICK_SAMPLES)
    return np.split(sound.astype(np.float32), chunks)
