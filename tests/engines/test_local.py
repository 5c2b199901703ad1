"""The engine's thread: batches, fairness, admission, barge-in, failures and the end."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from tests.engines.fakes import Collector, FakeRunner, person, until
from visavis.engines.client import EngineClient, Frame
from visavis.engines.errors import (
    ConfigError,
    EngineError,
    EngineFull,
    UnknownLookahead,
    UnknownPerson,
)
from visavis.engines.local import MAX_BATCH, LocalEngine
from visavis.engines.person import Person
from visavis.engines.pipeline import SessionState

FIRST = np.zeros(1600, np.float32)
TICK = np.zeros(640, np.float32)


class House:
    """An engine over fake runners."""

    def __init__(self, *names: str, capacity: int | None = 20, threads: int = 1) -> None:
        self.runners: list[FakeRunner] = []
        self.engine = LocalEngine(
            [person(name) for name in names],
            capacity=capacity,
            threads=threads,
            _make_runner=self._make,
        )

    def _make(self, person: Person) -> FakeRunner:
        self.runners.append(FakeRunner(person))
        return self.runners[-1]


@pytest.fixture
def house() -> Iterator[House]:
    house = House("one", "two")
    yield house
    for runner in house.runners:
        runner.gate.set()
    house.engine.close()


def test_it_is_an_engine_client(house: House) -> None:
    client: EngineClient = house.engine
    first = client.persons()[0]
    assert (first.name, first.width, first.fps, first.lookahead_ms) == ("one", 64, 25, 100)
    assert first.poster.startswith(b"\xff\xd8")


@pytest.mark.parametrize("lookahead_ms", [40, 100, 200])
def test_a_session_waits_for_its_own_look_ahead(house: House, lookahead_ms: int) -> None:
    assert house.engine.persons()[0].lookaheads_ms == (40, 100, 200)
    seen, need = Collector(), 16 * lookahead_ms
    session = house.engine.open("one", seen.on_frame, lookahead_ms=lookahead_ms)
    for count in range(3):
        session.push(np.zeros(need - 1, np.float32))
        assert session.timeline.waiting == 0
        session.push(np.zeros(1, np.float32))
        seen.wait(frames=count + 1)
        need = 640
    assert house.runners[0].batches[0][0].lookahead_ms == lookahead_ms


def test_a_look_ahead_that_is_not_offered_takes_no_place() -> None:
    house = House("one", capacity=1)
    with pytest.raises(UnknownLookahead, match="'one' can look ahead by 40, 100, 200 ms, not"):
        house.engine.open("one", Collector().on_frame, lookahead_ms=60)
    house.engine.open("one", Collector().on_frame, lookahead_ms=200)
    house.engine.close()


def test_frames_come_in_order_one_for_each_tick(house: House) -> None:
    seen = Collector()
    session = house.engine.open("one", seen.on_frame)
    session.push(FIRST)
    for count in range(1, 30):
        seen.wait(frames=count)
        session.push(TICK)
    seen.wait(frames=30)
    assert seen.indices == list(range(30))
    assert [frame.i420[0, 0] for frame in seen.frames] == [
        (1600 + 640 * k) % 251 for k in range(30)
    ]
    stats = session.stats()
    assert (stats.rendered, stats.skipped, stats.failed) == (30, 0, None)
    assert stats.engine_ms_p95 >= stats.engine_ms_p50 > 0


@pytest.mark.parametrize("size", [1, 7, 639, 641])
def test_chunks_of_any_size_give_the_same_frames(house: House, size: int) -> None:
    seen = Collector()
    session = house.engine.open("one", seen.on_frame)
    sent = 0
    for k in range(4):
        while sent < 1600 + 640 * k:
            count = min(size, 1600 + 640 * k - sent)
            session.push(np.zeros(count, np.float32))
            sent += count
        seen.wait(frames=k + 1)
    assert seen.indices == [0, 1, 2, 3]


def test_what_waits_too_long_moves_on_without_a_picture(house: House) -> None:
    runner, seen = house.runners[0], Collector()
    runner.gate.clear()
    session = house.engine.open("one", seen.on_frame)
    session.push(FIRST)
    assert runner.entered.wait(20)
    session.push(np.tile(TICK, 10))
    runner.gate.set()
    seen.wait(frames=3)
    assert seen.indices == [0, 9, 10]
    assert session.stats().skipped == 8
    # The state has heard everything all the same.
    assert seen.frames[-1].i420[0, 0] == (1600 + 6400) % 251


def test_sessions_that_are_ready_at_once_run_as_one_batch(house: House) -> None:
    runner, seen = house.runners[0], Collector()
    sessions = [house.engine.open("one", seen.on_frame) for _ in range(12)]
    runner.gate.clear()
    sessions[0].push(FIRST)
    assert runner.entered.wait(20)
    for session in sessions[1:]:
        session.push(FIRST)
    runner.gate.set()
    seen.wait(frames=12)
    assert [len(batch) for batch in runner.batches] == [1, MAX_BATCH, 3]


def test_nobody_waits_for_somebody_who_always_has_work(house: House) -> None:
    runner, busy, calm = house.runners[0], Collector(), Collector()
    turns: list[int] = []

    def on_frame(frame: Frame) -> None:
        turns.append(len(runner.batches))
        calm.on_frame(frame)

    runner.gate.clear()
    many = [house.engine.open("one", busy.on_frame) for _ in range(2 * MAX_BATCH)]
    single = house.engine.open("two", on_frame)
    for session in many:
        session.push(np.zeros(1600 + 640 * 200, np.float32))
    single.push(FIRST)
    runner.gate.set()
    calm.wait(frames=1)
    # One for whoever came first, then at most one for everybody else before it.
    assert turns[0] <= 3


def test_persons_are_not_mixed_in_a_batch(house: House) -> None:
    seen = Collector()
    first, second = house.engine.open("one", seen.on_frame), house.engine.open("two", seen.on_frame)
    for _ in range(3):
        first.push(FIRST)
        second.push(FIRST)
    seen.wait(frames=2)
    assert all(state is first.state() for batch in house.runners[0].batches for state in batch)
    assert all(state is second.state() for batch in house.runners[1].batches for state in batch)


def test_clear_discards_what_is_being_made_and_counts_on(house: House) -> None:
    runner, seen = house.runners[0], Collector()
    runner.gate.clear()
    session = house.engine.open("one", seen.on_frame)
    session.push(FIRST)
    assert runner.entered.wait(20)
    assert session.clear() == session.generation == 1
    session.push(TICK)
    runner.gate.set()
    seen.wait(frames=1)
    assert [(frame.index, frame.generation) for frame in seen.frames] == [(1, 1)]
    assert session.stats().discarded == 1


def test_a_session_that_fails_ends_alone(house: House) -> None:
    good, bad = Collector(), Collector()
    healthy = house.engine.open("one", good.on_frame, on_error=good.on_error)
    broken = house.engine.open("one", bad.on_frame, on_error=bad.on_error)
    broken.push(np.full(1600, np.nan, np.float32))
    bad.wait(errors=1)
    assert "broken" in str(bad.errors[0])
    assert broken.stats().failed == "RuntimeError: broken"
    broken.push(FIRST)
    healthy.push(FIRST)
    good.wait(frames=1)
    assert not good.errors and not bad.frames


def test_a_receiver_that_raises_ends_its_own_session(house: House) -> None:
    good, bad = Collector(), Collector()

    def on_frame(frame: Frame) -> None:
        raise ValueError("no room")

    broken = house.engine.open("one", on_frame, on_error=bad.on_error)
    healthy = house.engine.open("one", good.on_frame)
    broken.push(FIRST)
    bad.wait(errors=1)
    healthy.push(FIRST)
    good.wait(frames=1)


def test_a_runner_that_raises_ends_its_batch_and_nothing_else(house: House) -> None:
    bad, good = Collector(), Collector()
    house.runners[0].fail_batch = True
    house.engine.open("one", bad.on_frame, on_error=bad.on_error).push(FIRST)
    bad.wait(errors=1)
    house.engine.open("two", good.on_frame).push(FIRST)
    good.wait(frames=1)


def test_opening_does_not_wait_for_the_state(house: House) -> None:
    """It is made on the engine's thread, before the first tick where there is time."""
    runner, seen = house.runners[0], Collector()
    caller, made = threading.get_ident(), threading.Event()
    initial_state = runner.initial_state

    def slow(seed: int | None, lookahead_ms: int | None = None) -> SessionState:
        assert threading.get_ident() != caller
        assert runner.gate.wait(20)
        made.set()
        return initial_state(seed, lookahead_ms)

    runner.initial_state = slow  # type: ignore[method-assign]
    runner.gate.clear()
    session = house.engine.open("one", seen.on_frame)
    assert not made.is_set()
    runner.gate.set()
    assert made.wait(20)
    session.push(FIRST)
    seen.wait(frames=1)


def test_a_state_that_cannot_be_made_ends_its_session(house: House) -> None:
    def broken(seed: int | None, lookahead_ms: int | None = None) -> SessionState:
        raise ValueError("no picture")

    house.runners[0].initial_state = broken  # type: ignore[method-assign]
    bad, good = Collector(), Collector()
    house.engine.open("one", bad.on_frame, on_error=bad.on_error)
    bad.wait(errors=1)
    assert "no picture" in str(bad.errors[0])
    house.engine.open("two", good.on_frame).push(FIRST)
    good.wait(frames=1)


def test_places_are_counted_and_given_back() -> None:
    house = House("one", capacity=2)
    first = house.engine.open("one", Collector().on_frame)
    house.engine.open("one", Collector().on_frame)
    with pytest.raises(EngineFull, match="All 2 places"):
        house.engine.open("one", Collector().on_frame)
    first.close()
    first.close()
    house.engine.open("one", Collector().on_frame)
    with pytest.raises(EngineFull):
        house.engine.open("one", Collector().on_frame)
    house.engine.close()


def test_a_failed_session_gives_its_place_back() -> None:
    house, bad = House("one", capacity=1), Collector()
    house.engine.open("one", bad.on_frame, on_error=bad.on_error).push(
        np.full(1600, np.nan, np.float32)
    )
    bad.wait(errors=1)
    house.engine.open("one", Collector().on_frame)
    house.engine.close()


@pytest.mark.parametrize(("rate", "capacity"), [(10.0, 1), (41.0, 1), (84.0, 2), (1000.0, 24)])
def test_capacity_is_what_was_measured(rate: float, capacity: int) -> None:
    engine = LocalEngine(
        [person()], threads=1, _make_runner=lambda person: FakeRunner(person, rate)
    )
    assert engine.capacity() == capacity
    engine.close()


def test_more_threads_share_the_sessions() -> None:
    house = House("one", capacity=None, threads=2)
    assert house.engine.capacity() == 48  # twice 1000 frames/s
    (runner,) = house.runners
    both = [runner, *runner.twins]
    seen = Collector()
    for session in [house.engine.open("one", seen.on_frame) for _ in range(4)]:
        session.push(FIRST)
    seen.wait(frames=4)
    assert [sum(map(len, runner.batches)) for runner in both] == [2, 2]
    assert both[0].threads.isdisjoint(both[1].threads)
    house.engine.close()


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_half_of_the_cores_are_for_the_engine(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    monkeypatch.setattr("visavis.engines.local.thread_count", lambda: cores)
    before = threading.active_count()
    engine = LocalEngine([person()], _make_runner=FakeRunner)
    assert threading.active_count() - before == threads
    engine.close()


def test_everything_is_warm_before_the_first_session(house: House) -> None:
    assert [runner.warmed for runner in house.runners] == [MAX_BATCH, MAX_BATCH]


def test_unknown_persons_are_named(house: House) -> None:
    with pytest.raises(UnknownPerson, match="known: one, two"):
        house.engine.open("three", Collector().on_frame)


def test_an_engine_needs_persons_with_different_names() -> None:
    for persons in ([], [person("one"), person("one")]):
        with pytest.raises(ConfigError, match="at least one person"):
            LocalEngine(persons, _make_runner=FakeRunner)


@pytest.mark.parametrize("pcm", [np.zeros(4), np.zeros((2, 2), np.float32), np.zeros(4, np.int16)])
def test_other_audio_is_refused(house: House, pcm: np.ndarray) -> None:  # type: ignore[type-arg]
    session = house.engine.open("one", Collector().on_frame)
    with pytest.raises(EngineError, match="float32"):
        session.push(pcm)


def test_the_pushed_array_may_be_used_again(house: House) -> None:
    seen = Collector()
    session = house.engine.open("one", seen.on_frame)
    pcm = np.zeros(1000, np.float32)
    session.push(pcm)
    pcm[:] = np.nan
    session.push(np.zeros(600, np.float32))
    seen.wait(frames=1)


def test_closing_ends_the_thread_and_frees_the_sessions() -> None:
    house, seen = House("one"), Collector()
    before = threading.active_count()
    session = house.engine.open("one", seen.on_frame)
    session.push(FIRST)
    seen.wait(frames=1)
    house.engine.close()
    house.engine.close()
    assert threading.active_count() == before - 1
    session.push(FIRST)
    session.close()
    assert session.clear() == 1
    with pytest.raises(EngineError, match="closed"):
        house.engine.open("one", seen.on_frame)
    gone = weakref.ref(session)
    house.runners.clear()
    del session
    assert gone() is None


def test_the_engine_may_be_closed_from_its_own_thread() -> None:
    house, closed = House("one"), threading.Event()

    def on_frame(frame: Frame) -> None:
        house.engine.close()
        closed.set()

    house.engine.open("one", on_frame).push(FIRST)
    assert closed.wait(20)
    until(lambda: not any(t.name.startswith("visavis-engine") for t in threading.enumerate()))


def test_a_closed_session_gets_nothing_more(house: House) -> None:
    runner, seen = house.runners[0], Collector()
    runner.gate.clear()
    session = house.engine.open("one", seen.on_frame)
    session.push(FIRST)
    assert runner.entered.wait(20)
    session.close()
    runner.gate.set()
    other = Collector()
    house.engine.open("one", other.on_frame).push(FIRST)
    other.wait(frames=1)
    assert not seen.frames


def test_audio_without_end_does_not_fill_memory(house: House) -> None:
    runner, seen = house.runners[0], Collector()
    runner.gate.clear()
    session = house.engine.open("one", seen.on_frame)
    for _ in range(100):
        session.push(np.zeros(16000, np.float32))
    stats = session.stats()
    assert session.timeline.pending_samples <= 320000
    assert stats.dropped_samples >= 100 * 16000 - 320000 - 1600
    runner.gate.set()
    until(lambda: session.stats().rendered >= 1)
