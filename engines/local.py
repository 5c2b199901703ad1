"""An engine in this process: persons that are loaded on demand, and threads that show them.

Sessions belong to engine threads (`worker.Worker`), persons to `residents.Residents`; here is
admission: which thread and which phase a session gets, and whether there is a place for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from visavis.engines.capacity import (
    BatchCosts,
    frames_per_second,
    in_time,
    sessions_carried,
    worst,
)
from visavis.engines.catalogue import Catalogue, FixedCatalogue
from visavis.engines.client import PHASES, EngineLoad, Frame, PersonInfo
from visavis.engines.cores import thread_count
from visavis.engines.errors import EngineError, EngineFull, UnknownLookahead
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Runner
from visavis.engines.residents import Counts, Residents
from visavis.engines.room import Resident, default_budget
from visavis.engines.session import LocalSession
from visavis.engines.variant_memory import VariantMemory
from visavis.engines.worker import Worker

__all__ = ["MAX_BATCH", "LocalEngine", "engine_threads"]

logger = logging.getLogger(__name__)

MAX_BATCH = 4
"""Sessions in a batch on a processor. There a batch saves a few calls and no arithmetic, its first
frame waits for its last one, and what a network needs between its layers grows with it."""

_MAX_KINDS = 64

MakeRunner = Callable[[Person], Runner]


def engine_threads(cores: int) -> int:
    """Return how many engine threads a processor of so many cores has by default.

    The engine takes about three quarters of what a session costs a processor, encoding and packets
    the rest. A session belongs to one thread, so two cores share three sessions only if there are
    two threads; what encodes competes with them for a quarter of the time.
    """
    return max(1, round(0.75 * cores))


class LocalEngine:
    """An engine in this process; see `client.EngineClient`.

    The constructor loads whom the catalogue names, compiles and measures, which takes seconds.
    Afterwards nothing is compiled any more; other persons are loaded when they are asked for.

    Args:
        persons: who can be shown: a catalogue, or persons in memory, the first being the default.
        threads: engine threads; by default `engine_threads` of the cores.
        capacity: sessions to admit; measured where None.
        memory_bytes: what all loaded persons may take; `room.default_budget` where None.
        max_batch: sessions in a batch.
        gather_s: seconds that a tick waits for the rest of its group; for runners whose batches
            save something.
        shares_cores: the runners compute on the processor, not on a device of their own.
        on_lost: called on an engine's thread when the runners' device is gone for good.
        clock: seconds, monotonic.
        make_runner: builds a person's stages; those of the processor where None.

    Raises:
        ConfigError: no person, or two of one name.
        PersonFileError: a person that is named does not run.
    """

    def __init__(
        self,
        persons: Catalogue | Sequence[Person],
        *,
        threads: int | None = None,
        capacity: int | None = None,
        memory_bytes: int | None = None,
        max_batch: int = MAX_BATCH,
        gather_s: float = 0.0,
        shares_cores: bool = True,
        on_lost: Callable[[EngineError], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        make_runner: MakeRunner | None = None,
    ) -> None:
        catalogue = FixedCatalogue(persons) if isinstance(persons, Sequence) else persons
        self._catalogue: Catalogue = catalogue
        self._make_runner = make_runner or partial(Pipeline, memory=VariantMemory())
        self._threads = engine_threads(thread_count()) if threads is None else max(1, threads)
        self._max_batch = max_batch
        self._clock = clock
        self._shares_cores = shares_cores
        self._lock = threading.Lock()
        self._open = 0
        self._closed = False
        self._listed: Sequence[PersonInfo] = catalogue.persons()
        self._costs: dict[object, BatchCosts] = {}
        self._measured = 1
        self._wanted = capacity
        self._residents = Residents(
            catalogue,
            self._build,
            budget_bytes=default_budget() if memory_bytes is None else memory_bytes,
            max_batch=max_batch,
            clock=clock,
        )
        self._serving = False
        # The default person last: it is the last to be unloaded.
        for name in reversed(catalogue.given()):
            self._residents.load_here(name)
        self._serving = True
        logger.info(
            "engine ready: %.0f frames/s in %d thread(s), capacity %d",
            self.load().frames_per_s,
            self._threads,
            self.capacity(),
        )
        self._workers = [
            Worker(
                number,
                clock=clock,
                max_batch=max_batch,
                gather_s=gather_s,
                on_lost=on_lost or (lambda error: None),
            )
            for number in range(self._threads)
        ]

    def persons(self) -> Sequence[PersonInfo]:
        """Return who can be shown; the first is the default. It may look at a folder."""
        listed = self._catalogue.persons()
        if listed is not self._listed:
            self._listed = listed
            self._residents.prune()
        return listed

    def poster(self, person: str) -> bytes:
        """Return a JPEG; see `client.EngineClient.poster`."""
        return self._catalogue.poster(person)

    def preview(self, person: str) -> bytes | None:
        """Return an mp4, or None; see `client.EngineClient.preview`."""
        return self._catalogue.preview(person)

    def plate(self, person: str) -> bytes | None:
        """Return an I420 picture, or None; see `client.EngineClient.plate`."""
        return self._catalogue.plate(person)

    def prepare(self, person: str) -> None:
        """Load a person; see `client.EngineClient.prepare`."""
        self._residents.prepare(person)

    def capacity(self) -> int:
        """Return how many sessions the engine carries."""
        return self._measured if self._wanted is None else self._wanted

    def load(self) -> EngineLoad:
        """Return what the engine was measured to make."""
        dearest = worst(in_time(list(self._costs.values())))
        rate = frames_per_second(dearest, threads=self._threads)
        return EngineLoad(rate, self._threads, self._shares_cores)

    def residents(self) -> Counts:
        """Return how many persons are loaded, and what they take."""
        return self._residents.counts()

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
        # Before anything is loaded for somebody who finds no place.
        with self._lock:
            self._require_place()
            self._open += 1
        resident: Resident | None = None
        try:
            resident = self._residents.acquire(person)
            info = resident.info
            if lookahead_ms is None:
                lookahead_ms = info.lookahead_ms
            elif lookahead_ms not in info.lookaheads_ms:
                raise UnknownLookahead(person, lookahead_ms, info.lookaheads_ms)
            return self._begin(resident, on_frame, on_error, lookahead_ms, seed)
        except BaseException:
            with self._lock:
                self._open -= 1
            if resident is not None:
                self._residents.release(resident)
            raise

    def _require_place(self) -> None:
        if self._closed:
            raise EngineError("The engine is closed; make a new one.")
        capacity = self.capacity()
        if self._open >= capacity:
            raise EngineFull(capacity)

    def _begin(
        self,
        resident: Resident,
        on_frame: Callable[[Frame], None],
        on_error: Callable[[EngineError], None] | None,
        lookahead_ms: int,
        seed: int | None,
    ) -> LocalSession:
        with self._lock:
            if self._closed:
                raise EngineError("The engine is closed; make a new one.")
            worker, phase = self._place()
            session = LocalSession(
                resident.runners[worker.number],
                worker.condition,
                on_frame,
                on_error,
                partial(self._leave, worker, resident),
                lookahead_ms,
                seed,
                phase,
                self._clock,
                1.0 / self._costs[resident.runners[0].kind][1],
            )
            worker.add(session)
        return session

    def _place(self) -> tuple[Worker, int]:
        """Return the thread with the fewest sessions, and its phase with the fewest.

        Where several phases of the thread are equal, it is the one that all threads together use
        least: the rest of the machine encodes what they made.
        """
        phases = [worker.phases() for worker in self._workers]
        every = [sum(counts) for counts in zip(*phases, strict=True)]
        worker = min(self._workers, key=lambda worker: sum(phases[worker.number]))
        own = phases[worker.number]
        return worker, min(range(PHASES), key=lambda phase: (own[phase], every[phase]))

    def _leave(self, worker: Worker, resident: Resident, session: LocalSession) -> None:
        worker.remove(session)
        with self._lock:
            self._open -= 1
        self._residents.release(resident)

    def close(self) -> None:
        """End every session and the threads; calling it again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for worker in self._workers:
            worker.close()
        self._residents.close()

    # -- persons ----------------------------------------------------------------------------

    def _build(self, person: Person) -> list[Runner]:
        """Return a person's runners, one for each thread; each kind is measured once."""
        first = self._make_runner(person)
        runners = [first, *(first.twin() for _ in range(self._threads - 1))]
        if first.kind in self._costs:
            first.get_ready(self._max_batch)
        elif self._serving:
            # Sessions are running: what they take of the machine is none of this person's costs.
            self._learn(first.kind, first.warm_up(self._max_batch, time.thread_time))
        else:
            self._learn(first.kind, _warm_up_together(runners, self._max_batch))
        return runners

    def _learn(self, kind: object, costs: BatchCosts) -> None:
        # A dictionary of its own, so that whoever reads it meets no change. Kinds are few: a system
        # and a size; where somebody makes many, their dearest is what counts.
        known = {**self._costs, kind: costs}
        if len(known) > _MAX_KINDS:
            known = {kind: worst(list(known.values()))}
        self._costs = known
        dearest = worst(in_time(list(known.values())))
        self._measured = sessions_carried(dearest, threads=self._threads, phases=PHASES)


def _warm_up_together(runners: Sequence[Runner], max_batch: int) -> BatchCosts:
    """Return what a batch takes while all threads work: they share caches, memory and cores."""
    costs = runners[0].warm_up(max_batch)
    if len(runners) == 1:
        return costs
    with ThreadPoolExecutor(len(runners)) as pool:
        return worst(list(pool.map(lambda runner: runner.warm_up(max_batch), runners)))
