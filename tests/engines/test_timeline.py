"""The clockwork of a session: which samples a tick gets, whatever the chunks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.engines.timeline import MAX_PENDING_SAMPLES, TICK_SAMPLES, Tick, Timeline

LOOKAHEAD_MS = 100
FIRST = 1600


def ramp(count: int, start: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.arange(start, start + count, dtype=np.float32)


def drain(timeline: Timeline) -> list[Tick]:
    ticks = []
    while (tick := timeline.take()) is not None:
        ticks.append(tick)
    return ticks


@pytest.mark.parametrize("lookahead_ms", [40, 100, 200, 410])
def test_frame_k_is_ready_with_the_sample_that_completes_its_look_ahead(lookahead_ms: int) -> None:
    timeline = Timeline(lookahead_ms)
    for index in range(4):
        due = 640 * index + 16 * lookahead_ms
        timeline.push(ramp(due - 1 - (0 if index == 0 else 640 * (index - 1) + 16 * lookahead_ms)))
        assert timeline.take() is None
        timeline.push(ramp(1))
        tick = timeline.take()
        assert tick is not None and tick.index == index


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5000), max_size=30))
def test_ticks_carry_every_sample_once_and_in_order(chunks: list[int]) -> None:
    timeline = Timeline(LOOKAHEAD_MS)
    ticks, sent = [], 0
    for size in chunks:
        timeline.push(ramp(size, sent))
        sent += size
        ticks += drain(timeline)
    heard = np.concatenate([tick.pcm for tick in ticks] or [ramp(0)])
    assert np.array_equal(heard, ramp(len(heard)))
    assert sent - len(heard) < (FIRST if not ticks else TICK_SAMPLES)
    assert [tick.index for tick in ticks] == list(range(len(ticks)))
    assert all(len(tick.pcm) == (FIRST if tick.index == 0 else TICK_SAMPLES) for tick in ticks)


def test_samples_wrap_around_the_ring() -> None:
    timeline, sent = Timeline(LOOKAHEAD_MS), 0
    for _ in range(60):
        timeline.push(ramp(9001, sent))
        sent += 9001
        for tick in drain(timeline):
            start = 0 if tick.index == 0 else FIRST + 640 * (tick.index - 1)
            assert np.array_equal(tick.pcm, ramp(len(tick.pcm), start))
    assert sent > MAX_PENDING_SAMPLES


def test_only_the_newest_two_waiting_ticks_get_a_picture() -> None:
    timeline = Timeline(LOOKAHEAD_MS)
    timeline.push(ramp(FIRST + 640 * 9))
    assert timeline.waiting == 10
    assert [tick.render for tick in drain(timeline)] == [False] * 8 + [True] * 2
    assert timeline.skipped == 8


def test_nothing_is_skipped_in_step() -> None:
    timeline = Timeline(LOOKAHEAD_MS)
    timeline.push(ramp(FIRST - 640))
    for _ in range(50):
        timeline.push(ramp(640))
        assert [tick.render for tick in drain(timeline)] == [True]
    assert timeline.skipped == 0


def test_audio_far_ahead_is_dropped_in_whole_ticks_and_counted() -> None:
    timeline, total = Timeline(LOOKAHEAD_MS), MAX_PENDING_SAMPLES * 3 + 17
    for start in range(0, total, 7777):
        timeline.push(ramp(min(7777, total - start), start))
        assert timeline.pending_samples <= MAX_PENDING_SAMPLES
    first = timeline.take()
    assert first is not None
    assert first.index == timeline.dropped_samples // 640 > 0
    assert timeline.dropped_samples % 640 == 0
    assert np.array_equal(first.pcm, ramp(FIRST, timeline.dropped_samples))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 3 * MAX_PENDING_SAMPLES), min_size=1, max_size=4))
def test_the_timeline_stays_true_however_much_comes(sizes: list[int]) -> None:
    timeline, sent = Timeline(LOOKAHEAD_MS), 0
    for size in sizes:
        timeline.push(ramp(size, sent))
        sent += size
    # The last tick ends where the samples end, whatever was dropped before.
    ticks = drain(timeline)
    if ticks:
        end = 640 * ticks[-1].index + FIRST
        assert sent - end < 640
        assert ticks[-1].pcm[-1] == np.float32(end - 1)
    assert timeline.pending_samples < FIRST


def test_clear_turns_what_waits_into_silence_and_keeps_the_count() -> None:
    timeline = Timeline(LOOKAHEAD_MS)
    timeline.push(ramp(FIRST + 640, 1))
    timeline.take()
    assert timeline.clear() == 1
    timeline.push(ramp(640, 1))
    second, third = drain(timeline)
    assert (second.index, second.generation, second.cleared) == (1, 1, True)
    assert not second.pcm.any()
    assert (third.index, third.cleared) == (2, False)
    assert np.array_equal(third.pcm, ramp(640, 1))
