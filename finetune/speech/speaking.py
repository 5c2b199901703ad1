"""A shard as somebody says it: another speaker, pauses, effort, a local rate of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.speech import vocoder
from visavis.finetune.speech.corpus import Shard
from visavis.finetune.speech.phones import Phone
from visavis.finetune.speech.prosody import effort_curve, local_rate, spend, with_effort
from visavis.finetune.speech.resampling import resample
from visavis.finetune.speech.whisper import whisper

__all__ = ["HELD_OUT", "held_out", "spoken"]

RATE = 16000
F32 = NDArray[np.float32]
Rng = np.random.Generator

# Share of the shards that the vocoder turns into another speaker, where it is installed.
_REVOICED = 0.5

# Never trained on: the diphone voice of Flite and Festival (a speaker and a way of synthesis of its
# own), an accent of espeak-ng, and two languages (Italian of Festival as well).
HELD_OUT = (
    "flite:kal", "flite:kal16", "festival:kal",
    "espeak:en-gb-scotland", "espeak:it", "espeak:sv", "festival:lp", "festival:pc",
)  # fmt: skip


def held_out(voice: str) -> bool:
    """Whether a voice is kept for validation."""
    return voice.split("+")[0] in HELD_OUT


def spoken(shard: Shard, rng: Rng, *, plain: bool = False) -> tuple[F32, list[Phone]]:
    """The shard's utterances in a new order, with pauses.

    plain: as the synthesiser said them, but each as loud as the others.

    Returns:
        f32 sound of about unit power in speech, and its phones with their effort.
    """
    speaker = None
    warp = 1.0
    if not plain:
        if rng.random() < _REVOICED and vocoder.load() is not None:
            speaker = vocoder.random_speaker(rng)
        else:
            warp = float(np.exp(rng.uniform(np.log(0.82), np.log(1.22))))
    breathless = rng.random() < 0.06 and not plain
    uneven = float(rng.uniform(0.3, 1.5)) if rng.random() < 0.8 else 0.0
    eager = float(rng.uniform(0.4, 1.2))
    sounds: list[F32] = []
    phones: list[Phone] = []
    at = 0
    for i in rng.permutation(len(shard.utterances)):
        utterance = shard.utterances[int(i)]
        pause = rng.exponential(0.6) if rng.random() < 0.85 else rng.uniform(1.5, 4.0)
        sounds.append(np.zeros(int(pause * RATE), np.float32))
        at += len(sounds[-1])
        sound, said = utterance.sound, list(utterance.phones)
        if warp != 1.0:
            sound = resample(sound, RATE * warp)
            shrunk = len(sound) / len(utterance.sound)
            said = [replace(p, start=p.start * shrunk, end=p.end * shrunk) for p in said]
        rate = None
        if uneven and not plain:
            rate = local_rate(said, len(sound) / RATE, rng, uneven)
            said = rate.phones(said)
        if speaker is not None:
            sound = vocoder.revoice(sound, speaker, rate, rng)
        elif rate is not None:
            sound = rate(sound)
        if breathless:
            sound = whisper(sound, rng)
        sound = sound / np.float32(np.sqrt(np.mean(sound**2)) + 1e-6)
        if not plain:
            effort = effort_curve(said, len(sound) / RATE, rng, eager)
            sound, said = spend(sound, effort), with_effort(said, effort)
        sounds.append(sound)
        start = at / RATE
        phones += [replace(p, start=start + p.start, end=start + p.end) for p in said]
        at += len(sound)
    sounds.append(np.zeros(int(rng.uniform(0.3, 1.0) * RATE), np.float32))
    return np.concatenate(sounds), phones
