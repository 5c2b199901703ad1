"""How far a network adapted to a person reaches, on stretches of the clip that were left out.

Everything that adaptation chooses, it chooses without the stretch that is measured. What is
measured is what a session shows: gated, closures enforced. Nothing of the person is kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import ConfigError
from visavis.engines.motion import MOVES
from visavis.finetune.lips.adapt import MAP_FROM_S, Adapted, Take, adapt
from visavis.finetune.lips.amplitude import gain_of
from visavis.finetune.lips.linear import Heard, listen, said
from visavis.finetune.lips.listen import frames_of, live_tract
from visavis.finetune.lips.posterior import Fold, blocked
from visavis.finetune.lips.yardstick.agreement import Agreement, agreement
from visavis.finetune.lips.yardstick.clips import Piece, pieces_of
from visavis.finetune.lips.yardstick.mouth import Mouth
from visavis.finetune.lips.yardstick.ridge import from_own
from visavis.finetune.lips.yardstick.sampling import Estimate, Sampling, correlations
from visavis.finetune.lips.yardstick.tracks import track_clip
from visavis.models.motion import Motion

__all__ = ["Row", "Trial", "measure", "report", "takes_of", "trial"]

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

NETWORK, PARTED, SCALED = "the network", "parted in pauses", "scale and bias"
MAP, GAIN, CURVE = "MAP", "MAP, gain", "MAP, curve"
RIDGE, GATED = "ridge on mel, own clip", "the same, gated as MAP is"
_PENALTIES = np.geomspace(0.01, 30.0, 8)


@dataclass(frozen=True, slots=True)
class Row:
    """A way to move the lips.

    Attributes:
        name: of it; mouth: agreement with the real one, all frames.
        in_speech: float64[1 + D], r of the opening where the gate is open; word: the same before
            closures are enforced, as a ridge knows none.
    """

    name: str
    mouth: Agreement
    in_speech: F64
    word: F64


@dataclass(frozen=True, slots=True)
class Trial:
    """Rows, and what was fitted to the whole clip."""

    clip: str
    frames: int
    rows: list[Row]
    adapted: Adapted

    def row(self, name: str) -> Row:
        """By name."""
        return next(row for row in self.rows if row.name == name)


def takes_of(pieces: Sequence[Piece]) -> list[Take]:
    """What can be learnt from: opening and width. The jaw of a clip without a mesh is unknown."""
    usual = float(np.median(np.concatenate([p.truth.width for p in pieces])))
    takes = []
    for piece in pieces:
        moves = np.full((piece.frames, MOVES), np.nan)
        moves[:, 0] = piece.truth.opening
        moves[:, 2] = piece.truth.width - usual
        takes.append(Take(piece.sound, moves))
    return takes


def trial(
    motion: Motion,
    clip: Path,
    *,
    tracker: Path | None,
    cache: Path,
    cuts: Sequence[float] | None = None,
    lookahead_ms: int = 120,
    draws: int = 1000,
) -> Trial:
    """Track a clip and measure; see `measure`.

    Raises:
        ConfigError: there is no tracker, and no track in the cache.
        PersonFileError, AudioInputError: the clip cannot be used.
        ValueError: it has too little speech, or lips that do not move.
    """
    if lookahead_ms not in motion.config.lookaheads:
        raise ConfigError(f"The network has no head for a look-ahead of {lookahead_ms} ms.")
    track = track_clip(clip, cache, tracker)
    if cuts is not None:
        frames = np.searchsorted(track.time, np.asarray(cuts) - 0.015).tolist()
        track = replace(track, cuts=[c for c in frames if 0 < c < len(track.time)])
    return measure(motion, pieces_of(clip, track), lookahead_ms=lookahead_ms, draws=draws)


def measure(
    motion: Motion, pieces: Sequence[Piece], *, lookahead_ms: int = 120, draws: int = 1000
) -> Trial:
    """Adapt without each block in turn, and measure there."""
    takes = takes_of(pieces)
    heard = [listen(motion, take.sound) for take in takes]
    lengths = [p.frames for p in pieces]
    folds = blocked(lengths)
    gate = np.concatenate([h.gate for h in heard])
    whole = adapt(motion, takes, heard=heard, folds=folds)
    shown: dict[str, F64] = {
        name: np.zeros((len(gate), MOVES + 1))
        for name in (NETWORK, PARTED, SCALED, MAP, GAIN, CURVE)
    }
    ridges = _ridges(pieces, lookahead_ms)
    gated = ridges.copy()
    for fold in folds:
        for name, moves in _shown(motion, takes, heard, fold, folds, lookahead_ms).items():
            shown[name][fold.test] = moves[fold.test]
        rest = np.concatenate([t.moves for t in takes])[fold.train & (gate == 0.0), 0]
        gated[fold.test & (gate == 0.0), 0] = float(np.median(rest)) if len(rest) else 0.0
    shown |= {RIDGE: ridges, GATED: gated}
    if whole.seconds < MAP_FROM_S:
        shown = {n: m for n, m in shown.items() if n not in (MAP, GAIN, CURVE)}
    rows = [_row(name, moves, pieces, gate > 0.5, draws) for name, moves in shown.items()]
    return Trial(pieces[0].clip, len(gate), rows, whole)


def _shown(
    motion: Motion,
    takes: Sequence[Take],
    heard: Sequence[Heard],
    fold: Fold,
    folds: Sequence[Fold],
    lookahead_ms: int,
) -> dict[str, F64]:
    """f64[N, 7] of every frame, by what is shown, of networks that never saw the test."""
    own = adapt(motion, takes, heard=heard, use=fold.train, folds=folds, method="map")
    scaled = adapt(motion, takes, heard=heard, use=fold.train, folds=folds, method="scale and bias")
    parted = {"parted": own.params.get("parted", 0.0)}

    def show(network: Motion, params: dict[str, Any]) -> F64:
        """The moves shown, and the opening that the network wants."""
        heads, moves = network.config.lookaheads, []
        for take, one in zip(takes, heard, strict=True):
            ticks = said(network, one)
            shown, _ = live_tract(ticks, take.sound, lookahead_ms, params, heads)
            wanted = frames_of(ticks, lookahead_ms, heads)[:, :, :1].mean(1)
            moves.append(np.concatenate((shown, wanted), 1))
        return np.concatenate(moves).astype(np.float64)

    mapped = show(own.motion, parted)
    truth = np.concatenate([t.moves for t in takes])
    gain = gain_of(mapped[fold.train, 0], truth[fold.train, 0])
    return {
        NETWORK: show(motion, {}),
        PARTED: show(motion, parted),
        SCALED: show(scaled.motion, parted),
        MAP: mapped,
        GAIN: mapped * np.r_[gain, np.ones(MOVES)],
        CURVE: show(own.motion, {**parted, "curve": own.params.get("curve", _STRAIGHT)}),
    }


_STRAIGHT = [[0.0, 0.0], [1.0, 1.0]]


def _ridges(pieces: Sequence[Piece], lookahead_ms: int) -> F64:
    """Plain regression from sound, with the penalty that is best in hindsight: in its favour."""
    truth = np.concatenate([p.truth.opening for p in pieces])
    tried = []
    for penalty in _PENALTIES:
        mouths = from_own(pieces, lookahead_ms, {pieces[0].kind: float(penalty)})
        known = [m for m in mouths if m is not None]
        if len(known) != len(pieces):
            raise ConfigError("A trial needs a clip of nine seconds or more.")
        moves = np.zeros((len(truth), MOVES + 1))
        moves[:, -1] = np.concatenate([m.opening for m in known])
        moves[:, 0] = np.concatenate([m.opening for m in known])
        moves[:, 2] = np.concatenate([m.width for m in known])
        tried.append((float(np.corrcoef(moves[:, 0], truth)[0, 1]), moves))
    return max(tried, key=lambda pair: pair[0])[1]


def _row(name: str, moves: F64, pieces: Sequence[Piece], speech: Bools, draws: int) -> Row:
    lengths = [p.frames for p in pieces]
    borders = np.cumsum(lengths)[:-1]
    parts = np.split(moves, borders)
    masks = np.split(speech, borders)
    sampling = Sampling([lengths], draws, pieces[0].clip)
    shown = [Mouth(m[:, 0], m[:, 2], m[:, 3]) for m in parts]
    mouth = agreement(sampling, [shown], [[p.truth for p in pieces]])
    truth = [p.truth.opening[k] for p, k in zip(pieces, masks, strict=True)]
    spoken = Sampling([[len(t) for t in truth]], draws, pieces[0].clip)

    def r(column: int) -> F64:
        cut = [m[k, column] for m, k in zip(parts, masks, strict=True)]
        return np.asarray(correlations(spoken, [cut], [truth])[:, 0])

    return Row(name, mouth, r(0), r(-1))


def _figures(trial: Trial) -> dict[str, dict[str, Estimate]]:
    network, ridge = trial.row(NETWORK), trial.row(GATED)
    out: dict[str, dict[str, Estimate]] = {}
    for row in trial.rows:
        m = row.mouth
        out[row.name] = {
            "r": Estimate.of(m.r),
            "r, fast": Estimate.of(m.fast),
            "r in speech": Estimate.of(row.in_speech),
            "its word": Estimate.of(row.word),
            "over the network": Estimate.of(row.word - network.word),
            "over ridge": Estimate.of(row.word - ridge.word),
            "r of width": Estimate.of(m.width),
            "lag ms": Estimate.of(m.lag),
            "opening off": Estimate.of(m.opening_off),
            "speed off": Estimate.of(m.speed_off),
        }
        levels = zip(("5", "50", "95"), range(3), strict=True)
        out[row.name] |= {f"opening {n} %": Estimate.of(m.opening[:, i]) for n, i in levels}
    return out


def report(trial: Trial, *, as_json: bool = False) -> str:
    """As one JSON document, or as a table for people. 95 % intervals by block bootstrap."""
    figures = _figures(trial)
    own = trial.adapted
    if as_json:
        document = {
            "schema": "visavis-adapt/1",
            "clip": trial.clip,
            "frames": trial.frames,
            "speech_s": round(own.seconds, 2),
            "method": own.method,
            "moves": own.moves,
            "params": own.params,
            "rows": {
                name: {
                    key: [None if v is None else round(v, 4) for v in (e.value, e.low, e.high)]
                    for key, e in row.items()
                }
                for name, row in figures.items()
            },
        }
        return json.dumps(document, indent=1)
    columns = list(next(iter(figures.values())))
    lines = [
        f"{trial.clip}: {trial.frames} frames, {own.seconds:.1f} s of speech, {own.method}",
        f"{'':28s}" + "".join(f"{c:>22s}" for c in columns),
    ]
    for name, row in figures.items():
        lines.append(f"{name:28s}" + "".join(f"{_cell(row[c], c):>22s}" for c in columns))
    lines += [f"{move}: {table}" for move, table in own.moves.items()]
    lines.append(f"tract@2: {json.dumps(own.params)}")
    return "\n".join(lines)


def _cell(e: Estimate, column: str) -> str:
    if e.value is None:
        return "-"
    digits = 0 if column == "lag ms" else 3
    if e.low is None or e.high is None:
        return f"{e.value:.{digits}f}"
    return f"{e.value:.{digits}f} [{e.low:.{digits}f}, {e.high:.{digits}f}]"
