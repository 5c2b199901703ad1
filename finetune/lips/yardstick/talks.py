"""Held-out voices saying sentences of their own, with phones in time: made anew for every run.

The voices are those that the corpus keeps from training. What they say is drawn with a seed of the
yardstick's own, so that neither the size nor the seed of a corpus changes what is measured.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.clips import TICK
from visavis.finetune.speech import augment, noises
from visavis.finetune.speech.corpus import Shard
from visavis.finetune.speech.phones import Phone
from visavis.finetune.speech.sentences import foreign_text, sentence
from visavis.finetune.speech.speaking import held_out, spoken
from visavis.finetune.speech.voices import Voice, installed, speak
from visavis.finetune.speech.whisper import whisper

__all__ = ["Talk", "held_out_talks", "in_noise", "whispered"]

F32 = NDArray[np.float32]

LEVEL = 0.05  # RMS of full scale: -26 dB
_PER_GROUP = 2
_SENTENCES = 10
_SHORTEST = 5000  # samples: a shorter one is an engine that stumbled


@dataclass(frozen=True, slots=True)
class Talk:
    """One voice speaking for half a minute.

    Attributes:
        voice: as the corpus names it; group: without the variant, so that alike voices are one.
        language: of what is said.
        sound: float32[640 K], 16 kHz.
        phones: in time, seconds.
    """

    voice: str
    group: str
    language: str
    sound: F32
    phones: tuple[Phone, ...]

    @property
    def frames(self) -> int:
        """K."""
        return len(self.sound) // TICK


def _seed(name: str, salt: int) -> int:
    return zlib.crc32(f"{salt}/{name}".encode())


def held_out_talks(
    per_group: int = _PER_GROUP, sentences: int = _SENTENCES, salt: int = 7
) -> list[Talk]:
    """Let every kind of held-out voice that is installed speak.

    Args:
        per_group: voices of a group (variants of one accent or language).
        sentences: of each voice.
        salt: another number, other sentences.
    """
    groups: dict[str, list[Voice]] = {}
    for voice in installed():
        if held_out(str(voice)):
            groups.setdefault(str(voice).split("+")[0], []).append(voice)
    return [
        talk
        for group, voices in groups.items()
        for voice in voices[:per_group]
        if (talk := _talk(voice, group, sentences, salt)) is not None
    ]


def _talk(voice: Voice, group: str, sentences: int, salt: int) -> Talk | None:
    rng = random.Random(_seed(str(voice), salt))
    texts = [
        sentence(rng) if voice.language == "en" else foreign_text(rng, voice.language)
        for _ in range(sentences)
    ]
    said = speak(voice, texts, stretch=rng.uniform(0.9, 1.2))
    good = tuple(u for u in said if len(u.sound) > _SHORTEST and u.phones)
    if not good:
        return None
    generator = np.random.default_rng(_seed(str(voice), salt + 1))
    sound, phones = spoken(Shard(str(voice), good), generator, plain=True)
    sound = sound * np.float32(LEVEL / (np.sqrt(np.mean(sound**2)) + 1e-9))
    return Talk(str(voice), group, voice.language, _whole(sound), tuple(phones))


def _whole(sound: F32) -> F32:
    return np.ascontiguousarray(np.pad(sound, (0, -len(sound) % TICK)), np.float32)


def in_noise(talks: Sequence[Talk]) -> list[Talk]:
    """The same as sessions distort it: a room, a microphone, noise at 8 to 30 dB, another level."""
    out = []
    for talk in talks:
        rng = np.random.default_rng(_seed(talk.voice, 99))
        sound = augment.colour(augment.reverberate(talk.sound, rng), rng)
        sound = sound * np.float32(LEVEL / (np.sqrt(np.mean(sound**2)) + 1e-9))
        power = np.float32(LEVEL * 10 ** (-rng.uniform(8.0, 30.0) / 20.0))
        sound = sound + power * noises.noise(len(sound), rng)
        sound = sound * np.float32(10 ** (rng.uniform(-15.0, 10.0) / 20.0))
        out.append(replace(talk, sound=np.clip(sound, -1.0, 1.0).astype(np.float32)))
    return out


def whispered(talks: Sequence[Talk]) -> list[Talk]:
    """The same without a voice, 12 dB weaker."""
    out = []
    for talk in talks:
        rng = np.random.default_rng(_seed(talk.voice, 98))
        sound = whisper(talk.sound, rng)[: len(talk.sound)]
        sound = sound * np.float32(0.25 * LEVEL / (np.sqrt(np.mean(sound**2)) + 1e-9))
        out.append(replace(talk, sound=np.ascontiguousarray(sound, np.float32)))
    return out
