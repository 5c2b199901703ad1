"""Who is loaded: on demand, once, within a budget, and gone without a trace."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engines.fakes import FakeRunner, until
from tests.engines.fakes import person as make_person
from visavis.engines.catalogue import Entry, FixedCatalogue
from visavis.engines.client import PersonInfo
from visavis.engines.errors import (
    DeviceMemoryFull,
    EngineError,
    NoRoom,
    PersonFileError,
    UnknownPerson,
)
from visavis.engines.person import Person
from visavis.engines.residents import KEEP_SECONDS, MAX_WAITING, NICENESS, Residents
from visavis.engines.room import default_budget, resident_bytes

ROOT = Path(__file__).resolve().parents[2]
ONE = make_person("p")
SIZE = resident_bytes(1000, 64, 64, 1)


class Book:
    """A catalogue whose persons are all one, under names that a test gives and takes."""

    def __init__(self, *names: str) -> None:
        self.versions = dict.fromkeys(names, 1)
        self.loads: list[str] = []
        self.fails: dict[str, Exception] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.loading = threading.Event()

    def given(self) -> tuple[str, ...]:
        return tuple(self.versions)[:1]

    def persons(self) -> Sequence[PersonInfo]:
        return tuple(self.entry(name).info for name in list(self.versions))

    def entry(self, name: str) -> Entry:
        if name not in self.versions:
            raise UnknownPerson(name, tuple(self.versions))
        info = FixedCatalogue([ONE]).persons()[0]
        return Entry(replace(info, name=name), self.versions[name], 1000)

    def load(self, name: str) -> Person:
        self.loads.append(name)
        self.loading.set()
        assert self.gate.wait(20)
        if name in self.fails:
            raise self.fails.pop(name)
        return replace(ONE, name=name)

    def poster(self, name: str) -> bytes:
        raise NotImplementedError

    def preview(self, name: str) -> bytes | None:
        raise NotImplementedError


class House:
    """Residents over such a catalogue, with room for so many persons."""

    def __init__(self, *names: str, room: int = 2) -> None:
        self.book, self.now = Book(*names), 100.0
        self.built: list[weakref.ref[FakeRunner]] = []
        self.threads: list[tuple[str, int]] = []
        self.refuse: Exception | None = None
        self.residents = Residents(
            self.book,
            self._build,
            budget_bytes=room * SIZE,
            max_batch=1,
            clock=lambda: self.now,
        )

    def _build(self, person: Person) -> Sequence[FakeRunner]:
        thread = threading.current_thread()
        nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        self.threads.append((thread.name, nice))
        if self.refuse is not None:
            error, self.refuse = self.refuse, None
            raise error
        runner = FakeRunner(person)
        self.built.append(weakref.ref(runner))
        return [runner]

    def show(self, name: str) -> Callable[[], None]:
        """Begin a session; returns what ends it."""
        resident = self.residents.acquire(name)
        return lambda: self.residents.release(resident)

    def shown(self, name: str) -> None:
        """A session that is over."""
        self.show(name)()
        self.now += 1.0

    @property
    def alive(self) -> int:
        return sum(runner() is not None for runner in self.built)


@pytest.fixture
def house() -> Iterator[House]:
    house = House("a", "b", "c", "d")
    yield house
    house.book.gate.set()
    house.residents.close()


def together(
    count: int, action: Callable[[], object]
) -> tuple[list[threading.Thread], list[object]]:
    """Begin an action in so many threads; their outcomes are appended to the list."""
    outcomes: list[object] = []

    def run() -> None:
        try:
            outcomes.append(action())
        except Exception as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, outcomes


def test_whoever_asks_a_person_is_loaded_once(house: House) -> None:
    house.book.gate.clear()
    threads, outcomes = together(6, lambda: house.residents.prepare("a"))
    assert house.book.loading.wait(20)
    house.book.gate.set()
    for thread in threads:
        thread.join(20)
    house.residents.prepare("a")
    house.shown("a")
    assert outcomes == [None] * 6 and house.book.loads == ["a"]
    assert house.residents.counts().loads == 1


def test_loading_has_a_thread_of_its_own_with_a_lower_priority(house: House) -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    house.residents.load_here("a")
    house.residents.prepare("b")
    here, there = house.threads
    assert here == (threading.current_thread().name, before)
    assert there == ("visavis-loader", min(19, before + NICENESS) if before < 0 else NICENESS)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_the_one_used_longest_ago_goes(house: House) -> None:
    house.shown("a")
    house.shown("b")
    house.shown("a")
    house.shown("c")
    assert house.residents.counts().loaded == 2
    house.book.loads.clear()
    house.shown("a")
    house.shown("c")
    assert house.book.loads == []
    house.shown("b")
    assert house.book.loads == ["b"]


def test_who_is_shown_stays_and_the_next_is_refused(house: House) -> None:
    end_a, end_b = house.show("a"), house.show("b")
    with pytest.raises(NoRoom, match=r"'c': the persons in use take what all may take \(\d+ MiB\)"):
        house.residents.acquire("c")
    assert house.residents.counts().refused == 1
    assert house.book.loads == ["a", "b"], "refused before anything was read"
    another = house.show("a")
    end_a()
    with pytest.raises(NoRoom):
        house.residents.prepare("c")
    another()
    house.shown("c")
    end_b()
    assert house.book.loads == ["a", "b", "c"]


def test_who_was_prepared_is_kept_until_their_session_can_begin(house: House) -> None:
    house.residents.prepare("a")
    house.residents.prepare("b")
    with pytest.raises(NoRoom):
        house.residents.prepare("c")
    house.now += KEEP_SECONDS
    house.residents.prepare("c")
    # Who had their session is not kept any longer for having been prepared.
    house.residents.prepare("b")
    house.shown("b")
    house.shown("d")
    assert house.book.loads == ["a", "b", "c", "d"]


def test_nobody_goes_for_somebody_who_does_not_fit_anyway() -> None:
    house = House("a", "b", "c", room=2)
    end = house.show("a")
    house.shown("b")
    house.residents._budget = SIZE + SIZE // 2
    with pytest.raises(NoRoom):
        house.residents.acquire("c")
    assert house.residents.counts().loaded == 2
    end()
    house.residents.close()


def test_one_person_is_shown_however_much_they_take(caplog: pytest.LogCaptureFixture) -> None:
    house = House("a", "b", room=0)
    end = house.show("a")
    assert "more than all persons may" in caplog.text
    with pytest.raises(NoRoom):
        house.residents.acquire("b")
    end()
    house.shown("b")
    house.residents.close()


def test_a_person_who_cannot_be_loaded_is_an_error_for_all_who_wait(house: House) -> None:
    house.book.fails["a"] = PersonFileError("a.person is broken.")
    house.book.gate.clear()
    threads, outcomes = together(3, lambda: house.residents.acquire("a"))
    assert house.book.loading.wait(20)
    until(lambda: len(house.residents._loading) == 1)
    house.book.gate.set()
    for thread in threads:
        thread.join(20)
    # Whoever came a moment later may have had it tried once more.
    assert "a.person is broken." in {str(outcome) for outcome in outcomes}
    assert house.residents.counts().loads == len(house.book.loads) - 1
    house.shown("a")


def test_where_memory_ends_others_go_and_then_it_is_said(house: House) -> None:
    house.shown("a")
    house.refuse = MemoryError()
    house.shown("b")
    assert house.residents.counts().loaded == 1
    house.refuse = DeviceMemoryFull("a GPU", 1 << 30, 1 << 20)
    end = house.show("c")
    assert house.residents.counts().loaded == 1
    house.refuse = MemoryError()
    with pytest.raises(NoRoom):
        house.residents.acquire("d")
    end()


def test_a_replaced_file_is_for_new_sessions_only(house: House) -> None:
    end = house.show("a")
    house.book.versions["a"] = 2
    old = house.residents.acquire("a")  # quick: not for whoever holds a loop
    assert house.book.loads == ["a"]
    house.residents.prepare("a")
    new = house.residents.acquire("a")
    assert new is not old and new.runners != old.runners
    # Both count while both are shown.
    assert house.residents.counts().bytes == 2 * SIZE
    with pytest.raises(NoRoom):
        house.residents.acquire("b")
    house.residents.release(new)
    assert house.residents.counts().loaded == 2
    end()
    house.residents.release(old)
    del old, end
    assert house.residents.counts().loaded == 1
    until(lambda: house.alive == 1)


def test_whose_file_is_gone_is_not_shown_to_anybody_new(house: House) -> None:
    end = house.show("a")
    house.shown("b")
    del house.book.versions["a"], house.book.versions["b"]
    house.residents.prune()
    for use in (house.residents.prepare, house.residents.acquire):
        with pytest.raises(UnknownPerson):
            use("a")
    assert house.residents.counts().loaded == 1
    end()
    del end
    assert house.residents.counts().loaded == 0
    until(lambda: house.alive == 0)


def test_nobody_is_held_by_anything_once_unloaded(house: House) -> None:
    """With the collector off: what is in a ring of references would stay for long."""
    gc.collect()
    gc.disable()
    try:
        house.book.fails["d"] = PersonFileError("no")
        with pytest.raises(PersonFileError):
            house.residents.acquire("d")
        for name in "abcabc":
            house.shown(name)
        until(lambda: house.alive == 2)
    finally:
        gc.enable()
    assert len(house.built) == 6
    assert house.residents.counts().unloads == 4


def test_at_rest_memory_is_given_back_and_while_shown_it_is_not(house: House) -> None:
    first, second = house.show("a"), house.show("a")
    runner = house.built[0]()
    assert runner is not None
    first()
    house.residents.prepare("b")  # by the same thread, so whatever came before is done
    assert runner.rests == 0
    second()
    until(lambda: runner.rests == 1)


def test_only_so_many_persons_wait_to_be_loaded() -> None:
    house = House(*(f"p{index}" for index in range(MAX_WAITING + 2)), room=100)
    house.book.gate.clear()
    names = iter(house.book.versions)
    threads, outcomes = together(MAX_WAITING, lambda: house.residents.prepare(next(names)))
    until(lambda: len(house.residents._loading) == MAX_WAITING)
    with pytest.raises(EngineError, match="waiting to be loaded"):
        house.residents.prepare(f"p{MAX_WAITING + 1}")
    house.book.gate.set()
    for thread in threads:
        thread.join(20)
    assert outcomes == [None] * MAX_WAITING
    house.residents.close()


def test_closing_ends_the_thread_and_tells_who_waits(house: House) -> None:
    house.residents.prepare("a")
    house.book.gate.clear()
    threads, outcomes = together(1, lambda: house.residents.prepare("b"))
    until(lambda: house.book.loads == ["a", "b"])
    later, told = together(1, lambda: house.residents.prepare("c"))
    until(lambda: len(house.residents._loading) == 2)
    closing = threading.Thread(target=house.residents.close)
    closing.start()
    until(lambda: house.residents._closed)
    house.book.gate.set()
    for thread in (*threads, *later, closing):
        thread.join(20)
    assert "closed" in str(told[0]) and house.book.loads == ["a", "b"]
    assert not any(thread.name == "visavis-loader" for thread in threading.enumerate())
    assert house.alive == 0
    with pytest.raises(EngineError, match="closed"):
        house.residents.acquire("a")
    house.residents.close()


def test_the_budget_is_a_share_of_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visavis.engines.room.available_bytes", lambda: 8 << 30)
    assert default_budget() == 6 << 30
    monkeypatch.setattr("visavis.engines.room.available_bytes", lambda: None)
    assert default_budget() == 1 << 30


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_what_a_person_took_goes_back_to_the_system() -> None:
    """In a process of its own: persons come and go, and the process does not grow."""
    code = """
import threading
import time
from dataclasses import replace
import numpy as np
from tests.engines.tiny_person import tiny_person
from visavis.engines.local import LocalEngine
from visavis.engines.memory import give_back, resident_set_bytes
from visavis.engines.pipeline import Pipeline

class Heavy(Pipeline):
    # As heavy as a real person, of whom a tiny one has everything but the weight.
    def __init__(self, person):
        super().__init__(person, variant="fp32")
        self.weight = np.ones(4 << 20, np.float32)

tiny = tiny_person()
engine = LocalEngine([replace(tiny, name=name) for name in "ab"], threads=2, capacity=4,
                     memory_bytes=1, max_batch=1, make_runner=Heavy,
                     clock=lambda: 1000 * time.monotonic())  # nobody is kept for long

def talk(name):
    done = threading.Event()
    session = engine.open(name, lambda frame: done.set())
    session.push(np.zeros(1600, np.float32))
    assert done.wait(20)
    session.close()

def held():
    engine.prepare("a")
    time.sleep(0.05)
    give_back()
    return resident_set_bytes()

for name in "abab":
    talk(name)
before = held()
for name in "baba" * 2:
    talk(name)
grown = (held() - before) / 2**20
counts = engine.residents()
assert counts.loaded == 1 and counts.unloads >= 10, counts
assert grown < 40, f"{grown} MiB after eight persons of 16 MiB each"
engine.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr[-2000:]
