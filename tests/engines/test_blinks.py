"""Blinks: in time, from the clip, and none too many."""

from __future__ import annotations

import numpy as np
import pytest

from visavis.engines.blinks import EDGE, Blinks
from visavis.engines.errors import PersonFileError

FAR = 1 << 20


def poses(count: int = 200) -> np.ndarray:
    out = np.zeros((count, 3, 4), np.float32)
    out[:, [0, 1, 2], [0, 1, 2]] = 60
    out[:, 0, 2] = np.linspace(-9, 9, count)  # turns from one side to the other
    return out


RUNS = np.array([[20, 25], [60, 66], [100, 104], [150, 156], [190, 195]], np.int32)


def test_blinks_come_as_people_blink() -> None:
    blinks, random = Blinks(RUNS, poses()), np.random.default_rng(0)
    state = blinks.initial_state(random)
    shown = [blinks.step(state, random, 40, FAR) for _ in range(100_000)]
    begins = [t for t in range(1, len(shown)) if shown[t] is not None and shown[t - 1] is None]
    between = np.diff(begins) / 25
    assert 3.0 < between.mean() < 4.0 and between.min() > 1.0 and between.max() < 9.0
    logs = np.log(between)
    assert 0.3 < logs.std() < 0.6 and abs(np.median(logs) - logs.mean()) < 0.05
    # Each is one of the clip's, from its first frame to its last, with open eyes at both ends.
    known = {first: last for first, last in RUNS.tolist()}
    for begin in begins[:200]:
        first = shown[begin][0]
        run = shown[begin : begin + known[first] - first + 1]
        assert [frame for frame, _ in run] == list(range(first, known[first] + 1))
        assert [share for _, share in run] == [EDGE, *[1.0] * (len(run) - 2), EDGE]
        # Of a head that is turned as this one is.
        assert first in (20, 60, 100)


def test_the_clips_own_blink_is_one() -> None:
    blinks, random = Blinks(RUNS, poses()), np.random.default_rng(0)
    state = blinks.initial_state(random)
    for _ in range(40):  # a clip that blinks every 60 ticks
        for tick in range(60):
            frame = 20 + min(tick, 6)
            assert blinks.step(state, random, frame, 60 - tick) is None or tick < 6


def test_none_is_laid_over_when_the_clip_is_about_to() -> None:
    blinks, random = Blinks(RUNS, poses()), np.random.default_rng(0)
    state = blinks.initial_state(random)
    assert all(blinks.step(state, random, 40, 20) is None for _ in range(1000))


def test_who_never_blinks_has_none() -> None:
    blinks, random = Blinks(np.zeros((0, 2), np.int32), poses()), np.random.default_rng(0)
    state = blinks.initial_state(random)
    assert all(blinks.step(state, random, 40, FAR) is None for _ in range(1000))


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([[20, 25, 3]], "pairs"),
        ([[10 * k, 10 * k + 4] for k in range(17)], "at most"),
        ([[196, 200]], "stretches"),
        ([[-1, 4]], "stretches"),
        ([[20, 21]], "stretches"),
        ([[20, 60]], "stretches"),
        ([[60, 66], [20, 25]], "stretches"),
        ([[20, 25], [25, 30]], "stretches"),
    ],
)
def test_runs_that_are_no_blinks_are_refused(runs: list[list[int]], words: str) -> None:
    with pytest.raises(PersonFileError, match=words):
        Blinks(np.array(runs, np.int32), poses())
