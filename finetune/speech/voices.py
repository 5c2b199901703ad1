"""The synthesisers: text in, 16 kHz sound and phone times out.

Programs: Flite and Festival (their phones are exact), and espeak-ng through its library, whose
events name every phoneme and when it starts. Any may be missing, and so may any voice of Festival:
see `available()` and `installed()`.
"""

from __future__ import annotations

import ctypes.util
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.speech.espeak import Espeak
from visavis.finetune.speech.festival import FESTIVAL, festival_says, festival_voices
from visavis.finetune.speech.phones import Phone, from_festival
from visavis.finetune.speech.resampling import resample

__all__ = ["Utterance", "Voice", "available", "installed", "speak", "voices"]

RATE = 16000
F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Voice:
    """A speaker: the engine, its name for the voice, and the language of the text it wants."""

    engine: str
    name: str
    language: str = "en"

    def __str__(self) -> str:
        return f"{self.engine}:{self.name}"


@dataclass(frozen=True, slots=True)
class Utterance:
    """f32 sound at 16 kHz and its phones in time."""

    sound: F32
    phones: tuple[Phone, ...]


_FLITE = ("slt", "rms", "awb", "kal16", "kal")
_ACCENTS = (
    "en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc",
    "en-029",
)  # fmt: skip
# Whispering and comic variants are left out: whisper is made from any voice, with better manners.
_VARIANTS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2",
    "klatt3", "klatt5", "adam", "Andrea", "Alex", "Andy", "anika", "caleb", "david", "edward",
    "Gene", "Jacky", "john", "kaukovalta", "linda", "Michael", "Mario", "marcelo", "michel",
    "norbert", "pablo", "paul", "quincy", "rob", "robert", "shelby", "steph", "travis", "victor",
    "zac",
)  # fmt: skip
_LANGUAGES = ("de", "fr", "es", "it", "pt", "pl", "nl", "ru", "hi", "tr", "sv", "fi")


def voices() -> tuple[Voice, ...]:
    """Every voice that the corpus uses, whether its engine is installed or not."""
    english = [
        Voice("espeak", f"{accent}+{_VARIANTS[(7 * i + 6 * j) % len(_VARIANTS)]}")
        for i, accent in enumerate(_ACCENTS)
        for j in range(8)
    ]
    foreign = [
        Voice("espeak", f"{lang}+{_VARIANTS[(5 * i + 13 * j) % len(_VARIANTS)]}", lang)
        for i, lang in enumerate(_LANGUAGES)
        for j in range(3)
    ]
    return (
        *(Voice("flite", name) for name in _FLITE),
        *(Voice("festival", name, language) for name, (_, language, _) in FESTIVAL.items()),
        *english,
        *foreign,
    )


def available() -> frozenset[str]:
    """The engines that are installed here."""
    found = {name for name in ("flite", "festival") if shutil.which(name)}
    if ctypes.util.find_library("espeak-ng"):
        found.add("espeak")
    return frozenset(found)


def installed() -> tuple[Voice, ...]:
    """The voices of the corpus that can speak here."""
    engines, festival = available(), festival_voices()
    return tuple(
        v
        for v in voices()
        if v.engine in engines and (v.engine != "festival" or v.name in festival)
    )


def speak(
    voice: Voice, texts: Sequence[str], *, stretch: float = 1.0, pitch: float = 1.0
) -> list[Utterance]:
    """Says every text.

    Args:
        voice: of `voices()`.
        texts: what to say; a text that an engine cannot say gives an empty utterance.
        stretch: duration, above 1 is slower.
        pitch: factor on the voice's own pitch, where the engine can change it.

    Raises:
        RuntimeError: when the engine is not installed.
    """
    if voice.engine not in available():
        raise RuntimeError(f"{voice.engine} is not installed; install its package to make speech.")
    if voice.engine == "flite":
        return [_flite(voice.name, text, stretch, pitch) for text in texts]
    if voice.engine == "festival":
        return _festival(voice.name, texts, stretch)
    return [Utterance(*Espeak.get().say(voice.name, text, stretch, pitch)) for text in texts]


def _read(path: Path) -> F32:
    with wave.open(str(path)) as f:
        rate, data = f.getframerate(), f.readframes(f.getnframes())
    sound = np.frombuffer(data, "<i2").astype(np.float32) / 32768.0
    return resample(sound, rate)


def _flite(name: str, text: str, stretch: float, pitch: float) -> Utterance:
    mean = {"slt": 170.0, "rms": 100.0, "awb": 130.0, "kal16": 105.0, "kal": 105.0}[name] * pitch
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.wav"
        said = subprocess.run(
            ["flite", "-voice", name, "--setf", f"duration_stretch={stretch:.3f}",
             "--setf", f"int_f0_target_mean={mean:.1f}", "-psdur", "-t", text, "-o", str(path)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        sound = _read(path)
    phones: list[Phone] = []
    start = 0.0
    for item in said.stdout.split():
        phone, _, end = item.rpartition(":")
        phones += from_festival(phone, start, float(end))
        start = float(end)
    return Utterance(sound, tuple(phones))


def _festival(name: str, texts: Sequence[str], stretch: float) -> list[Utterance]:
    with tempfile.TemporaryDirectory() as folder:
        return [
            Utterance(np.zeros(0, np.float32), ())
            if said is None
            else _trimmed(_read(said[0]), said[1])
            for said in festival_says(name, texts, stretch, Path(folder))
        ]


def _trimmed(sound: F32, phones: Sequence[Phone]) -> Utterance:
    """Without most of the silence at both ends: some voices hang on for seconds."""
    spoken = [p for p in phones if p.name != "pau"]
    if not spoken:
        return Utterance(np.zeros(0, np.float32), ())
    length = len(sound) / RATE
    first = int(max(0.0, spoken[0].start - 0.15) * RATE)
    last = int(min(length, spoken[-1].end + 0.2) * RATE)
    begin, end = first / RATE, last / RATE
    moved = [
        replace(
            p,
            start=min(max(p.start, begin), end) - begin,
            end=min(max(p.end, begin), end) - begin,
        )
        for p in phones
    ]
    return Utterance(sound[first:last], tuple(p for p in moved if p.end > p.start + 1e-4))
