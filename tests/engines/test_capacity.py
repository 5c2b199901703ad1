"""How many sessions an engine carries: arithmetic, against a simulation of its threads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.engines.capacity import (
    batch_seconds,
    frames_per_second,
    sessions_carried,
    worst,
)

PROCESSOR = {1: 0.0125, 2: 0.0245, 4: 0.048}  # a batch saves next to nothing
GPU = {1: 0.003, 8: 0.0044, 64: 0.0118}


def test_batches_between_and_beyond_what_was_measured() -> None:
    assert batch_seconds(GPU, 1) == 0.003 and batch_seconds(GPU, 64) == 0.0118
    assert batch_seconds(GPU, 36) == pytest.approx((0.0044 + 0.0118) / 2)
    assert batch_seconds(GPU, 128) == pytest.approx(2 * 0.0118)
    assert batch_seconds(GPU, 65) == pytest.approx(0.0118 + 0.003)
    assert batch_seconds({1: 0.01}, 5) == pytest.approx(0.05)


def test_a_processor_carries_what_fits_into_a_tick() -> None:
    # 32 ms of 40 may be used: two of 12.5 ms, and three would be 37.5.
    assert sessions_carried(PROCESSOR, threads=1) == 2
    assert sessions_carried(PROCESSOR, threads=2) == 4
    assert sessions_carried(PROCESSOR, threads=1, share=0.94) == 3
    assert sessions_carried({1: 0.2}, threads=1) == 1, "somebody is always let in"


def test_few_sessions_gain_nothing_from_what_a_large_batch_saves() -> None:
    """By the rate of its largest batch alone this device would carry 160 sessions."""
    slow_alone = {1: 0.010, 64: 0.016}
    carried = sessions_carried(slow_alone, threads=1)
    assert 3 <= carried < 160
    assert sessions_carried(slow_alone, threads=1, phases=1) == 128
    # Four groups of so many are what the groups' batches cost.
    assert sessions_carried(GPU, threads=1) == 140
    assert 4 * batch_seconds(GPU, 35) < 0.8 / 25 < 3 * batch_seconds(GPU, 35) + 0.0082


def test_the_rate_is_the_lower_one_of_single_sessions_and_full_batches() -> None:
    assert frames_per_second(PROCESSOR, threads=2) == pytest.approx(2 * 80.0)
    assert frames_per_second({1: 0.01, 4: 0.05}, threads=1) == pytest.approx(80.0)


def test_the_slowest_thread_and_the_dearest_person_count() -> None:
    assert worst([{1: 1.0, 2: 4.0}, {1: 2.0, 2: 3.0, 4: 9.0}]) == {1: 2.0, 2: 4.0}


@given(
    single=st.floats(0.0005, 0.05),
    saving=st.floats(0.1, 1.0),
    threads=st.integers(1, 8),
    phases=st.sampled_from([1, 2, 4]),
)
def test_what_is_carried_fits_and_one_more_does_not(
    single: float, saving: float, threads: int, phases: int
) -> None:
    costs = {1: single, 8: single * (1 + 7 * saving)}
    carried = sessions_carried(costs, threads=threads, phases=phases)

    def busy(sessions: int) -> float:
        """Seconds of a tick of one thread, group by group."""
        groups = [len(range(phase, sessions, phases)) for phase in range(phases)]
        return sum(batch_seconds(costs, size) for size in groups if size)

    assert carried % threads == 0 or carried == 1
    each = carried // threads
    if each:
        assert busy(each) <= 0.8 / 25 + 1e-9 or each == 1
    assert busy(each + 1) > 0.8 / 25 - 1e-9
