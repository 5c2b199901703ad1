"""When the mouth may move: not for what is no speech, at once for speech, and not long after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.clips import FPS
from visavis.finetune.lips.yardstick.closures import SHUT, said_frames
from visavis.finetune.lips.yardstick.listener import Shown
from visavis.finetune.lips.yardstick.loudness import loudness
from visavis.finetune.lips.yardstick.talks import Talk
from visavis.finetune.lips.yardstick.toys import TOYS, Scene
from visavis.finetune.speech.phones import Phone

__all__ = ["delays_ms", "gate_json", "open_in", "open_share", "runs", "silence_toys"]

F32 = NDArray[np.float32]

_FRAME_MS = 1000.0 / FPS
_PAUSE_S = 0.6
_HISSES, _BREATHS = frozenset({"s", "sh", "ch"}), frozenset({"f", "th", "hh"})
_EARLY_FRAMES = 6  # a gate that opened longer before is that of something else


def open_share(shown: Sequence[Shown]) -> float:
    """Share of all frames with an open mouth."""
    return float(np.mean(np.concatenate([one.mouth.opening for one in shown]) > SHUT))


def silence_toys(sounds: Sequence[F32], shown: Sequence[Shown]) -> dict[str, float]:
    """The same of every toy, for sounds that are no speech."""
    scenes = [
        Scene(
            shown=one.mouth.opening,
            real=np.zeros(len(one.gate)),
            others=[],
            loud=loudness(sound, len(one.gate)),
            gate=one.gate.astype(np.float64),
        )
        for sound, one in zip(sounds, shown, strict=True)
    ]
    return {
        toy.name: float(np.mean(np.concatenate([toy.opening(s) for s in scenes]) > SHUT))
        for toy in TOYS
    }


def open_in(
    talks: Sequence[Talk], shown: Sequence[Shown], names: frozenset[str] | None = None
) -> float | None:
    """Share of the frames of speech, or of some phones, in which the gate is over half open."""
    gates = []
    for talk, one in zip(talks, shown, strict=True):
        phones = [p for p in talk.phones if names is None or p.name in names]
        gates.append(one.gate[said_frames(phones, talk.frames)])
    joined = np.concatenate(gates) if gates else np.zeros(0)
    return float((joined > 0.5).mean()) if len(joined) else None


def runs(phones: Sequence[Phone], seconds: float) -> list[tuple[float, float, float, float]]:
    """Stretches of speech: start, end, and the silence before and after, all in seconds."""
    spans: list[list[float]] = []
    for phone in phones:
        if phone.name == "pau":
            continue
        if spans and phone.start - spans[-1][1] < _PAUSE_S:
            spans[-1][1] = max(spans[-1][1], phone.end)
        else:
            spans.append([phone.start, phone.end])
    before = [0.0, *(end for _, end in spans)]
    after = [*(start for start, _ in spans[1:]), seconds]
    return [(start, end, start - before[i], after[i] - end) for i, (start, end) in enumerate(spans)]


def delays_ms(talk: Talk, gate: NDArray[np.floating]) -> tuple[list[float], list[float]]:
    """How late the gate opens, and how long it stays open, at every pause of 0.6 s.

    Returns:
        ms from the start of the frame in which speech begins to that of the first frame with an
        open gate; and from the end of speech to the start of the first frame with a shut one.
    """
    onsets, hangs = [], []
    frames = len(gate)
    opened = np.asarray(gate) > 0.0
    for start, end, silent_before, silent_after in runs(talk.phones, frames / FPS):
        first, last = int(start * FPS), min(int(end * FPS), frames - 1)
        if silent_before >= _PAUSE_S:
            found = np.flatnonzero(opened[max(0, first - _EARLY_FRAMES) :])
            if len(found):
                onsets.append((max(0, first - _EARLY_FRAMES) + int(found[0]) - first) * _FRAME_MS)
        if silent_after >= _PAUSE_S:
            found = np.flatnonzero(~opened[last:])
            if len(found):
                hangs.append((last + int(found[0])) * _FRAME_MS - end * 1000.0)
    return onsets, hangs


# What a desk is full of; the other kinds are harder.
_PLAINEST = ("keys", "breath", "music")


def gate_json(
    silent: Mapping[str, Sequence[Shown]],
    talks: Sequence[Talk],
    plain: Sequence[Shown],
    whispers: Sequence[Shown],
) -> dict[str, Any]:
    """All figures of the gate; null where not defined."""
    onsets, hangs = [], []
    for talk, one in zip(talks, plain, strict=True):
        opened, held = delays_ms(talk, one.gate)
        onsets += opened
        hangs += held
    every = [one for shown in silent.values() for one in shown]

    def spread(values: Sequence[float]) -> dict[str, Any]:
        if not values:
            return {"count": 0, "median": None, "q05": None, "q95": None}
        low, middle, high = np.percentile(values, (5, 50, 95)).tolist()
        return {"count": len(values), "median": middle, "q05": low, "q95": high}

    return {
        "open_mouth": {name: open_share(shown) for name, shown in silent.items()},
        "open_mouth_in_keys_breath_music": open_share(
            [one for name in _PLAINEST for one in silent.get(name, ())]
        ),
        "open_mouth_in_all": open_share(every),
        "seconds": sum(len(one.gate) for one in every) / FPS,
        "gate_in_whisper": open_in(talks, whispers),
        "gate_in_s": open_in(talks, plain, _HISSES),
        "gate_in_f": open_in(talks, plain, _BREATHS),
        "gate_in_s_and_f": open_in(talks, plain, _HISSES | _BREATHS),
        "onset_ms": spread(onsets),
        "hang_ms": spread(hangs),
    }
