from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.server.media.budget import LEAST, MOST, BudgetControl
from visavis.server.media.clock import Pacer


def test_steps_stay_on_their_grid_however_late_the_wake_ups_are() -> None:
    pacer = Pacer(10.0)
    handed = []
    for now in (10.0, 10.0215, 10.05, 10.0601, 10.099, 10.1):
        for step in pacer.poll(now):
            handed.append(step)
            assert pacer.due(step) == pytest.approx(10.0 + 0.02 * step)
            assert pacer.due(step) <= now + 1e-5
    assert handed == [0, 1, 2, 3, 4, 5]


def test_a_stall_hands_out_all_missed_steps_at_once_and_then_none() -> None:
    pacer = Pacer(0.0)
    assert list(pacer.poll(0.0)) == [0]
    assert list(pacer.poll(0.3)) == list(range(1, 16))
    assert list(pacer.poll(0.3)) == []
    assert pacer.next_due == pytest.approx(0.32)


def test_nothing_is_due_before_the_origin() -> None:
    pacer = Pacer(5.0)
    assert list(pacer.poll(4.0)) == []
    assert list(pacer.poll(5.0)) == [0]


@given(st.lists(st.floats(0, 0.2), max_size=20), st.floats(-0.01, 0.01))
def test_no_step_is_lost_or_doubled(pauses: list[float], shift: float) -> None:
    pacer = Pacer(0.0)
    now, handed = 0.0, []
    for number, pause in enumerate(pauses):
        now += pause
        if number == 3:
            pacer.shift(shift)
        handed += pacer.poll(now)
    assert handed == list(range(len(handed)))
    assert pacer.next_due > now - 1e-5


def _feed(budget: BudgetControl, late: float, now: float, seconds: float) -> tuple[float, float]:
    """Frames that would be ``late`` at a budget of nothing; returns the time and all changes."""
    changed = 0.0
    for _ in range(int(seconds * 25)):
        now += 0.04
        budget.ready(late - budget.seconds)
        changed += budget.plan(now)
    return now, changed


def test_the_budget_grows_to_what_frames_need_and_shrinks_again() -> None:
    budget = BudgetControl(0.020)
    now, changed = _feed(budget, 0.050, 0.0, 10)
    assert 0.050 <= budget.seconds <= 0.065
    assert changed == pytest.approx(budget.seconds - 0.020)
    now, _ = _feed(budget, 0.012, now, 30)
    assert 0.012 <= budget.seconds <= 0.030


def test_the_budget_does_not_swing_while_frames_are_on_time() -> None:
    budget = BudgetControl(0.020)
    _, changed = _feed(budget, 0.014, 0.0, 20)
    assert changed == 0.0


def test_the_budget_is_bounded() -> None:
    budget = BudgetControl(0.020)
    _feed(budget, 1.0, 0.0, 30)
    assert budget.seconds == pytest.approx(MOST)
    budget = BudgetControl(0.020)
    _feed(budget, -1.0, 0.0, 30)
    assert budget.seconds == pytest.approx(LEAST)


@pytest.mark.parametrize("phase", range(12))
def test_a_freeze_of_300_ms_changes_nothing(phase: int) -> None:
    """Frames that were due in it are late by up to its length, and the next few catch up."""
    budget = BudgetControl(0.020)
    now, _ = _feed(budget, 0.012, 0.0, 6 + phase * 0.04)
    before = budget.seconds
    changed = 0.0
    for late in (0.30, 0.26, 0.22, 0.18, 0.14, 0.10, 0.06, 0.02):
        budget.ready(late)
        changed += budget.plan(now)
    now, later = _feed(budget, 0.012, now, 6)
    assert changed == later == 0.0
    assert budget.seconds == before


def test_what_was_needed_once_is_given_back_soon() -> None:
    budget = BudgetControl(0.020)
    now, _ = _feed(budget, 0.120, 0.0, 10)
    assert budget.seconds > 0.115
    now, _ = _feed(budget, 0.010, now, 3 + 5)  # the memory is 2.4 s long
    assert budget.seconds < 0.035


def test_single_late_frames_change_nothing() -> None:
    budget = BudgetControl(0.020)
    now = 0.0
    for frame in range(500):
        now += 0.04
        budget.ready(0.200 if frame % 20 == 0 else -0.005)
        assert budget.plan(now) == 0.0
