"""An engine in this process: threads that take ticks of many sessions and run them in batches.

Each engine thread has its own pipelines, over shared stages, and its own sessions; nothing of a
session is ever seen by two engine threads. A thread sleeps until one of its sessions has a tick,
takes at most one tick of each session whose person is the same, in turn, and runs them as one
batch.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from visavis.engines.client import Frame, PersonInfo
from visavis.engines.cores import thread_count
from visavis.engines.errors import (
    ConfigError,
    EngineError,
    EngineFull,
    UnknownLookahead,
    UnknownPerson,
)
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Runner, Work
from visavis.engines.session import LocalSession
from visavis.engines.timeline import Tick

__all__ = ["MAX_BATCH", "LocalEngine"]

logger = logging.getLogger(__name__)

MAX_BATCH = 8
# Of the measured frames/s, what sessions may use: the rest is for encoding and for bad moments.
LOAD = 0.6


class _Worker:
    """One engine thread with its pipelines and its sessions."""

    def __init__(self, number: int, runners: dict[str, Runner], clock: Callable[[], float]) -> None:
        self.runners = runners
        self.condition = threading.Condition()
        self.sessions: deque[LocalSession] = deque()
        self._clock = clock
        self._closed = False
        self._thread = threading.Thread(
            target=self._run, name=f"visavis-engine-{number}", daemon=True
        )
        self._thread.start()

    def add(self, session: LocalSession) -> None:
        with self.condition:
            self.sessions.append(session)
            self.condition.notify()

    def remove(self, session: LocalSession) -> None:
        with self.condition:
            self.sessions.remove(session)

    def close(self) -> None:
        with self.condition:
            self._closed = True
            sessions = list(self.sessions)
            self.condition.notify_all()
        for session in sessions:
            session.close()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while True:
            fresh: LocalSession | None = None
            with self.condition:
                batch = self._collect()
                while not batch and not self._closed:
                    # Sessions are made ready while nobody waits for a picture.
                    fresh = next((session for session in self.sessions if session.fresh), None)
                    if fresh is not None:
                        break
                    self.condition.wait()
                    batch = self._collect()
                if self._closed:
                    return
            if fresh is not None:
                _prepare(fresh)
            else:
                self._advance(batch)

    def _collect(self) -> list[tuple[LocalSession, Tick]]:
        """Take one tick of each ready session of one person; those who waited longest first."""
        batch: list[tuple[LocalSession, Tick]] = []
        for session in list(self.sessions):
            if batch and session.runner is not batch[0][0].runner:
                continue
            if (tick := session.timeline.take()) is None:
                continue
            batch.append((session, tick))
            self.sessions.remove(session)
            self.sessions.append(session)
            if len(batch) == MAX_BATCH:
                break
        return batch

    def _advance(self, batch: list[tuple[LocalSession, Tick]]) -> None:
        start = self._clock()
        batch = [(session, tick) for session, tick in batch if _prepare(session)]
        if not batch:
            return
        work = [
            Work(session.state(), tick.pcm, tick.render, tick.cleared) for session, tick in batch
        ]
        runner = batch[0][0].runner
        try:
            runner.advance(work)
        except Exception as error:  # nothing of the batch can be trusted
            for item in work:
                item.error = item.error or error
        milliseconds = (self._clock() - start) * 1000.0
        for (session, tick), item in zip(batch, work, strict=True):
            if item.error is not None:
                session.fail(item.error)
            elif item.i420 is not None:
                try:
                    session.deliver(tick, item.i420, item.speech, milliseconds)
                except Exception as error:  # what the receiver raises ends its own session only
                    session.fail(error)


def _prepare(session: LocalSession) -> bool:
    """Make a session's state; False where that failed and the session has ended."""
    try:
        session.state()
    except Exception as error:
        session.fail(error)
        return False
    return True


class LocalEngine:
    """An engine in this process; see `client.EngineClient`.

    The constructor loads, compiles and warms up everything, which takes seconds; afterwards nothing
    is compiled any more.

    Args:
        persons: who can be shown; the first is the default.
        threads: engine threads; half as many as the process has cores where None.
        capacity: sessions to admit; measured where None.
        clock: seconds, for the measured times.

    Raises:
        ConfigError: no person, or two of one name.
        PersonFileError: a person does not run.
    """

    def __init__(
        self,
        persons: Sequence[Person],
        *,
        threads: int | None = None,
        capacity: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        _make_runner: Callable[[Person], Runner] = Pipeline,
    ) -> None:
        if not persons or len({person.name for person in persons}) != len(persons):
            raise ConfigError("An engine needs at least one person, and no two of one name.")
        self._infos = tuple(_info(person) for person in persons)
        self._lock = threading.Lock()
        self._open = 0
        self._closed = False
        # The other half of the cores encodes what this half makes.
        count = max(1, thread_count() // 2) if threads is None else max(1, threads)
        first = {person.name: _make_runner(person) for person in persons}
        rate = min(runner.warm_up(MAX_BATCH) for runner in first.values())
        runner_sets = [first]
        for _ in range(count - 1):
            runner_sets.append({name: runner.twin() for name, runner in first.items()})
        if count > 1:
            rate = _rate_together(runner_sets)
        measured = max(1, math.floor(rate * LOAD / persons[0].fps))
        self._capacity = measured if capacity is None else capacity
        logger.info(
            "engine ready: %.0f frames/s in %d thread(s), capacity %d",
            rate,
            count,
            self._capacity,
        )
        self._workers = [
            _Worker(number, runners, clock) for number, runners in enumerate(runner_sets)
        ]

    def persons(self) -> tuple[PersonInfo, ...]:
        """Return who is loaded; the first is the default."""
        return self._infos

    def capacity(self) -> int:
        """Return how many sessions the engine carries."""
        return self._capacity

    def open(
        self,
        person: str,
        on_frame: Callable[[Frame], None],
        *,
        lookahead_ms: int | None = None,
        seed: int | None = None,
        on_error: Callable[[EngineError], None] | None = None,
    ) -> LocalSession:
        """Begin a session; see `client.EngineClient.open`."""
        info = next((info for info in self._infos if info.name == person), None)
        if info is None:
            raise UnknownPerson(person, tuple(info.name for info in self._infos))
        if lookahead_ms is None:
            lookahead_ms = info.lookahead_ms
        elif lookahead_ms not in info.lookaheads_ms:
            raise UnknownLookahead(person, lookahead_ms, info.lookaheads_ms)
        with self._lock:
            if self._closed:
                raise EngineError("The engine is closed; make a new one.")
            if self._open >= self._capacity:
                raise EngineFull(self._capacity)
            self._open += 1
            worker = min(self._workers, key=lambda worker: len(worker.sessions))
            session = LocalSession(
                worker.runners[person],
                worker.condition,
                on_frame,
                on_error,
                lambda session: self._leave(worker, session),
                lookahead_ms,
                seed,
            )
            worker.add(session)
        return session

    def _leave(self, worker: _Worker, session: LocalSession) -> None:
        worker.remove(session)
        with self._lock:
            self._open -= 1

    def close(self) -> None:
        """End every session and the threads; calling it again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for worker in self._workers:
            worker.close()


def _rate_together(runner_sets: Sequence[dict[str, Runner]]) -> float:
    """Return the frames per second of all threads at once, for the slowest person.

    Threads share caches and memory, and two of them may share one core.
    """

    def rate(name: str) -> float:
        rates = pool.map(lambda runners: runners[name].warm_up(MAX_BATCH), runner_sets)
        return math.fsum(rates)

    with ThreadPoolExecutor(len(runner_sets)) as pool:
        return min(rate(name) for name in runner_sets[0])


def _info(person: Person) -> PersonInfo:
    return PersonInfo(
        name=person.name,
        display_name=person.display_name,
        width=person.width,
        height=person.height,
        fps=person.fps,
        lookahead_ms=person.lookahead_ms,
        lookaheads_ms=person.lookaheads_ms,
        id=person.id,
        poster=person.poster,
        preview=person.preview,
    )
