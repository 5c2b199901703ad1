"""A remote engine is an engine: whoever holds one sees no difference to a local one."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.engines import fakes
from tests.engines.fakes import Collector
from tests.engines.remote.pairs import QUICK, House, house, sound, until
from tests.engines.remote.tick_engine import BREAK, TickEngine, person
from visavis.engines.client import PHASES, EngineClient, EngineSession, Frame
from visavis.engines.errors import (
    EngineAway,
    EngineError,
    EngineFull,
    UnknownLookahead,
    UnknownPerson,
)
from visavis.engines.local import LocalEngine
from visavis.engines.pipeline import SessionState, Work
from visavis.engines.remote.client import RemoteEngine
from visavis.engines.timeline import MAX_PENDING_SAMPLES


class Rooms:
    """An engine, its host and a client."""

    def __init__(self, house: House, engine: TickEngine) -> None:
        self.house, self.engine, self.client = house, engine, house.client()


@pytest.fixture
def rooms() -> Iterator[Rooms]:
    engine = TickEngine()
    with house(engine) as built:
        yield Rooms(built, engine)
        engine.gate.set()
        engine.resume()


class DigestRunner(fakes.FakeRunner):
    """Pictures that are a digest of all that a session has heard."""

    def initial_state(self, seed: int | None, lookahead_ms: int | None = None) -> SessionState:
        state = super().initial_state(seed, lookahead_ms)
        state.audio = hashlib.sha256(str(seed).encode())
        return state

    def advance(self, work: Sequence[Work]) -> None:
        for item in work:
            item.state.audio.update(item.pcm.tobytes() + bytes([item.cleared]))
            item.speech = float(np.abs(item.pcm).max())
            if item.render:
                digest = np.frombuffer(item.state.audio.digest(), np.uint8)
                item.i420 = np.resize(digest, (96, 64))


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[LocalEngine, RemoteEngine]]:
    """One real engine, near and far."""
    local = LocalEngine([fakes.person()], capacity=64, threads=1, make_runner=DigestRunner)
    with house(local) as built:
        yield local, built.client()


def play(engine: EngineClient, lookahead_ms: int, seed: int, steps: list[int | None]) -> list[Any]:
    """Push chunks and clear where there is None, and let each frame come before the next step."""
    seen = Collector()
    session = engine.open("sample", seen.on_frame, lookahead_ms=lookahead_ms, seed=seed)
    voice, pushed, expected, shown = sound(sum(step or 0 for step in steps), seed), 0, 0, 0
    for step in steps:
        if step is None:
            session.clear()
            continue
        session.push(voice[pushed : pushed + step])
        pushed += step
        ticks = max(0, (pushed - 16 * lookahead_ms) // 640 + 1)
        shown += min(2, ticks - expected)
        expected = ticks
        seen.wait(frames=shown)
    session.close()
    return [
        (frame.index, frame.generation, frame.speech, frame.i420.tobytes()) for frame in seen.frames
    ]


@given(
    lookahead_ms=st.sampled_from([40, 100, 200]),
    seed=st.integers(0, 2**32),
    steps=st.lists(
        st.one_of(st.integers(0, 700), st.integers(0, 4000), st.none()), min_size=1, max_size=12
    ),
)
@settings(max_examples=40, deadline=None)
def test_any_chunks_give_the_frames_of_the_local_engine(
    both: tuple[LocalEngine, RemoteEngine],
    lookahead_ms: int,
    seed: int,
    steps: list[int | None],
) -> None:
    near, far = (play(engine, lookahead_ms, seed, [6400, *steps]) for engine in both)
    assert near and near == far


def test_it_says_what_the_engine_says(rooms: Rooms) -> None:
    client: EngineClient = rooms.client
    assert tuple(client.persons()) == rooms.engine.infos
    assert (client.capacity(), client.load()) == (16, rooms.engine.load())
    assert client.poster("ben") == b"poster of ben"
    assert client.preview("ada") == b"moving " * 100_000
    assert client.preview("ben") is None
    client.prepare("ben")
    assert rooms.engine.prepared == ["ben"]
    for ask in (client.poster, client.preview, client.prepare):
        with pytest.raises(UnknownPerson, match="'eve'; known: ada, ben"):
            ask("eve")


def test_a_list_that_changes_is_learnt(rooms: Rooms) -> None:
    rooms.engine.infos += (person("cleo"),)
    # At once by whoever names her, and soon by whoever reads the list.
    rooms.client.open("cleo", Collector().on_frame)
    rooms.engine.infos += (person("dora"),)
    until(lambda: len(rooms.client.persons()) == 4)


def test_thousands_of_persons_are_listed() -> None:
    engine = TickEngine(tuple(person(f"person-{number}") for number in range(3000)))
    with house(engine) as built:
        assert tuple(built.client().persons()) == engine.infos


def test_a_session_is_what_was_asked_for(rooms: Rooms) -> None:
    seen = Collector()
    session: EngineSession = rooms.client.open("ben", seen.on_frame, lookahead_ms=200, seed=5)
    session.push(sound(3199))
    session.push(sound(1, 1))
    seen.wait(frames=1)
    assert seen.frames[0].i420.shape == (72, 96)
    local = Collector()
    rooms.engine.open("ben", local.on_frame, lookahead_ms=200, seed=5).push(
        np.concatenate((sound(3199), sound(1, 1)))
    )
    local.wait(frames=1)
    np.testing.assert_array_equal(seen.frames[0].i420, local.frames[0].i420)
    seen.frames[0].i420[:] = 0  # it is the receiver's


def test_what_is_refused_takes_no_slot(rooms: Rooms) -> None:
    client = rooms.house.client(slots=1)
    take = Collector().on_frame
    with pytest.raises(UnknownPerson, match="'eve'"):
        client.open("eve", take)
    with pytest.raises(UnknownLookahead, match="not by 60"):
        client.open("ada", take, lookahead_ms=60)
    session = client.open("ada", take)
    with pytest.raises(EngineFull, match="The only place"):
        client.open("ada", take)
    session.close()
    session.close()
    client.open("ada", take).close()
    until(lambda: not rooms.engine.sessions)


def test_the_engines_places_are_everybodys() -> None:
    engine = TickEngine(capacity=3)
    with house(engine) as built:
        one, other = built.client(), built.client()
        sessions = [client.open("ada", Collector().on_frame) for client in (one, other, one)]
        with pytest.raises(EngineFull, match="All 3 places"):
            other.open("ada", Collector().on_frame)
        sessions[0].close()
        until(lambda: len(engine.sessions) == 2)
        other.open("ada", Collector().on_frame)


def test_the_front_only_asks(rooms: Rooms) -> None:
    front = rooms.house.client(slots=0)
    front.prepare("ada")
    with pytest.raises(EngineFull):
        front.open("ada", Collector().on_frame)


def test_sessions_of_every_phase_get_their_own_frames(rooms: Rooms) -> None:
    seen = [Collector() for _ in range(6)]
    sessions = [rooms.client.open("ada", one.on_frame, seed=n) for n, one in enumerate(seen)]
    assert {session.phase for session in sessions} == set(range(PHASES))
    for number, session in enumerate(sessions):
        session.push(sound(1600, number))
    for one in seen:
        one.wait(frames=1)
    assert len({one.frames[0].i420.tobytes() for one in seen}) == 6
    assert all(one.indices == [0] for one in seen)


def test_clear_begins_a_generation_and_counts_on(rooms: Rooms) -> None:
    rooms.engine.pause()
    seen, local = Collector(), Collector()
    session = rooms.client.open("ada", seen.on_frame, seed=1)
    session.push(sound(1600))
    assert [session.clear(), session.clear()] == [1, 2] and session.generation == 2
    session.push(sound(640, 1))
    rooms.engine.resume()
    seen.wait(frames=2)
    assert [(frame.index, frame.generation) for frame in seen.frames] == [(0, 2), (1, 2)]
    # What was said before is silent, what was said after is heard.
    near = rooms.engine.open("ada", local.on_frame, seed=1)
    near.clear()
    near.push(np.concatenate((np.zeros(1600, np.float32), sound(640, 1))))
    local.wait(frames=2)
    np.testing.assert_array_equal(seen.frames[1].i420, local.frames[1].i420)


def test_a_frame_that_clear_has_overtaken_is_counted(rooms: Rooms) -> None:
    """It lies in a slot already."""
    entered, free, seen = threading.Event(), threading.Event(), Collector()

    def slow(frame: Frame) -> None:
        entered.set()
        assert free.wait(20)
        seen.on_frame(frame)

    session = rooms.client.open("ada", slow)
    session.push(sound(1600))
    assert entered.wait(20)
    session.push(sound(640))
    (inner,) = rooms.engine.sessions
    until(lambda: inner.delivered == 2)
    session.clear()
    session.push(sound(640))
    until(lambda: inner.delivered == 3)
    free.set()
    seen.wait(frames=2)
    assert [(frame.index, frame.generation) for frame in seen.frames] == [(0, 0), (2, 1)]
    assert session.stats().discarded == 1


def test_a_slow_receiver_misses_the_oldest_and_they_are_counted(rooms: Rooms) -> None:
    entered, free, seen = threading.Event(), threading.Event(), Collector()

    def slow(frame: Frame) -> None:
        entered.set()
        assert free.wait(20)
        seen.on_frame(frame)

    session = rooms.client.open("ada", slow)
    session.push(sound(1600))
    assert entered.wait(20)
    (inner,) = rooms.engine.sessions
    for count in range(2, 8):
        session.push(sound(640))
        until(lambda count=count: inner.delivered == count)
    free.set()
    seen.wait(frames=4)
    assert seen.indices == [0, 4, 5, 6]
    stats = session.stats()
    assert (stats.rendered, stats.discarded) == (4, 3)


def test_the_engines_counters_arrive(rooms: Rooms) -> None:
    seen = Collector()
    session = rooms.client.open("ada", seen.on_frame)
    rooms.engine.pause()
    session.push(sound(1600))
    seen.wait(frames=0)
    session.push(np.zeros(MAX_PENDING_SAMPLES, np.float32))
    until(lambda: session.stats().dropped_samples)
    rooms.engine.resume()
    until(lambda: session.stats().skipped > 400)
    stats = session.stats()
    assert (stats.engine_ms_p50, stats.engine_ms_p95, stats.failed) == (1.5, 2.5, None)
    assert stats.dropped_samples >= 640


def test_a_session_that_fails_ends_alone(rooms: Rooms) -> None:
    good, bad = Collector(), Collector()
    healthy = rooms.client.open("ada", good.on_frame, on_error=good.on_error)
    broken = rooms.client.open("ada", bad.on_frame, on_error=bad.on_error)
    broken.push(np.full(1600, BREAK, np.float32))
    bad.wait(errors=1)
    assert str(bad.errors[0]) == "The session failed in the engine: broken."
    assert broken.stats().failed == str(bad.errors[0])
    broken.push(sound(640))
    healthy.push(sound(1600))
    good.wait(frames=1)
    assert not good.errors and not bad.frames
    until(lambda: len(rooms.engine.sessions) == 1 and rooms.client.state().resting == 0)


def test_a_receiver_that_raises_ends_its_own_session(rooms: Rooms) -> None:
    good, bad = Collector(), Collector()

    def on_frame(frame: Frame) -> None:
        raise ValueError("no room")

    broken = rooms.client.open("ada", on_frame, on_error=bad.on_error)
    healthy = rooms.client.open("ada", good.on_frame)
    broken.push(sound(1600))
    bad.wait(errors=1)
    assert "ValueError: no room" in str(bad.errors[0])
    healthy.push(sound(1600))
    good.wait(frames=1)
    until(lambda: len(rooms.engine.sessions) == 1)


@pytest.mark.parametrize("pcm", [np.zeros(4), np.zeros((2, 2), np.float32), np.zeros(4, np.int16)])
def test_other_audio_is_refused(rooms: Rooms, pcm: NDArray[Any]) -> None:
    with pytest.raises(EngineError, match="float32"):
        rooms.client.open("ada", Collector().on_frame).push(pcm)


def test_loading_delays_nobody_elses_questions(rooms: Rooms) -> None:
    rooms.engine.gate.clear()
    loading = [
        threading.Thread(target=rooms.client.prepare, args=(name,)) for name in ("ada", "ben") * 3
    ]
    for thread in loading:
        thread.start()
    seen = Collector()
    assert rooms.client.poster("ada")
    rooms.client.open("ada", seen.on_frame).push(sound(1600))
    seen.wait(frames=1)
    assert not rooms.engine.prepared
    rooms.engine.gate.set()
    for thread in loading:
        thread.join(20)
    assert len(rooms.engine.prepared) == 6


def test_an_answer_that_does_not_come_is_an_error(rooms: Rooms) -> None:
    hurried = rooms.house.client(deadlines=dataclasses.replace(QUICK, prepare=0.01))
    rooms.engine.gate.clear()
    with pytest.raises(EngineAway, match="try again"):
        hurried.prepare("ada")
    rooms.engine.gate.set()
    hurried.prepare("ben")


def test_the_end_of_a_client_frees_everything() -> None:
    engine = TickEngine()
    with house(engine) as built:
        keeps = built.client()
        before = _threads()
        client, seen = built.client(), Collector()
        session = client.open("ada", seen.on_frame)
        session.push(sound(1600))
        seen.wait(frames=1)
        client.close()
        client.close()
        until(lambda: not engine.sessions and _threads() == before)
        session.push(sound(640))
        session.close()
        assert session.clear() == 1
        with pytest.raises(EngineError, match="closed"):
            client.open("ada", seen.on_frame)
        gone = weakref.ref(session)
        built.clients.remove(client)
        del session, client
        until(lambda: gone() is None)  # a thread may be about to let go of it
        assert keeps.state().connected


def _threads() -> set[threading.Thread]:
    """All threads of workers, here and at the host; not those of its pools, which come and stay."""
    names = ("visavis-link", "visavis-keeper", "visavis-frames", "visavis-guest")
    return {thread for thread in threading.enumerate() if thread.name in names}


def test_a_client_may_be_closed_from_its_own_thread(rooms: Rooms) -> None:
    closed = threading.Event()
    client = rooms.house.client()

    def on_frame(frame: Frame) -> None:
        client.close()
        closed.set()

    client.open("ada", on_frame).push(sound(1600))
    assert closed.wait(20)
    until(lambda: not rooms.engine.sessions)


def test_without_an_engine_the_wait_has_an_end() -> None:
    before = set(threading.enumerate())
    with pytest.raises(EngineAway):
        RemoteEngine("/nowhere/engine", slots=1, wait_seconds=0.05, deadlines=QUICK)
    assert set(threading.enumerate()) == before
