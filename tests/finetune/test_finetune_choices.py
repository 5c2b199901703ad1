"""What is learnt from, shown and held out; how long to train; gaps in a track."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.finetune import presenter_clip
from visavis.engines.errors import PersonFileError
from visavis.finetune.geometry import Geometry
from visavis.finetune.schedule import LEAST_STEPS, schedule
from visavis.finetune.selection import BLOCK, held_out, learnt, shown, stretches
from visavis.finetune.tracking import filled


def longer(times: int) -> Geometry:
    """The presenter's clip again and again; the last time with a mouth that opens twice as wide."""
    geometry = presenter_clip.geometry()
    count = len(geometry.pose)
    rows = np.tile(np.arange(count), times)
    long = geometry.of(rows)
    aperture = long.aperture.copy()
    aperture[-count:] *= 2.0
    return replace(long, aperture=aperture)


def test_cuts_part_a_clip() -> None:
    assert stretches(100, [60, 20, 20, 0, 100]) == [(0, 20), (20, 60), (60, 100)]
    assert stretches(10, []) == [(0, 10)]


def test_what_is_shown_has_no_cut_and_a_bound() -> None:
    geometry = longer(3)
    count = len(geometry.pose)
    whole = shown(geometry, [])
    assert (whole.start, whole.stop) == (0, count)
    assert shown(geometry, [count - 80]) == slice(0, count - 80)
    part = shown(geometry, [], most=120)
    assert part.stop - part.start == 120
    with pytest.raises(ValueError, match="longest part"):
        shown(geometry, list(range(0, count, 40)))


def test_what_is_learnt_is_bounded_and_different() -> None:
    geometry = longer(4)
    count = len(geometry.pose)
    assert np.array_equal(learnt(geometry, [(0, 90), (100, 150)]), [*range(90), *range(100, 150)])
    chosen = learnt(geometry, [(0, count)], most=150)
    assert len(chosen) == 150 and (np.diff(chosen) > 0).all()
    blocks = chosen.reshape(-1, BLOCK)
    assert (np.diff(blocks, axis=1) == 1).all()
    some = learnt(geometry, [(0, 110), (200, count)], most=150)
    assert len(some) == 150 and not ((some >= 110) & (some < 200)).any()
    # The wide mouths of the end are a quarter of the clip and must not be missed.
    assert (chosen >= 3 * count // 4).sum() >= BLOCK


def test_what_is_held_out_is_the_latest_that_is_spoken_in() -> None:
    geometry = presenter_clip.geometry()  # "Let us begin.", then three seconds of silence
    count = len(geometry.pose)
    moves = np.abs(np.gradient(geometry.aperture))
    judged = held_out(geometry, [])
    assert len(judged) == round(0.15 * count) and (np.diff(judged) == 1).all()
    assert moves[judged].mean() >= moves.mean()
    later = np.arange(judged[0] + 1, count)
    assert moves[later[: len(judged)]].mean() < moves[judged].mean()
    first = int(judged[0])
    assert held_out(geometry, [first - 3])[0] == first - 3
    assert held_out(geometry, [first + 60])[0] == first


def test_the_time_decides_the_steps() -> None:
    plan = schedule(600.0, step_seconds=0.5, adversarial_step_seconds=None, seed=3)
    assert plan.steps == 1200 and plan.adversarial_from is None and plan.seed == 3
    assert plan.whole_from == 960
    both = schedule(600.0, step_seconds=0.5, adversarial_step_seconds=1.0, seed=0)
    assert both.adversarial_from == 420 and both.steps == 420 + 390
    assert both.adversarial_from <= both.whole_from < both.steps
    begun = schedule(600.0, step_seconds=0.5, adversarial_step_seconds=1.0, seed=0, alone=0.0)
    assert begun.adversarial_from == 0 and begun.steps == 600 and begun.whole_from == 480
    assert schedule(1.0, step_seconds=9.0, adversarial_step_seconds=None, seed=0).steps == (
        LEAST_STEPS
    )


def test_short_gaps_in_a_track_are_filled_and_long_ones_refused() -> None:
    line = np.arange(20, dtype=np.float32)[:, None, None] * np.ones((1, 4, 3), np.float32)
    holed = line.copy()
    holed[5:8] = np.nan
    holed[:2] = np.nan
    holed[19] = np.nan
    whole = filled(holed)
    assert np.allclose(whole[2:19], line[2:19])
    assert np.allclose(whole[:2], line[2]) and np.allclose(whole[19], line[18])
    assert filled(line) is line
    holed[4:15] = np.nan
    with pytest.raises(PersonFileError, match=r"from 0\.16 to 0\.60 s"):
        filled(holed)
