"""What is heard beside and behind a speaker: sounds that are no speech, and other people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.speech import augment, noises
from visavis.finetune.speech.corpus import Shard
from visavis.finetune.speech.resampling import resample

__all__ = ["background", "negative", "people"]

RATE = 16000
F32 = NDArray[np.float32]
Rng = np.random.Generator

# How often each sound that is no speech is heard.
_NEGATIVES = (
    (noises.keys, 0.16), (noises.breath, 0.16), (noises.rustle, 0.24), (noises.music, 0.12),
    (noises.noise, 0.06), (noises.clicks, 0.07), (noises.hum, 0.05), (noises.cough, 0.07),
    (noises.wind, 0.07),
)  # fmt: skip


def negative(n: int, rng: Rng) -> F32:
    """Sound that is no speech, of unit power."""
    kinds, shares = zip(*_NEGATIVES, strict=True)
    return np.asarray(kinds[int(rng.choice(len(kinds), p=shares))](n, rng), np.float32)


def background(crowd: Sequence[Shard], n: int, rng: Rng) -> F32:
    """What is heard behind a speaker, of unit power: noise, music, typing, or other people."""
    kind = rng.random()
    if kind < 0.50 or (kind >= 0.76 and not crowd):
        return noises.noise(n, rng)
    if kind < 0.62:
        return noises.music(n, rng)
    if kind < 0.76:
        return negative(n, rng)
    return people(crowd, n, rng, int(rng.integers(2, 9)))


def people(crowd: Sequence[Shard], n: int, rng: Rng, count: int) -> F32:
    """So many voices at once, of unit power, as if from across a room."""
    out = np.zeros(n, np.float32)
    for _ in range(count):
        shard = crowd[int(rng.integers(len(crowd)))]
        sound = np.concatenate([u.sound for u in shard.utterances])
        start, need = int(rng.integers(len(sound))), int(1.4 * n)
        sound = np.tile(sound, 1 + (start + need) // len(sound))[start : start + need]
        other = resample(sound, RATE * float(rng.uniform(0.75, 1.35)))[:n]
        level = np.float32(rng.uniform(0.3, 1.0) / (np.sqrt(np.mean(other**2)) + 1e-6))
        out[: len(other)] += level * other
    out = augment.reverberate(out, rng, far=True)
    return out / np.float32(np.sqrt(np.mean(out**2)) + 1e-6)
