"""The table of real clips: one row a method, one agreement a family, and the macro mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.agreement import Agreement, agreement, average
from visavis.finetune.lips.yardstick.clips import Piece
from visavis.finetune.lips.yardstick.listener import Shown
from visavis.finetune.lips.yardstick.loudness import loudness
from visavis.finetune.lips.yardstick.mouth import Mouth
from visavis.finetune.lips.yardstick.ridge import from_others, from_own
from visavis.finetune.lips.yardstick.sampling import DRAWS, Sampling
from visavis.finetune.lips.yardstick.toys import TOYS, Scene

__all__ = ["BASELINES", "ClipTable", "Row", "clip_table", "real_mouths"]

F64 = NDArray[np.float64]

MEASURED, TRACT, AGAINST = "measured", "its network alone", "against"
ENERGY, BAND = "energy", "energy 250-1000 Hz"
OTHERS, OWN = "ridge, other people", "ridge, own clip"
BASELINES = (ENERGY, BAND, OTHERS, OWN)


@dataclass(frozen=True, slots=True)
class Row:
    """A method on every family.

    Attributes:
        name: of the method; kind: measured, against, baseline or toy.
        families: by name; those that the method cannot be measured on are missing.
        macro: the mean over families, None unless all are there.
    """

    name: str
    kind: str
    families: dict[str, Agreement]
    macro: Agreement | None


@dataclass(frozen=True, slots=True)
class ClipTable:
    """Rows, and what the families are: by name the clips, and the frames of their pieces."""

    rows: list[Row]
    families: dict[str, dict[str, list[int]]]
    draws: int

    def row(self, name: str) -> Row:
        """The row of a method."""
        return next(row for row in self.rows if row.name == name)


def _only_opening(curve: F64) -> Mouth:
    unknown = np.full(len(curve), np.nan)
    return Mouth(curve, unknown, unknown)


def real_mouths(shown: Sequence[Shown]) -> list[Mouth]:
    """The commanded mouths."""
    return [one.mouth for one in shown]


def clip_table(
    pieces: Sequence[Piece],
    shown: Sequence[Shown],
    *,
    lookahead_ms: int,
    against: Sequence[Shown] | None = None,
    draws: int = DRAWS,
    baselines: bool = True,
) -> ClipTable:
    """Measure what is shown, and what it has to beat, against real mouths.

    Args:
        pieces: of `read_clips`.
        shown: for the sound of every piece.
        lookahead_ms: for the baselines.
        against: other lips for the same sounds.
        draws: of the bootstrap.
        baselines: with ridges (seconds to minutes).
    """
    families: dict[str, dict[str, list[int]]] = {}
    for index, piece in enumerate(pieces):
        families.setdefault(piece.family, {}).setdefault(piece.clip, []).append(index)
    samplings = {
        name: Sampling([[pieces[i].frames for i in own] for own in clips.values()], draws, name)
        for name, clips in families.items()
    }
    loud = [loudness(p.sound, p.frames) for p in pieces]

    def row(name: str, kind: str, mouths: Sequence[Mouth | None]) -> Row:
        table: dict[str, Agreement] = {}
        for family, clips in families.items():
            own = [[mouths[i] for i in indices] for indices in clips.values()]
            known = [[m for m in some if m is not None] for some in own]
            if [len(k) for k in known] == [len(o) for o in own]:
                real = [[pieces[i].truth for i in indices] for indices in clips.values()]
                table[family] = agreement(samplings[family], known, real)
        whole = len(table) == len(families)
        return Row(name, kind, table, average(list(table.values())) if whole else None)

    rows = [
        row(MEASURED, "measured", real_mouths(shown)),
        row(TRACT, "measured", [_only_opening(s.tract.astype(np.float64)) for s in shown]),
    ]
    if against is not None:
        rows.append(row(AGAINST, "against", real_mouths(against)))
    if baselines:
        first = [loudness(p.sound, p.frames, 250.0, 1000.0) for p in pieces]
        others, penalties = from_others(pieces, lookahead_ms)
        rows += [
            row(ENERGY, "baseline", [_only_opening(c) for c in loud]),
            row(BAND, "baseline", [_only_opening(c) for c in first]),
            row(OTHERS, "baseline", others),
            row(OWN, "baseline", from_own(pieces, lookahead_ms, penalties)),
        ]
    scenes = [
        Scene(
            shown=one.mouth.opening,
            real=piece.truth.opening,
            others=[p.truth.opening for p in _others_of(pieces, index)],
            loud=heard,
            gate=one.gate.astype(np.float64),
        )
        for index, (piece, one, heard) in enumerate(zip(pieces, shown, loud, strict=True))
    ]
    rows += [row(toy.name, "toy", [_toy(toy.opening, s) for s in scenes]) for toy in TOYS]
    return ClipTable(
        rows,
        {
            name: {clip: [pieces[i].frames for i in own] for clip, own in clips.items()}
            for name, clips in families.items()
        },
        draws,
    )


def _toy(make: Callable[[Scene], F64], scene: Scene) -> Mouth:
    return _only_opening(np.asarray(make(scene), np.float64))


def _others_of(pieces: Sequence[Piece], index: int) -> list[Piece]:
    """Other stretches of the same family, the next one first."""
    turned = [*pieces[index + 1 :], *pieces[:index]]
    return [p for p in turned if p.family == pieces[index].family]
