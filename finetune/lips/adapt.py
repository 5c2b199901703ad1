"""Adapts a motion network to a person, from a clip in which the person's lips were tracked.

    python -m visavis.finetune.lips.adapt --motion motion.pt --clip CLIP --tracker PYTHON

What a head says of a move is linear in hidden values and rows, so it is re-estimated by MAP
(`posterior`) without training, and the result is a network of the same graph. With less than 20
seconds of speech there are only a scale and a bias per move. How sure the network is of closures,
of lips on teeth and of speech stays its own. The command is a trial (`trial`): it measures on
stretches that were left out, and keeps nothing but the track, in a folder of your choice.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.motion import CHANNELS, MOVES
from visavis.finetune.lips.amplitude import curve_of, gain_of
from visavis.finetune.lips.linear import USUAL_MS, Correction, Heard, fold, listen, of_head
from visavis.finetune.lips.posterior import (
    Choice,
    Fold,
    blocked,
    choose,
    scale_and_bias,
    solve,
)
from visavis.models.motion import Motion

__all__ = ["MAP_FROM_S", "Adapted", "Take", "adapt"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

MAP_FROM_S = 20.0
_LEAST_S = 4.0
_FPS = 25
_LEAST_MOVED = 2e-3  # IOD
_LEAST_R = 0.1
_LEAST_PAUSE = 12  # frames


@dataclass(frozen=True, slots=True)
class Take:
    """A stretch of the person's clip without a cut.

    Attributes:
        sound: f32[640 K], 16 kHz.
        moves: f64[K, 6], what the mouth did at the middle of K frames of 40 ms, in the units of
            the network; a move that was not measured is not a number throughout.
    """

    sound: F32
    moves: F64


@dataclass(frozen=True, slots=True)
class Adapted:
    """A person's own network.

    Attributes:
        motion: of the same graph.
        params: of `tract@2`, that go with it: gain, curve, parted.
        seconds: of speech; method: "map" or "scale and bias".
        moves: by channel: r of the network and of this one, within blocks that were left
            out, of frames in speech; scale; penalty and mix where there is a MAP; `used`.
    """

    motion: Motion
    params: dict[str, Any]
    seconds: float
    method: str
    moves: dict[str, dict[str, Any]] = field(default_factory=dict)


def adapt(
    motion: Motion,
    takes: Sequence[Take],
    *,
    heard: Sequence[Heard] | None = None,
    use: Bools | None = None,
    folds: Sequence[Fold] | None = None,
    method: str | None = None,
) -> Adapted:
    """Adapt a network to a person.

    Args:
        motion: trained.
        takes: everything that was tracked; nothing is learnt across their borders.
        heard: of `listen`, where it is known already.
        use: bool[N], frames of all takes that may be learnt from; all of them.
        folds: of cross-validation, over all N frames; of `blocked`.
        method: "map" or "scale and bias"; by the amount of speech.

    Raises:
        ValueError: there is too little speech, or the lips do not move in it.
    """
    heard = heard or [listen(motion, take.sound) for take in takes]
    moves = np.concatenate([take.moves for take in takes])
    gate = np.concatenate([h.gate for h in heard])
    allowed = np.ones(len(moves), np.bool_) if use is None else use
    speech = allowed & (gate > 0.5)
    seconds = float(speech.sum()) / _FPS
    if seconds < _LEAST_S:
        raise ValueError("A clip needs at least four seconds of speech to adapt the lips to it.")
    if not np.ptp(moves[speech, 0]) > _LEAST_MOVED:
        raise ValueError("The lips in the clip do not move while it speaks: is the face tracked?")
    method = method or ("map" if seconds >= MAP_FROM_S else "scale and bias")
    measured = np.flatnonzero(np.isfinite(moves).all(0))
    folds = folds or blocked([h.frames for h in heard])

    heads = motion.config.lookaheads
    usual = USUAL_MS if USUAL_MS in heads else heads[len(heads) // 2]
    first, inputs = of_head(motion, heard, usual)
    wanted = moves[:, measured]
    grams = (inputs[0] @ inputs[0].T, inputs[1] @ inputs[1].T) if method == "map" else None
    choice = choose(grams, first[:, measured], wanted, folds, speech)
    known = np.isfinite(choice.guess[:, 0])
    table: dict[str, dict[str, Any]] = {}
    gain, followed, curve = [1.0] * MOVES, [], None
    for i, move in enumerate(measured.tolist()):
        truth, guess = wanted[known, i], choice.guess[known, i]
        before, r = float(choice.before[i]), float(choice.after[i])
        used = r >= _LEAST_R
        table[CHANNELS[move]] = {
            "r_before": round(before, 4),
            "r_after": round(r, 4),
            "used": used,
        }
        if used and method == "map":
            table[CHANNELS[move]] |= {
                "mix": float(choice.mix[i]),
                "penalty": float(choice.penalty[i]) if np.isfinite(choice.penalty[i]) else None,
            }
        followed.append(used)
        if not used:
            continue
        if move == 0:
            curve = curve_of(guess, truth)
        else:
            gain[move] = round(gain_of(guess, truth), 3)
    params: dict[str, Any] = {"gain": gain}
    if curve is not None:
        params["curve"] = curve
    pause = allowed & (gate == 0.0)
    if pause.sum() >= _LEAST_PAUSE:
        params["parted"] = round(float(np.clip(np.median(moves[pause, 0]), 0.0, 0.2)), 4)
    corrections = {
        ms: _correct(motion, heard, ms, wanted, measured, choice, followed, speech) for ms in heads
    }
    return Adapted(fold(motion, corrections), params, seconds, method, table)


def _correct(
    motion: Motion,
    heard: Sequence[Heard],
    ms: int,
    wanted: F64,
    measured: NDArray[np.intp],
    choice: Choice,
    followed: Sequence[bool],
    speech: Bools,
) -> Correction:
    """The correction of one head, by what another one chose."""
    first, (hidden, rows) = of_head(motion, heard, ms)
    out = Correction(
        np.ones(MOVES),
        np.zeros(MOVES),
        np.zeros((hidden.shape[1], MOVES)),
        np.zeros((rows.shape[1], MOVES)),
    )
    for i, move in enumerate(measured.tolist()):
        if not followed[i]:
            continue
        known, y = first[speech, move : move + 1], wanted[speech, i : i + 1]
        a, b = scale_and_bias(known, y)
        out.scale[move], out.bias[move] = a[0], b[0]
        if np.isfinite(choice.penalty[i]):
            left = (y - a * known - b)[:, 0]
            out.hidden[:, move], out.rows[:, move], bias = solve(
                (hidden[speech], rows[speech]),
                left,
                float(choice.mix[i]),
                float(choice.penalty[i]),
            )
            out.bias[move] += bias
    return out


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the trial."""
    from visavis.finetune.lips.train import load_motion
    from visavis.finetune.lips.trial import report, trial

    parser = argparse.ArgumentParser(description="Try how far the lips can be fitted to a person.")
    parser.add_argument("--motion", type=Path, required=True, help="checkpoint of the network")
    parser.add_argument("--clip", type=Path, required=True, help="one face and its own sound")
    parser.add_argument("--tracker", type=Path, help="Python with MediaPipe")
    parser.add_argument("--cuts", type=float, nargs="+", help="seconds; else found in the picture")
    parser.add_argument("--lookahead", type=int, default=USUAL_MS, help="ms")
    parser.add_argument("--cache", type=Path, default=Path("build/lips"), help="for the track")
    parser.add_argument("--draws", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    result = trial(
        load_motion(args.motion),
        args.clip,
        tracker=args.tracker,
        cache=args.cache,
        cuts=args.cuts,
        lookahead_ms=args.lookahead,
        draws=args.draws,
    )
    print(report(result, as_json=args.json))


if __name__ == "__main__":
    main()
