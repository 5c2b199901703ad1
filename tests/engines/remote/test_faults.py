"""What breaks, and who goes on all the same; in one process. Real ones: `test_processes`."""

from __future__ import annotations

import gc
import json
import os
import socket
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines import fakes
from tests.engines.fakes import Collector
from tests.engines.remote.pairs import house, sound, until
from tests.engines.remote.tick_engine import DEVICE_LOST, TickEngine, person
from visavis.engines.client import PHASES
from visavis.engines.errors import DeviceLost, EngineAway, EngineError, EngineFull
from visavis.engines.local import LocalEngine
from visavis.engines.pipeline import Work
from visavis.engines.remote.channel import Channel, Packet, decode_error
from visavis.engines.remote.client import Deadlines, RemoteEngine
from visavis.engines.remote.host import EngineHost
from visavis.engines.remote.layout import INPUT_SIZE, VERSION
from visavis.engines.remote.memory import map_writable
from visavis.engines.remote.session import RemoteSession

FIRST, TICK = 1600, 640


@pytest.fixture(autouse=True)
def no_garbage() -> None:
    """What other tests left must not be counted here."""
    gc.collect()


def speak(session: RemoteSession, voice: NDArray[np.float32], seen: Collector, ticks: int) -> None:
    """Push a voice tick by tick, each when the one before is shown."""
    session.push(voice[:FIRST])
    seen.wait(frames=1)
    for tick in range(ticks - 1):
        start = FIRST + TICK * tick
        session.push(voice[start : start + TICK])
        seen.wait(frames=tick + 2)


def test_sessions_outlive_their_engine() -> None:
    """Indices and generations go on, and what was said meanwhile is not shown later."""
    with house(TickEngine()) as built:
        client, seen = built.client(), Collector()
        session = client.open("ada", seen.on_frame, seed=4, on_error=seen.on_error)
        voice, at = sound(64_000), FIRST + 4 * TICK
        speak(session, voice, seen, 5)
        before = session.stats()
        built.end_engine()
        until(lambda: client.state().resting == 1)
        assert client.persons() and client.capacity() == 16
        for ask in (client.prepare, client.poster, lambda name: client.open(name, seen.on_frame)):
            with pytest.raises(EngineAway):
                ask("ada")

        # 100 samples more than whole ticks: the engine will not hear them.
        session.push(voice[at : at + 100])
        at += 100
        for count in range(6, 9):
            session.push(voice[at : at + TICK])
            at += TICK
            seen.wait(frames=count)
        assert session.clear() == 1
        session.push(voice[at : at + TICK])
        at += TICK
        seen.wait(frames=9)
        assert [frame.generation for frame in seen.frames[5:]] == [0, 0, 0, 1]
        assert all(frame.speech == 0.0 for frame in seen.frames[5:])

        engine = TickEngine()
        built.begin_engine(engine)
        until(lambda: session.place is not None)
        assert engine.prepared == ["ada"]
        begins = -(-at // TICK) * TICK
        while at < len(voice) - TICK:
            session.push(voice[at : at + TICK])
            at += TICK
            seen.wait(frames=len(seen.frames) + 1 if len(seen.frames) < 9 else 9)
            until(lambda at=at: seen.indices[-1] == (at - FIRST) // TICK)
        assert seen.indices == list(range(len(seen.frames)))
        assert {frame.generation for frame in seen.frames[8:]} == {1}

        local = Collector()
        near = TickEngine().open("ada", local.on_frame, seed=4)
        speak_all = voice[begins:at]
        near.push(speak_all[:FIRST])
        local.wait(frames=1)
        first = seen.frames[begins // TICK]
        np.testing.assert_array_equal(first.i420, local.frames[0].i420)
        assert (first.index, first.speech) == (begins // TICK, local.frames[0].speech)
        after = session.stats()
        assert after.rendered == len(seen.frames) - begins // TICK + before.rendered
        assert client.state().connections == 2 and not seen.errors


def test_what_the_dead_engine_has_published_is_shown() -> None:
    engine = TickEngine()
    with house(engine) as built:
        client, seen, entered, free = built.client(), Collector(), *_two_events()

        def slow(frame: Any) -> None:
            entered.set()
            assert free.wait(20)
            seen.on_frame(frame)

        session = client.open("ada", slow)
        session.push(sound(FIRST))
        assert entered.wait(20)
        (inner,) = engine.sessions
        session.push(sound(TICK, 1))
        until(lambda: inner.delivered == 2)
        built.end_engine()
        until(lambda: session.place is None)
        session.push(sound(TICK, 2))
        free.set()
        seen.wait(frames=3)
        assert seen.indices == [0, 1, 2]
        # Nobody has recorded her at rest: the last picture stands still.
        speeches = [frame.speech for frame in seen.frames]
        assert speeches[0] > 0 and speeches[1] > 0 and speeches[2] == 0
        np.testing.assert_array_equal(seen.frames[2].i420, seen.frames[1].i420)


def _two_events() -> tuple[threading.Event, threading.Event]:
    return threading.Event(), threading.Event()


def test_a_session_waits_for_a_place_in_the_next_engine() -> None:
    with house(TickEngine()) as built:
        client = built.client()
        seen = [Collector() for _ in range(3)]
        sessions = [client.open("ada", one.on_frame, on_error=one.on_error) for one in seen]
        built.end_engine()
        until(lambda: client.state().resting == 3)
        built.begin_engine(TickEngine(capacity=2))
        until(lambda: client.state().resting == 1)
        (waiting,) = [session for session in sessions if session.place is None]
        next(session for session in sessions if session.place is not None).close()
        until(lambda: waiting.place is not None)
        assert not any(one.errors for one in seen)


def test_a_session_whose_person_is_gone_ends() -> None:
    with house(TickEngine()) as built:
        client, good, bad = built.client(), Collector(), Collector()
        stays = client.open("ada", good.on_frame, on_error=good.on_error)
        client.open("ben", bad.on_frame, on_error=bad.on_error)
        built.end_engine()
        built.begin_engine(TickEngine((person("ada"),)))
        bad.wait(errors=1)
        assert "'ben'" in str(bad.errors[0])
        until(lambda: stays.place is not None)
        assert not good.errors and [info.name for info in client.persons()] == ["ada"]


def test_a_person_of_another_size_ends_their_sessions() -> None:
    with house(TickEngine()) as built:
        client, bad = built.client(), Collector()
        client.open("ada", bad.on_frame, on_error=bad.on_error)
        built.end_engine()
        engine = TickEngine((person("ada", width=128),))
        built.begin_engine(engine)
        bad.wait(errors=1)
        assert "another size" in str(bad.errors[0])
        until(lambda: not engine.sessions)


def test_a_worker_that_dies_leaves_nothing_and_nobody_notices() -> None:
    engine = TickEngine()
    with house(engine) as built:
        stays, dies, seen = built.client(), built.client(), Collector()
        session = stays.open("ada", seen.on_frame)
        speak(session, sound(64_000), seen, 2)
        before, maps = len(os.listdir("/proc/self/fd")), _maps()
        lost = Collector()
        for number in range(5):
            dies.open("ada", lost.on_frame).push(sound(FIRST, number))
        lost.wait(frames=5)
        assert _maps() > maps
        dies.close()  # of what the host sees, the end of a socket
        until(lambda: len(engine.sessions) == 1)
        until(lambda: _maps() <= maps and len(os.listdir("/proc/self/fd")) < before)
        session.push(sound(TICK))
        seen.wait(frames=3)


def _maps() -> int:
    with open("/proc/self/maps") as maps:
        return sum("visavis-" in line for line in maps)


class Worker:
    """A worker that says what it likes."""

    def __init__(self, host: EngineHost, slots: int | None = 8) -> None:
        ours, self.raw = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        host.adopt(ours)
        self.channel = Channel(self.raw, take_fds=True)
        self.raw.settimeout(20)
        if slots is not None:
            hello = self.ask({"op": "hello", "id": 1, "version": VERSION, "slots": slots})
            self.to_engine = hello.fds[:PHASES]
            self.fds = list(hello.fds)

    def ask(self, body: dict[str, Any]) -> Packet:
        self.channel.send(body)
        packet = self.channel.receive()
        assert packet is not None and packet.body.get("id") == body.get("id")
        return packet

    def open(self, number: int = 1) -> NDArray[np.uint8]:
        """Open a session; return its input."""
        packet = self.ask({"op": "open", "id": 9, "session": number, "person": "ada"})
        self.fds += packet.fds
        return map_writable(packet.fds[0], INPUT_SIZE)

    def ring(self) -> None:
        for fd in self.to_engine:
            os.eventfd_write(fd, 1)

    def close(self) -> None:
        for fd in getattr(self, "fds", ()):
            os.close(fd)
        self.channel.close()


@pytest.mark.parametrize("seed", range(3))
def test_a_worker_that_scribbles_harms_itself_alone(seed: int) -> None:
    engine = TickEngine()
    with house(engine) as built:
        client, seen = built.client(), Collector()
        session = client.open("ada", seen.on_frame)
        assert built.host is not None
        worker, random = Worker(built.host), np.random.default_rng(seed)
        memory = worker.open()
        memory[:] = random.integers(0, 256, len(memory))
        worker.ring()
        packet = worker.channel.receive()
        assert packet is not None and packet.body["event"] == "failed"
        assert "ring of samples is damaged" in str(decode_error(packet.body["error"]))
        # Its connection is as good as before, and so is everybody else.
        worker.open(2)
        speak(session, sound(64_000), seen, 3)
        worker.close()
        until(lambda: len(engine.sessions) == 1)


@pytest.mark.parametrize(
    "body",
    [
        {"op": "rule", "id": 2},
        {"op": ["open"], "id": 2},
        {"op": "open"},
        {"op": "open", "id": -1},
        {"op": "open", "id": True},
        {"op": "close", "session": "all"},
        {},
    ],
)
def test_a_worker_that_talks_nonsense_is_cut_off_alone(body: dict[str, Any]) -> None:
    engine = TickEngine()
    with house(engine) as built:
        assert built.host is not None
        worker, other = Worker(built.host), Worker(built.host)
        worker.open()
        worker.channel.send(body)
        assert worker.channel.receive() is None
        until(lambda: not engine.sessions)
        other.open()
        worker.close()
        other.close()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "no sensible 'session'"),
        ({"session": 1}, "a session of that number"),
        ({"session": 2, "person": 7}, "names no person"),
        ({"session": 2, "person": "x" * 1000}, "names no person"),
        ({"session": 2, "person": "eve"}, "no person named 'eve'"),
        ({"session": 2, "lookahead_ms": 1e9}, "no sensible 'lookahead_ms'"),
        ({"session": 2, "seed": "lucky"}, "no sensible 'seed'"),
    ],
)
def test_a_wish_without_sense_is_refused_with_a_sentence(
    fields: dict[str, Any], sentence: str
) -> None:
    engine = TickEngine()
    with house(engine) as built:
        assert built.host is not None
        worker = Worker(built.host)
        worker.open(1)
        answer = worker.ask({"op": "open", "id": 3, "person": "ada", **fields})
        assert sentence in str(decode_error(answer.body["error"]))
        assert len(engine.sessions) == 1
        worker.close()


def test_nothing_is_said_before_hello_and_in_another_version() -> None:
    with house(TickEngine()) as built:
        assert built.host is not None
        silent, old = Worker(built.host, slots=None), Worker(built.host, slots=None)
        silent.channel.send({"op": "ping", "id": 1})
        assert silent.channel.receive() is None
        answer = old.ask({"op": "hello", "id": 1, "version": VERSION + 1, "slots": 1})
        assert "different versions" in str(decode_error(answer.body["error"]))
        silent.close()
        old.close()


def test_a_worker_that_does_not_read_is_cut_off() -> None:
    with house(TickEngine()) as built:
        assert built.host is not None
        worker = Worker(built.host)
        with pytest.raises(OSError):
            for number in range(100_000):
                worker.channel.send({"op": "ping", "id": number})
        worker.close()


def test_slots_are_counted_by_the_engine_too() -> None:
    with house(TickEngine()) as built:
        assert built.host is not None
        worker = Worker(built.host, slots=2)
        worker.open(1), worker.open(2)
        answer = worker.ask({"op": "open", "id": 3, "session": 3, "person": "ada"})
        assert isinstance(decode_error(answer.body["error"]), EngineFull)
        worker.close()


def test_without_memory_for_one_more_the_others_go_on() -> None:
    engine = TickEngine(memory_for=2)
    with house(engine) as built:
        client = built.client()
        seen = [Collector(), Collector()]
        sessions = [client.open("ada", one.on_frame) for one in seen]
        maps = _maps()
        for _ in range(3):
            with pytest.raises(EngineFull, match="All 2 places are taken"):
                client.open("ada", Collector().on_frame)
        assert _maps() <= maps
        for session, one in zip(sessions, seen, strict=True):
            speak(session, sound(64_000), one, 2)
        sessions[0].close()
        until(lambda: len(engine.sessions) == 1)
        client.open("ada", Collector().on_frame)


def test_without_memory_for_any_session_it_is_said_so() -> None:
    with house(TickEngine(memory_for=0)) as built:
        client = built.client()
        with pytest.raises(EngineError, match="no memory for a session"):
            client.open("ada", Collector().on_frame)


def test_without_shared_memory_for_one_more_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TickEngine()
    with house(engine) as built:
        client, seen = built.client(), Collector()
        session = client.open("ada", seen.on_frame)

        def full(*what: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "posix_fallocate", full)
            with pytest.raises(EngineFull, match="The only place"):
                client.open("ada", Collector().on_frame)
        speak(session, sound(64_000), seen, 2)
        assert len(engine.sessions) == 1


def test_a_lost_device_is_said_to_the_process_and_not_to_the_sessions() -> None:
    lost: list[DeviceLost] = []
    with house(TickEngine(), on_device_lost=lost.append) as built:
        client = built.client()
        seen = [Collector(), Collector()]
        sessions = [client.open("ada", one.on_frame, on_error=one.on_error) for one in seen]
        for session in sessions:
            session.push(np.full(FIRST, DEVICE_LOST, np.float32))
        until(lambda: lost)
        built.end_engine()
        until(lambda: client.state().resting == 2)
        assert len(lost) == 1 and not any(one.errors for one in seen)
        built.begin_engine(TickEngine())
        until(lambda: client.state().resting == 0)


class LostRunner(fakes.FakeRunner):
    def advance(self, work: Sequence[Work]) -> None:
        raise DeviceLost("The device is gone.")


def test_a_runner_says_that_the_device_is_lost() -> None:
    lost: list[DeviceLost] = []
    local = LocalEngine([fakes.person()], threads=1, make_runner=LostRunner)
    with house(local, on_device_lost=lost.append) as built:
        client, seen = built.client(), Collector()
        session = client.open("sample", seen.on_frame, on_error=seen.on_error)
        session.push(sound(FIRST))
        until(lambda: lost)
        assert str(lost[0]) == "The device is gone." and not seen.errors


class Liar:
    """Something at the other end that is no engine of ours."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = answers
        self.ends: list[socket.socket] = []

    def connect(self, address: str) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for answer in self.answers:
            ours.send(json.dumps(answer).encode())
        self.ends.append(ours)
        return theirs


@pytest.mark.parametrize(
    "answer",
    [
        {"id": 1, "ok": {"version": VERSION + 1}},
        {"id": 1, "ok": None},
        {"id": 1, "error": {"kind": "EngineError", "args": ["No."]}},
        {"id": [1]},
        {"event": 7},
    ],
)
def test_who_is_no_engine_of_ours_is_not_believed(answer: dict[str, Any]) -> None:
    liar, before = Liar(answer), len(os.listdir("/proc/self/fd"))
    quick = Deadlines(answer=0.03, retry=0.001, longest_retry=0.002)
    with pytest.raises(EngineError):
        RemoteEngine("", slots=1, wait_seconds=0.1, deadlines=quick, _connect=liar.connect)
    assert len(liar.ends) > 1  # it has looked again
    for end in liar.ends:
        end.close()
    assert len(os.listdir("/proc/self/fd")) == before
