"""The synthesisers: text in, 16 kHz sound and phone times out.

Programs: Flite and Festival (their phones are exact), and espeak-ng through its library, whose
events name every phoneme and when it starts. Any may be missing: see `available()`.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.speech.phones import Phone, from_festival, from_ipa

__all__ = ["Utterance", "Voice", "available", "speak", "voices"]

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
_FESTIVAL = {"hts": "cmu_us_slt_arctic_hts", "kal": "kal_diphone"}
_ACCENTS = ("en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-us-nyc", "en-029")
_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt3")
_LANGUAGES = ("de", "fr", "es", "it", "pt", "pl", "nl", "ru", "hi", "tr", "sv", "fi")


def voices() -> tuple[Voice, ...]:
    """Every voice that the corpus uses, whether its engine is installed or not."""
    english = [
        Voice("espeak", f"{accent}+{_VARIANTS[(3 * i + j) % len(_VARIANTS)]}")
        for i, accent in enumerate(_ACCENTS)
        for j in range(4)
    ]
    foreign = [
        Voice("espeak", f"{lang}+{_VARIANTS[(5 * i + 7 * j) % len(_VARIANTS)]}", lang)
        for i, lang in enumerate(_LANGUAGES)
        for j in range(2)
    ]
    return (
        *(Voice("flite", name) for name in _FLITE),
        *(Voice("festival", name) for name in _FESTIVAL),
        *english,
        *foreign,
    )


def available() -> frozenset[str]:
    """The engines that are installed here."""
    found = {name for name in ("flite", "festival") if shutil.which(name)}
    if ctypes.util.find_library("espeak-ng"):
        found.add("espeak")
    return frozenset(found)


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
        return _festival(_FESTIVAL[voice.name], texts, stretch)
    return [_Espeak.get().say(voice.name, text, stretch, pitch) for text in texts]


def _read(path: Path) -> F32:
    with wave.open(str(path)) as f:
        rate, data = f.getframerate(), f.readframes(f.getnframes())
    sound = np.frombuffer(data, "<i2").astype(np.float32) / 32768.0
    return resample(sound, rate)


def resample(sound: F32, rate: float) -> F32:
    """To 16 kHz from any rate, by the FFT of the whole sound (band-limited)."""
    if rate == RATE or len(sound) == 0:
        return sound
    # Padded: the FFT takes the sound for one turn of a circle.
    padded = np.concatenate((np.zeros(256, np.float32), sound, np.zeros(256, np.float32)))
    length = int(round(len(padded) * RATE / rate))
    spectrum = np.fft.rfft(padded)[: length // 2 + 1]
    out = np.fft.irfft(spectrum, length) * (length / len(padded))
    cut = int(round(256 * RATE / rate))
    return np.ascontiguousarray(out[cut : length - cut], np.float32)


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


_SCRIPT = """(voice_{voice})
(Parameter.set 'Duration_Stretch {stretch})
(define (say text wav)
  (set! u (utt.synth (eval (list 'Utterance 'Text text))))
  (utt.save.wave u wav)
  (format t "U %s\\n" wav)
  (mapcar (lambda (s) (format t "S %s %f %s\\n" (item.name s) (item.feat s "end")
    (item.feat s "R:SylStructure.parent.stress"))) (utt.relation.items u 'Segment)))
"""


def _festival(voice: str, texts: Sequence[str], stretch: float) -> list[Utterance]:
    with tempfile.TemporaryDirectory() as folder:
        script = _SCRIPT.format(voice=voice, stretch=f"{stretch:.3f}")
        paths = [Path(folder) / f"{i}.wav" for i in range(len(texts))]
        for text, path in zip(texts, paths, strict=True):
            plain = text.replace("\\", " ").replace('"', " ")
            script += f'(say "{plain}" "{path}")\n'
        (Path(folder) / "say.scm").write_text(script)
        out = subprocess.run(
            ["festival", "-b", str(Path(folder) / "say.scm")],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        said: dict[str, list[Phone]] = {}
        current: list[Phone] = []
        start = 0.0
        for line in out.splitlines():
            field = line.split()
            if field[:1] == ["U"]:
                current, start = [], 0.0
                said[field[1]] = current
            elif field[:1] == ["S"]:
                vowel_stress = 0.3 + 0.7 * (field[3] == "1")
                current += from_festival(field[1], start, float(field[2]), vowel_stress)
                start = float(field[2])
        return [
            Utterance(_read(path), tuple(said[str(path)]))
            if path.exists() and str(path) in said
            else Utterance(np.zeros(0, np.float32), ())
            for path in paths
        ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


class _Espeak:
    """The espeak-ng library; one per process, because it keeps its state in globals."""

    _one: _Espeak | None = None
    _PHONEME, _SYNCHRONOUS, _UTF8 = 7, 2, 1
    _RATE, _PITCH, _RANGE = 1, 3, 4

    @classmethod
    def get(cls) -> _Espeak:
        if cls._one is None:
            cls._one = cls()
        return cls._one

    def __init__(self) -> None:
        lib: Any = ctypes.CDLL(ctypes.util.find_library("espeak-ng"))
        self._lib = lib
        # 3: phoneme events, named in IPA.
        self._rate = lib.espeak_Initialize(self._SYNCHRONOUS, 0, None, 3)
        if self._rate <= 0:
            raise RuntimeError("espeak-ng cannot be started; is its data package installed?")
        self._sound: list[NDArray[np.int16]] = []
        self._events: list[tuple[float, str]] = []
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
        )
        self._callback = kind(self._heard)
        lib.espeak_SetSynthCallback(self._callback)

    def _heard(self, sound: Any, count: int, events: Any) -> int:
        if count > 0 and sound:
            self._sound.append(np.ctypeslib.as_array(sound, (count,)).copy())
        i = 0
        while events[i].type:
            if events[i].type == self._PHONEME:
                name = events[i].id.decode("utf-8", "ignore")
                self._events.append((events[i].audio_position / 1000.0, name))
            i += 1
        return 0

    def say(self, name: str, text: str, stretch: float, pitch: float) -> Utterance:
        lib = self._lib
        self._sound.clear()
        self._events.clear()
        if lib.espeak_SetVoiceByName(name.encode()) != 0:
            return Utterance(np.zeros(0, np.float32), ())
        lib.espeak_SetParameter(self._RATE, int(min(400, max(80, 165 / stretch))), 0)
        lib.espeak_SetParameter(self._PITCH, int(min(99, max(0, 50 + 60 * (pitch - 1)))), 0)
        lib.espeak_SetParameter(self._RANGE, int(min(99, max(0, 50 + 90 * (pitch - 1)))), 0)
        raw = text.encode()
        lib.espeak_Synth(raw, len(raw) + 1, 0, 0, 0, self._UTF8, None, None)
        lib.espeak_Synchronize()
        if not self._sound or not self._events:
            return Utterance(np.zeros(0, np.float32), ())
        joined = np.concatenate(self._sound).astype(np.float32) / 32768.0
        end = len(joined) / self._rate
        times = [at for at, _ in self._events] + [end]
        phones: list[Phone] = []
        for (at, ipa), after in zip(self._events, times[1:], strict=True):
            if after > at + 0.004:
                phones += from_ipa(ipa, at, after)
        sound = resample(joined, self._rate)
        return Utterance(sound, tuple(_with_closures(sound, phones)))


def _with_closures(sound: F32, phones: Sequence[Phone]) -> list[Phone]:
    """espeak-ng dates a voiceless stop by its burst: gives it the silence before that, too."""
    hop = RATE // 200
    rows = sound[: len(sound) // hop * hop].reshape(-1, hop)
    quiet = np.square(rows).mean(1) < 1e-5 if len(rows) else np.zeros(0, bool)
    out: list[Phone] = []
    for phone in phones:
        if phone.name in {"p", "t", "k", "ch"} and out and out[-1].name != "pau":
            row, first = int(phone.start * 200), int((out[-1].start + 0.02) * 200)
            row = min(row, len(quiet))
            while row > first and quiet[row - 1]:
                row -= 1
            start = min(phone.start, row / 200)
            out[-1] = replace(out[-1], end=start)
            phone = replace(phone, start=start)
        out.append(phone)
    return out
