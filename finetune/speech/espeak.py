"""espeak-ng through its library, whose events name every phoneme and when it starts."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.speech.phones import Phone, from_ipa
from visavis.finetune.speech.resampling import resample

__all__ = ["Espeak"]

RATE = 16000
F32 = NDArray[np.float32]


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


class Espeak:
    """The espeak-ng library; one per process, because it keeps its state in globals.

    What it said before changes the next thing by a few samples, and it cannot be started twice.
    """

    _one: Espeak | None = None
    _PHONEME, _SYNCHRONOUS, _UTF8 = 7, 2, 1
    _RATE, _PITCH, _RANGE = 1, 3, 4

    @classmethod
    def get(cls) -> Espeak:
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

    def say(
        self, name: str, text: str, stretch: float, pitch: float
    ) -> tuple[F32, tuple[Phone, ...]]:
        """Sound at 16 kHz and phones; nothing of both where the voice is not known."""
        lib = self._lib
        self._sound.clear()
        self._events.clear()
        if lib.espeak_SetVoiceByName(name.encode()) != 0:
            return np.zeros(0, np.float32), ()
        lib.espeak_SetParameter(self._RATE, int(min(400, max(80, 165 / stretch))), 0)
        lib.espeak_SetParameter(self._PITCH, int(min(99, max(0, 50 + 60 * (pitch - 1)))), 0)
        lib.espeak_SetParameter(self._RANGE, int(min(99, max(0, 50 + 90 * (pitch - 1)))), 0)
        raw = text.encode()
        lib.espeak_Synth(raw, len(raw) + 1, 0, 0, 0, self._UTF8, None, None)
        lib.espeak_Synchronize()
        if not self._sound or not self._events:
            return np.zeros(0, np.float32), ()
        joined = np.concatenate(self._sound).astype(np.float32) / 32768.0
        end = len(joined) / self._rate
        times = [at for at, _ in self._events] + [end]
        phones: list[Phone] = []
        for (at, ipa), after in zip(self._events, times[1:], strict=True):
            if after > at + 0.004:
                phones += from_ipa(ipa, at, after)
        sound = resample(joined, self._rate)
        return sound, tuple(_with_closures(sound, phones))


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
