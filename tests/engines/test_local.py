"""The engine's thread: batches, fairness, admission, barge-in, failures and the end."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tests.engines.fakes import Collector, FakeRunner, person, until
from visavis.engines.catalogue import FixedCatalogue
from visavis.engines.client import EngineClient, Frame
from visavis.engines.controls import Controls, ControlSpec
from visavis.engines.errors import (
    ConfigError,
    ControlError,
    DeviceLost,
    EngineError,
    EngineFull,
    NoRoom,
    UnknownLookahead,
    UnknownPerson,
)
from visavis.engines.local import MAX_BATCH, LocalEngine
from visavis.engines.person import Person
from visavis.engines.pipeline import SessionState, Work

FIRST = np.zeros(1600, np.float32)
TICK = np.zeros(640, np.float32)


class House:
    """An engine over fake runners."""

    def __init__(
        self, *names: str, capacity: int | None = 20, threads: int = 1, **options: Any
    ) -> None:
        self.runners: list[FakeRunner] = []
        self.engine = LocalEngine(
            [person(name) for name in names],
            capacity=capacity,
            threads=threads,
            make_runner=self._make,
            **options,
        )
        # In the order of the names; the default person is loaded last.
        self.runners.sort(key=lambda runner: names.index(runner.name))

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
    assert client.poster("one").startswith(b"\xff\xd8") and not first.has_preview


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
    assert [len(batch) for batch in runner.batches] == [1, MAX_BATCH, MAX_BATCH, 3]


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


@pytest.mark.parametrize(("rate", "capacity"), [(10.0, 1), (41.0, 1), (84.0, 2), (1001.0, 32)])
def test_capacity_is_what_was_measured(rate: float, capacity: int) -> None:
    engine = LocalEngine([person()], threads=1, make_runner=lambda person: FakeRunner(person, rate))
    assert engine.capacity() == capacity
    engine.close()


def test_more_threads_share_the_sessions() -> None:
    house = House("one", capacity=None, threads=2)
    # Twice 1000 frames/s, of which a fifth is left free.
    assert 2 * 31 <= house.engine.capacity() <= 64
    load = house.engine.load()
    assert (round(load.frames_per_s), load.threads, load.shares_cores) == (2000, 2, True)
    (runner,) = house.runners
    both = [runner, *runner.twins]
    seen = Collector()
    for session in [house.engine.open("one", seen.on_frame) for _ in range(4)]:
        session.push(FIRST)
    seen.wait(frames=4)
    assert [sum(map(len, runner.batches)) for runner in both] == [2, 2]
    assert both[0].threads.isdisjoint(both[1].threads)
    house.engine.close()


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (3, 2), (4, 3), (8, 6), (16, 12)])
def test_three_quarters_of_the_cores_are_for_the_engine(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    monkeypatch.setattr("visavis.engines.local.thread_count", lambda: cores)
    before = threading.active_count()
    engine = LocalEngine([person()], make_runner=FakeRunner)
    assert threading.active_count() - before == threads
    engine.close()


def test_everything_is_warm_before_the_first_session(house: House) -> None:
    # Who was loaded first is measured, and the other one of the same kind is run once.
    assert [(runner.warmed, runner.ready) for runner in house.runners] == [
        (0, MAX_BATCH),
        (MAX_BATCH, 0),
    ]


def test_unknown_persons_are_named(house: House) -> None:
    with pytest.raises(UnknownPerson, match="known: one, two"):
        house.engine.open("three", Collector().on_frame)


def test_an_engine_needs_persons_with_different_names() -> None:
    for persons in ([], [person("one"), person("one")]):
        with pytest.raises(ConfigError, match="at least one person"):
            LocalEngine(persons, make_runner=FakeRunner)


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


def test_phases_are_spread_and_given_back() -> None:
    house = House("one", "two", threads=1)
    names = ["one", "two"] * 4
    sessions = [house.engine.open(name, Collector().on_frame) for name in names]
    assert sorted(session.phase for session in sessions) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [session.phase for session in sessions[:4]] == [0, 1, 2, 3]
    for index in (2, 6):
        assert sessions[index].phase == 2
        sessions[index].close()
    assert [house.engine.open("one", Collector().on_frame).phase for _ in range(3)] == [2, 2, 0]
    house.engine.close()


def test_each_thread_has_all_phases() -> None:
    """With two threads, sessions that alternate between them do not meet in half the phases."""
    house = House("one", threads=2)
    sessions = [house.engine.open("one", Collector().on_frame) for _ in range(8)]
    by_thread: dict[int, list[int]] = {}
    for session in sessions:
        by_thread.setdefault(id(session.runner), []).append(session.phase)
    assert sorted(map(sorted, by_thread.values())) == [[0, 1, 2, 3], [0, 1, 2, 3]]
    assert sorted(session.phase for session in sessions) == [0, 0, 1, 1, 2, 2, 3, 3]
    house.engine.close()


def test_persons_whose_runners_share_a_key_share_a_batch() -> None:
    house = House("one", "two")
    for runner in house.runners:
        runner.batch_key = "shared"
    first, seen = house.runners[0], Collector()
    first.gate.clear()
    head = house.engine.open("one", seen.on_frame)
    head.push(FIRST)
    assert first.entered.wait(20)
    both = [house.engine.open(name, seen.on_frame) for name in ("two", "one")]
    for session in both:
        session.push(FIRST)
    first.gate.set()
    seen.wait(frames=3)
    # Whoever is oldest runs for both of them, here the second person's runner.
    assert [len(batch) for batch in first.batches] == [1]
    assert [len(batch) for batch in house.runners[1].batches] == [2]
    house.engine.close()


def test_a_batch_waits_for_its_group_where_that_is_asked_for() -> None:
    house = House("one", gather_s=30.0)
    seen, runner = Collector(), house.runners[0]
    sessions = [house.engine.open("one", seen.on_frame) for _ in range(5)]
    assert sessions[0].phase == sessions[4].phase == 0
    sessions[0].push(FIRST)
    sessions[1].push(FIRST)  # alone in its phase: as soon as it is the oldest
    assert not runner.batches
    sessions[4].push(FIRST)
    seen.wait(frames=3)
    assert len(runner.batches[0]) == 3
    house.engine.close()


def test_a_session_begins_a_little_at_a_time(house: House) -> None:
    """Others are not held up, and the first picture is not waited for by whoever opens."""
    runner, seen = house.runners[0], Collector()
    session = house.engine.open("one", seen.on_frame)
    until(lambda: not session.beginning)
    assert runner.pictures_ahead == 3 and not runner.batches
    session.push(FIRST)
    seen.wait(frames=1)
    assert runner.pictures_ahead == 3


def test_ticks_go_before_what_a_new_session_needs(house: House) -> None:
    runner, seen = house.runners[0], Collector()
    order: list[str] = []
    look_ahead, advance = runner.look_ahead, runner.advance

    def looked(state: SessionState) -> bool:
        order.append("ahead")
        if len(order) == 1:
            old.push(FIRST)
        return look_ahead(state)

    def advanced(work: Sequence[Work]) -> None:
        order.append("tick")
        advance(work)

    old = house.engine.open("one", seen.on_frame)
    until(lambda: not old.beginning)
    runner.look_ahead, runner.advance = looked, advanced  # type: ignore[method-assign]
    new = house.engine.open("one", seen.on_frame)
    until(lambda: not new.beginning)
    seen.wait(frames=1)
    assert order == ["ahead", "tick", "ahead", "ahead"]


def test_a_device_that_is_gone_is_told_of() -> None:
    lost: list[EngineError] = []
    house = House("one", on_lost=lost.append)

    def gone(work: Sequence[Work]) -> None:
        raise DeviceLost("the GPU has fallen off the bus")

    house.runners[0].advance = gone  # type: ignore[method-assign]
    bad = Collector()
    house.engine.open("one", bad.on_frame, on_error=bad.on_error).push(FIRST)
    bad.wait(errors=1)
    until(lambda: len(lost) == 1)
    assert "bus" in str(lost[0]) and isinstance(bad.errors[0], DeviceLost)
    house.engine.close()


def test_a_person_is_loaded_when_a_session_wants_them() -> None:
    house = House("one", "two", memory_bytes=1)
    assert [runner.name for runner in house.runners] == ["one", "two"]
    seen = Collector()
    session = house.engine.open("one", seen.on_frame)  # the default person was loaded last
    assert len(house.runners) == 2 and house.engine.residents().loaded == 1
    with pytest.raises(NoRoom):
        house.engine.open("two", seen.on_frame)
    session.close()
    house.engine.open("two", seen.on_frame).push(FIRST)
    seen.wait(frames=1)
    assert house.runners[-1].name == "two" and len(house.runners) == 3
    house.engine.close()


def test_where_nothing_opens_no_place_is_taken() -> None:
    house = House("one", "two", memory_bytes=1, capacity=2)
    house.engine.open("one", Collector().on_frame)
    for name, error in (("two", NoRoom), ("three", UnknownPerson)) * 3:
        with pytest.raises(error):
            house.engine.open(name, Collector().on_frame)
    house.engine.open("one", Collector().on_frame)
    # Full: nobody is loaded for somebody who finds no place.
    loads = house.engine.residents().loads
    with pytest.raises(EngineFull):
        house.engine.open("two", Collector().on_frame)
    assert house.engine.residents().loads == loads
    house.engine.close()


def test_a_dearer_person_lowers_the_capacity_and_a_cheaper_one_does_not_raise_it() -> None:
    rates = {"one": 1001.0, "two": 251.0, "three": 4001.0}
    made: list[FakeRunner] = []

    def make(person: Person) -> FakeRunner:
        made.append(FakeRunner(person, rates[person.name]))
        made[-1].kind = person.name
        return made[-1]

    class Later(FixedCatalogue):
        def given(self) -> tuple[str, ...]:
            return ("one",)

    catalogue = Later([person(name) for name in rates])
    engine = LocalEngine(catalogue, threads=1, make_runner=make)
    assert engine.capacity() == 32
    engine.prepare("three")
    assert engine.capacity() == 32
    engine.prepare("two")
    assert engine.capacity() == 8 and round(engine.load().frames_per_s) == 251
    engine.close()


def test_a_choice_is_shown_from_the_next_tick_on(house: House) -> None:
    runner = house.runners[0]
    start = Controls(head="own")
    runner.controls = ControlSpec(heads=("own", "still"), performances=("wave",), start=start)
    seen = Collector()
    session = house.engine.open("one", seen.on_frame)
    before = session.control({})
    assert before == {"style": None, "head": "own", "performance": None, "matte": False}
    session.push(FIRST)
    seen.wait(frames=1)
    made = session.control({"head": "still", "performance": "wave"})
    assert made == {"style": None, "head": "still", "performance": "wave", "matte": False}
    with pytest.raises(ControlError, match="no head 'driven'"):
        session.control({"head": "driven"})
    for count in (2, 3):
        session.push(TICK)
        seen.wait(frames=count)
    (state,) = {id(state): state for batch in runner.batches for state in batch}.values()
    assert state.controls == Controls(head="still", performance=0)
    # Told once, between two ticks, on the engine's thread; never while one is being made.
    assert runner.told == [state.controls] and runner.told_on <= runner.threads
    session.close()
    with pytest.raises(EngineError, match="has ended"):
        session.control({})


def test_what_is_chosen_before_the_first_tick_counts(house: House) -> None:
    runner = house.runners[0]
    runner.controls = ControlSpec(heads=("own", "still"), start=Controls(head="own"))
    seen = Collector()
    session = house.engine.open("one", seen.on_frame)
    session.control({"head": "still"})
    session.push(FIRST)
    seen.wait(frames=1)
    assert runner.batches[0][0].controls.head == "still"


def test_a_session_knows_its_persons_pace(house: House) -> None:
    session = house.engine.open("one", Collector().on_frame)
    assert session.pace == pytest.approx(house.runners[0].rate)
