"""Sounds that are no speech to the person at the microphone: ten minutes of seven kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.clips import RATE, TICK
from visavis.finetune.lips.yardstick.talks import Talk
from visavis.finetune.speech import augment, noises

__all__ = ["no_speech"]

F32 = NDArray[np.float32]
Rng = np.random.Generator

_MAKERS: dict[str, Callable[[int, Rng], F32]] = {
    "keys": noises.keys,
    "breath": noises.breath,
    "music": noises.music,
    "cloth, paper": noises.rustle,
    "wind": noises.wind,
    "cough": noises.cough,
}
_DISTANT = "distant talker"
_PIECES = 5
_SECONDS = 17.2  # seven kinds of five pieces: ten minutes
_LEVEL_DB = (-45.0, -20.0)
_DISTANT_DB = (-50.0, -36.0)
_HISS_DB = -75.0


def no_speech(talks: Sequence[Talk], seconds: float = _SECONDS) -> dict[str, list[F32]]:
    """Make pieces float32[640 K] by kind, at levels as microphones give them.

    Args:
        talks: who talks in the distance; without any that kind is missing.
        seconds: of each of five pieces of a kind.
    """
    frames = round(seconds * RATE / TICK)
    out: dict[str, list[F32]] = {}
    for number, (name, make) in enumerate(_MAKERS.items()):
        rngs = [np.random.default_rng([99, number, piece]) for piece in range(_PIECES)]
        out[name] = [_levelled(make(frames * TICK, rng), _LEVEL_DB, rng) for rng in rngs]
    if talks:
        rngs = [np.random.default_rng([98, piece]) for piece in range(_PIECES)]
        out[_DISTANT] = [
            _levelled(_far(talks[piece % len(talks)].sound, frames * TICK, rng), _DISTANT_DB, rng)
            for piece, rng in enumerate(rngs)
        ]
    return out


def _levelled(sound: F32, bounds: tuple[float, float], rng: Rng) -> F32:
    level = np.float32(10 ** (rng.uniform(*bounds) / 20.0))
    hiss = rng.normal(0.0, 10 ** (_HISS_DB / 20.0), len(sound)).astype(np.float32)
    power = np.float32(np.sqrt(np.mean(sound**2)) + 1e-9)
    return np.asarray(np.clip(sound * (level / power) + hiss, -1.0, 1.0), np.float32)


def _far(sound: F32, samples: int, rng: Rng) -> F32:
    start = int(rng.integers(max(1, len(sound) - samples)))
    cut = np.resize(sound[start : start + samples], samples)
    return augment.reverberate(cut, rng, far=True)
