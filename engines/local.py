"""An engine in this process: threads that take ticks of many sessions and run them in batches.

Each engine thread owns its pipelines and its sessions; nothing of a session is ever seen by two
engine threads. A thread sleeps until one of its sessions has a tick, takes at most one tick of each
session whose person is the same, in turn, and runs them as one batch.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import Frame, PersonInfo, SessionStats
from visavis.engines.errors import ConfigError, EngineError, EngineFull, UnknownPerson
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Runner, SessionState, Work
from visavis.engines.timeline import Tick, Timeline

__all__ = ["MAX_BATCH", "LocalEngine", "LocalSession"]

logger = logging.getLogger(__name__)

MAX_BATCH = 8
# Of the measured frames/s, what sessions may use: the rest is for encoding and for bad moments.
LOAD = 0.6
_RECENT = 250


class LocalSession:
    """A session of a `LocalEngine`; see `client.EngineSession`."""

    def __init__(
        self,
        engine: LocalEngine,
        worker: _Worker,
        runner: Runner,
        on_frame: Callable[[Frame], None],
        on_error: Callable[[EngineError], None] | None,
        seed: int | None,
    ) -> None:
        self._engine = engine
        self._worker = worker
        self.runner = runner
        self._seed = seed
        self._state: SessionState | None = None
        self.timeline = Timeline(runner.lookahead_ms)
        self._on_frame = on_frame
        self._on_error = on_error
        self._rendered = 0
        self._discarded = 0
        self._milliseconds: deque[float] = deque(maxlen=_RECENT)
        self._failed: str | None = None
        self._closed = False

    @property
    def generation(self) -> int:
        """How often `clear` was called."""
        return self.timeline.generation

    def push(self, pcm: NDArray[np.float32]) -> None:
        """Give the next samples; see `client.EngineSession.push`."""
        if pcm.dtype != np.float32 or pcm.ndim != 1:
            raise EngineError(
                f"Audio must be float32 of one dimension, not {pcm.dtype} of {pcm.ndim}."
            )
        with self._worker.condition:
            if self._closed:
                return
            self.timeline.push(pcm)
            if self.timeline.waiting:
                self._worker.condition.notify()

    def clear(self) -> int:
        """Forget what was said and not yet shown; see `client.EngineSession.clear`."""
        with self._worker.condition:
            return self.timeline.clear()

    def stats(self) -> SessionStats:
        """Return the counters."""
        with self._worker.condition:
            times = list(self._milliseconds)
            p50, p95 = np.percentile(times, (50, 95)).tolist() if times else (0.0, 0.0)
            return SessionStats(
                rendered=self._rendered,
                skipped=self.timeline.skipped,
                discarded=self._discarded,
                dropped_samples=self.timeline.dropped_samples,
                engine_ms_p50=p50,
                engine_ms_p95=p95,
                failed=self._failed,
            )

    def close(self) -> None:
        """End the session; calling it again does nothing."""
        with self._worker.condition:
            if self._closed:
                return
            self._closed = True
            self._worker.sessions.remove(self)
        self._engine.leave()

    def state(self) -> SessionState:
        """Return the session's state, made on first use; on the engine's thread.

        Making it decodes pictures, which is nothing for whoever opens a session to wait for.
        """
        if self._state is None:
            self._state = self.runner.initial_state(self._seed)
        return self._state

    @property
    def fresh(self) -> bool:
        """Its state has not been made."""
        return self._state is None

    def deliver(
        self, tick: Tick, i420: NDArray[np.uint8], speech: float, milliseconds: float
    ) -> None:
        """Hand a frame over, unless it has been overtaken; on the engine's thread."""
        with self._worker.condition:
            if self._closed:
                return
            if tick.generation != self.timeline.generation:
                self._discarded += 1
                return
            self._rendered += 1
            self._milliseconds.append(milliseconds)
        self._on_frame(Frame(tick.index, tick.generation, i420, speech))

    def fail(self, error: BaseException) -> None:
        """End the session because of `error`; on the engine's thread."""
        with self._worker.condition:
            if self._closed:
                return
            self._failed = f"{type(error).__name__}: {error}"
        self.close()
        logger.error("a session of %s ended: %s", self.runner.name, self._failed, exc_info=error)
        if self._on_error is not None:
            try:
                self._on_error(EngineError(f"The session failed in the engine: {self._failed}."))
            except Exception:
                logger.exception("the error handler of a session failed")


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
        threads: engine threads; one where None.
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
        count = 1 if threads is None else max(1, threads)
        rates = []
        runner_sets: list[dict[str, Runner]] = []
        for _ in range(count):
            runners = {person.name: _make_runner(person) for person in persons}
            rates += [runner.warm_up(MAX_BATCH) for runner in runners.values()]
            runner_sets.append(runners)
        measured = max(1, math.floor(min(rates) * count * LOAD / persons[0].fps))
        self._capacity = measured if capacity is None else capacity
        logger.info(
            "engine ready: %.0f frames/s in %d thread(s), capacity %d",
            min(rates) * count,
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
        seed: int | None = None,
        on_error: Callable[[EngineError], None] | None = None,
    ) -> LocalSession:
        """Begin a session; see `client.EngineClient.open`."""
        names = tuple(info.name for info in self._infos)
        if person not in names:
            raise UnknownPerson(person, names)
        with self._lock:
            if self._closed:
                raise EngineError("The engine is closed; make a new one.")
            if self._open >= self._capacity:
                raise EngineFull(self._capacity)
            self._open += 1
            worker = min(self._workers, key=lambda worker: len(worker.sessions))
            session = LocalSession(self, worker, worker.runners[person], on_frame, on_error, seed)
            with worker.condition:
                worker.sessions.append(session)
                worker.condition.notify()
        return session

    def leave(self) -> None:
        """Count a session out; sessions call it when they end."""
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


def _info(person: Person) -> PersonInfo:
    return PersonInfo(
        name=person.name,
        display_name=person.display_name,
        width=person.width,
        height=person.height,
        fps=person.fps,
        lookahead_ms=person.lookahead_ms,
        id=person.id,
        poster=person.poster,
        preview=person.preview,
    )
