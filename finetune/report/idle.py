"""What a patient watcher sees while nobody speaks: how soon the head does the same again.

    python -m visavis.finetune.report.idle PERSON --seeds 30

A head that trembles never does the same again, either; so how it is accelerated is measured, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.person import load_person
from visavis.engines.walk import Cue, FrameChoice, Walk

__all__ = ["Blinking", "Repeats", "blinking", "jitter", "jumps", "main", "places", "repeats"]

F64 = NDArray[np.float64]

FPS = 25
WINDOW = 50  # frames: two seconds
WITHIN = 1500  # frames: a minute
# Two seconds are the same where they differ by a tenth of their own movement; here squared.
_ALIKE = 0.01
# Movement in IOD, RMS, under which there is nothing to recognise.
_MOVES = 0.005
_FACE = np.array([(-0.4, -0.2, -0.2), (0.4, -0.2, -0.2), (0.0, 0.6, -0.4)])  # head space


@dataclass(frozen=True, slots=True)
class Repeats:
    """What comes again.

    Attributes:
        sequences: of two seconds that move at all.
        again: those of them that come again within a minute, forward or reversed.
        soonest_s: from the beginning of a sequence to the beginning of its repetition, None where
            none comes again.
        reversed_again: those that come again backward.
    """

    sequences: int
    again: int
    soonest_s: float | None
    reversed_again: int


@dataclass(frozen=True, slots=True)
class Blinking:
    """How often the person blinks.

    Attributes:
        per_minute: blinks.
        intervals_s: the 5, 25, 50, 75 and 95 % quantiles of the time from one to the next; None
            where there were fewer than two.
    """

    per_minute: float
    intervals_s: tuple[float, ...] | None


def places(poses: NDArray[np.floating]) -> F64:
    """Return float64[T, 6]: three points of the face in every pose float[T, 3, 4], in IOD."""
    turn = np.asarray(poses, np.float64)
    iod = float(np.median(np.linalg.norm(turn[:, :, 0], axis=1)))
    at = np.einsum("nij,pj->npi", turn[:, :2, :3], _FACE) + turn[:, None, :2, 3]
    return np.asarray(at.reshape(len(turn), -1) / iod)


def repeats(path: F64) -> Repeats:
    """Look for sequences of two seconds that come again within a minute.

    Args:
        path: float64[T, D], of `places`, 25 a second.
    """
    count = len(path) - WINDOW + 1
    if count < 1:
        return Repeats(0, 0, None, 0)
    mean = _sums(path, WINDOW) / WINDOW
    moved = _sums(np.square(path), WINDOW).sum(axis=1) / WINDOW - np.square(mean).sum(axis=1)
    moves = np.sqrt(np.maximum(moved, 0.0)) > _MOVES
    soonest = np.full(count, np.inf)
    backward = np.zeros(count, np.bool_)
    for lag in range(WINDOW, min(WITHIN, len(path) - WINDOW) + 1):
        off = np.square(path[lag:] - path[:-lag]).sum(axis=1)
        same = _sums(off, WINDOW) / WINDOW < _ALIKE * moved[: count - lag]
        at = np.flatnonzero(same & moves[: count - lag])
        soonest[at] = np.minimum(soonest[at], lag)
    # The frame a + k of a sequence is the frame b + 49 - k of one that runs backward: of all pairs
    # i, j with one sum, so that every sum is one row of differences.
    for total in range(2 * WINDOW, 2 * len(path) - 2):
        first = max(0, total - len(path) + 1, (total - WITHIN - WINDOW + 1) // 2)
        last = total // 2 + 1  # the two do not overlap
        i = np.arange(first, last)
        if len(i) < WINDOW:
            continue
        off = np.square(path[i] - path[total - i]).sum(axis=1)
        starts = i[: len(i) - WINDOW + 1]
        lags = total - WINDOW + 1 - 2 * starts
        same = _sums(off, WINDOW) / WINDOW < _ALIKE * moved[starts]
        good = same & moves[starts] & (lags >= WINDOW) & (lags <= WITHIN)
        at = starts[good]
        backward[at] = True
        soonest[at] = np.minimum(soonest[at], lags[good])
    again = np.isfinite(soonest)
    return Repeats(
        sequences=int(moves.sum()),
        again=int(again.sum()),
        soonest_s=float(soonest.min()) / FPS if again.any() else None,
        reversed_again=int(backward.sum()),
    )


def jitter(path: F64, real: F64) -> float | None:
    """Return the RMS acceleration of the face over that of the person's own clip.

    Args:
        path, real: float64[T, 6], of `places`, 25 a second.

    Returns:
        None where the clip's face does not move, or one of them is shorter than three frames.
    """
    if min(len(path), len(real)) < 3:
        return None
    shown, filmed = (float(np.square(np.diff(p, 2, axis=0)).mean()) for p in (path, real))
    return float(np.sqrt(shown / filmed)) if filmed > 0.0 else None


def blinking(choices: Sequence[FrameChoice], runs: NDArray[np.integer]) -> Blinking:
    """Count blinks, those of the frames that are shown and those that are laid over.

    Args:
        choices: frame by frame.
        runs: int[B, 2], first and last frame of every blink of the clip.
    """
    shut = {frame for first, last in runs.tolist() for frame in range(first, last + 1)}
    closed = [choice.eyes is not None or choice.frames[-1] in shut for choice in choices]
    begins = np.flatnonzero(np.diff(np.array([False, *closed]).astype(int)) == 1)
    minutes = len(choices) / (60.0 * FPS)
    between = np.diff(begins) / FPS
    quantiles = np.quantile(between, (0.05, 0.25, 0.5, 0.75, 0.95)) if len(between) else None
    return Blinking(
        per_minute=len(begins) / minutes if choices else 0.0,
        intervals_s=None if quantiles is None else tuple(float(q) for q in quantiles),
    )


def _sums(values: F64, width: int) -> F64:
    """Sums of `width` neighbours along the first axis."""
    total = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values]), axis=0)
    return np.asarray(total[width:] - total[:-width])


def jumps(choices: Sequence[FrameChoice]) -> int:
    """Count how often the walk leaves the clip's order, blended or not."""
    count = 0
    for before, after in zip(choices, choices[1:], strict=False):
        if len(after.frames) > 1:
            count += len(before.frames) == 1
        elif len(before.frames) == 1:
            count += after.frames[0] - before.frames[0] not in (0, 1)
    return count


def main(arguments: list[str] | None = None) -> int:
    """Print what is measured of some sessions in which nobody speaks."""
    parser = argparse.ArgumentParser(prog="visavis.finetune.report.idle")
    parser.add_argument("person", type=Path)
    parser.add_argument("--seeds", type=int, default=4, help="sessions (4)")
    parser.add_argument("--seconds", type=float, default=120.0, help="of each (120)")
    options = parser.parse_args(arguments)
    person = load_person(options.person)
    parts = person.stage_parts("background")
    size = {"width": person.width, "height": person.height}
    walk = Walk({**person.stages["background"].params, **size}, parts)
    own, runs = places(np.asarray(parts["pose"])), np.asarray(parts["blinks"])
    print("seed  again  soonest   jitter  jumps  blinks a minute, quantiles of seconds between")
    for seed in range(options.seeds):
        state = walk.initial_state(seed)
        choices = [walk.step(state, Cue()) for _ in range(round(options.seconds * FPS))]
        path = places(np.stack([choice.pose for choice in choices]))
        found, told, seen = repeats(path), jitter(path, own), blinking(choices, runs)
        soonest = "-" if found.soonest_s is None else f"{found.soonest_s:.1f} s"
        between = " ".join(f"{q:.1f}" for q in seen.intervals_s or ())
        print(
            f"{seed:4}  {found.again:5}  {soonest:>7}  {0.0 if told is None else told:7.2f}"
            f"  {jumps(choices):5}  {seen.per_minute:5.1f}   {between}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
