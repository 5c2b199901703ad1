"""Endless microphones for training: sessions of synthetic speech, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.speech.gestures import frame_times, gestures
from visavis.finetune.speech.phones import PHONES
from visavis.finetune.speech.sessions import phones_of
from visavis.models.motion import CHANNELS, ROWS, STEPS

__all__ = ["PHONE_DELAY", "Batch", "Recording", "Streams", "load_recording"]

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]

# Steps by which the auxiliary head names phones late: it may hear 100 ms of what follows.
PHONE_DELAY = 5
_STEP_MS = 20
_SILENCE = PHONES.index("pau")


@dataclass(frozen=True, slots=True)
class Recording:
    """A session file, with what the mouth does.

    Attributes:
        features: f16[4K, F].
        tract: f16[P + 2K, 9]; step P + t shows the moment 20t + 10 ms, where P are the steps of
            the longest look-ahead before the sound, in which nothing moves.
        phones: uint8[2K], what the auxiliary head is to say, PHONE_DELAY steps late.
    """

    features: F16
    tract: F16
    phones: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Batch:
    """The next K ticks of N microphones.

    Attributes:
        features: f32[N, 4K, F]; tract: f32[N, H, 2K, 9]; phones: int64[N, 2K].
        fresh: bool[N], microphones that begin a session here.
    """

    features: F32
    tract: F32
    phones: NDArray[np.int64]
    fresh: NDArray[np.bool_]


def load_recording(path: Path, longest_ms: int) -> Recording:
    """Reads a session file of `finetune.speech.sessions`."""
    with np.load(path) as data:
        features, said = data["features"], data["said"]
    ticks = len(features) // ROWS
    steps = ticks * STEPS
    times = frame_times(steps * _STEP_MS / 1000.0 + 1e-6)
    spoken = phones_of(said)
    tract = gestures(spoken, times) if spoken else np.zeros((steps, CHANNELS), np.float32)
    before = np.zeros((longest_ms // _STEP_MS - STEPS, CHANNELS), np.float32)
    names = np.full(steps, _SILENCE, np.uint8)
    for row in said:
        a, b = np.searchsorted(times, (row[1], row[2]))
        names[a + PHONE_DELAY : b + PHONE_DELAY] = int(row[0])
    return Recording(
        features[: ticks * ROWS], np.concatenate((before, tract)).astype(np.float16), names
    )


class Streams:
    """Microphones that never end: recordings in random order, all of them held in memory.

    Args:
        recordings: of `load_recording`.
        lookaheads: ms, as the network's.
        streams: how many microphones.
        seed: of their order.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        lookaheads: Sequence[int],
        streams: int,
        seed: int,
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._all = list(recordings)
        longest = max(lookaheads) // _STEP_MS
        # Where the steps of a head begin: tick k of look-ahead L shows the step 2k + 2 - L / 20.
        self._starts = [longest - ahead // _STEP_MS for ahead in lookaheads]
        self._queue: list[int] = []
        self._now = [self._next() for _ in range(streams)]
        # Out of phase, or all of them would change sessions at once.
        self._at = [int(self._rng.integers(0, len(r.phones) // STEPS)) for r in self._now]

    def _next(self) -> Recording:
        if not self._queue:
            self._queue = self._rng.permutation(len(self._all)).tolist()
        return self._all[self._queue.pop()]

    def take(self, ticks: int) -> Batch:
        """The next `ticks` of every microphone."""
        features, tracts, phones = [], [], []
        fresh = np.zeros(len(self._now), np.bool_)
        for i in range(len(self._now)):
            while self._at[i] + ticks > len(self._now[i].phones) // STEPS:
                self._now[i], self._at[i], fresh[i] = self._next(), 0, True
            recording, k = self._now[i], self._at[i]
            features.append(recording.features[ROWS * k : ROWS * (k + ticks)])
            a = STEPS * k
            n = STEPS * ticks
            tracts.append(np.stack([recording.tract[a + s : a + s + n] for s in self._starts]))
            phones.append(recording.phones[a : a + n])
            self._at[i] = k + ticks
        return Batch(
            np.stack(features).astype(np.float32),
            np.stack(tracts).astype(np.float32),
            np.stack(phones).astype(np.int64),
            fresh,
        )
