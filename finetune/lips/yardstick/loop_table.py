"""The picture itself: what an independent tracker sees of the lips, against what was commanded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.closed_loop import EYES, LIPS, Seen, compare, see, trembling
from visavis.finetune.lips.yardstick.clips import RATE, TICK, Piece
from visavis.finetune.lips.yardstick.closures import closures, total
from visavis.finetune.lips.yardstick.listener import PersonLips
from visavis.finetune.lips.yardstick.talks import Talk

__all__ = ["loop_table", "scenes"]

F32 = NDArray[np.float32]

_TALKS = 3
_CLIPS = 2
_SECONDS = 14.0
_SILENCE_S = 3.0


def scenes(talks: Sequence[Talk], pieces: Sequence[Piece]) -> list[tuple[str, F32, Talk | None]]:
    """What is filmed: a name, the sound with silence after it, and whose phones are in it.

    Talks of different engines and languages, and the longest pieces of two kinds of clips.
    """
    chosen: dict[str, Talk] = {}
    for talk in talks:
        chosen.setdefault(f"{talk.voice.split(':')[0]} {talk.language}", talk)
    out: list[tuple[str, F32, Talk | None]] = [
        (talk.voice, _cut(talk.sound), talk) for talk in list(chosen.values())[:_TALKS]
    ]
    longest: dict[str, Piece] = {}
    for piece in sorted(pieces, key=lambda p: -p.frames):
        longest.setdefault(piece.kind, piece)
    out += [(p.clip, _cut(p.sound), None) for p in list(longest.values())[:_CLIPS]]
    return out


def _cut(sound: F32) -> F32:
    speech = sound[: round(_SECONDS * RATE / TICK) * TICK]
    return np.concatenate((speech, np.zeros(round(_SILENCE_S * RATE / TICK) * TICK, np.float32)))


def loop_table(
    lips: PersonLips, filmed: Sequence[tuple[str, F32, Talk | None]], tracker: Path
) -> dict[str, Any]:
    """Film, track and compare.

    Raises:
        PersonFileError: the tracker does not run, or finds no face.
    """
    table: dict[str, Any] = {}
    counts = []
    every: list[Seen] = []
    for name, sound, talk in filmed:
        seen = see(lips, sound, tracker)
        every.append(seen)
        entry: dict[str, Any] = dict(compare(seen.asked.mouth.opening, seen.mouth.opening))
        if talk is not None:
            # Phones beyond the cut are beyond the last frame, and are not counted.
            frames = min(len(seen.mouth), round(_SECONDS * RATE / TICK))
            count = closures(seen.mouth.opening[:frames], talk.phones)
            counts.append(count)
            entry |= {"closures": count.recall, "false_closures": count.false_share}
        table[name] = entry
    asked = np.concatenate([s.asked.mouth.opening for s in every])
    shown = np.concatenate([s.mouth.opening for s in every])
    both = total(counts)
    still = [s.asked.gate <= 0.0 for s in every]

    def tremble(points: tuple[int, ...]) -> float | None:
        values = [trembling(s.mesh, quiet, points) for s, quiet in zip(every, still, strict=True)]
        known = [v for v in values if v is not None]
        return float(np.sqrt(np.mean(np.square(known)))) if known else None

    return {
        "films": table,
        "all": {
            **compare(asked, shown),
            "closures": both.recall,
            "closures_said": both.wanted,
            "false_closures": both.false_share,
        },
        "trembling_in_silence_iod": {"lips": tremble(LIPS), "corners_of_the_eyes": tremble(EYES)},
    }
