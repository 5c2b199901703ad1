"""The persons that are loaded: when they come, when they go, and what they may take.

A person is loaded when somebody asks for them, once however many ask, on a thread of its own with
a lower priority. Before that, persons whom nobody is shown are unloaded, those used longest ago
first, until the new one fits the budget. A person with sessions stays; so does one that was just
prepared, until whoever asked has had the time to open their session.

What a person takes is estimated before they are loaded, from their file's size, so that nothing is
begun that cannot end well; what it was in fact is logged beside it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from visavis.engines.catalogue import Catalogue, Entry, person_info
from visavis.engines.errors import DeviceMemoryFull, EngineError, NoRoom
from visavis.engines.memory import give_back, resident_set_bytes
from visavis.engines.person import Person
from visavis.engines.pipeline import Runner
from visavis.engines.room import Resident, idle, resident_bytes, who_goes

__all__ = ["KEEP_SECONDS", "Counts", "Residents"]

logger = logging.getLogger(__name__)

KEEP_SECONDS = 10.0
"""How long a person that was prepared is kept for whoever asked for them."""
MAX_WAITING = 32
"""Persons that wait to be loaded; the next one is refused."""
NICENESS = 10


@dataclass(frozen=True, slots=True)
class Counts:
    """What `Residents` did since it was made, and what it holds.

    Attributes:
        loaded: persons that are loaded now.
        bytes: what these count for.
        budget_bytes: what they may count for.
        loads, unloads: how often a person came and went.
        refused: how often there was no room.
    """

    loaded: int
    bytes: int
    budget_bytes: int
    loads: int
    unloads: int
    refused: int


@dataclass(slots=True)
class _Job:
    """A person that is being loaded, or whose memory is to be given back."""

    name: str
    done: Future[None] = field(default_factory=Future)
    rest: Resident | None = None


class Residents:
    """Loads and unloads persons. Any thread may use it.

    Args:
        catalogue: who there is.
        build: makes a person ready for every engine thread; takes seconds.
        budget_bytes: what all loaded persons may take. One person is loaded whatever they take.
        max_batch: sessions in the largest batch.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        build: Callable[[Person], Sequence[Runner]],
        *,
        budget_bytes: int,
        max_batch: int,
        clock: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._build = build
        self._budget = budget_bytes
        self._max_batch = max_batch
        self._clock = clock
        self._lock = threading.Lock()
        self._loaded: dict[str, Resident] = {}
        # Those whose file was replaced: their sessions go on, nobody new gets them.
        self._retired: list[Resident] = []
        self._loading: dict[str, _Job] = {}
        self._loads = self._unloads = self._refused = 0
        self._closed = False
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def load_here(self, name: str) -> Resident:
        """Load a person in the calling thread, at its own priority; for the start.

        Raises:
            UnknownPerson, PersonFileError, NoRoom: as for `acquire`.
        """
        self._load(name)
        with self._lock:
            return self._loaded[name]

    def prepare(self, name: str) -> None:
        """Load a person, if the file as it is now is not loaded, and keep them for a while.

        Raises:
            UnknownPerson, PersonFileError, NoRoom, EngineError: see `client.EngineClient.prepare`.
        """
        self._catalogue.persons()  # what was replaced is noticed here
        version = self._catalogue.entry(name).version
        with self._lock:
            resident = self._loaded.get(name)
            if resident is not None and resident.version == version:
                resident.kept_until = self._clock() + KEEP_SECONDS
                return
            job = self._job(name)
        job.done.result()

    def acquire(self, name: str) -> Resident:
        """Return a person for one more session; loads them if nobody has. Pair with `release`.

        Raises:
            UnknownPerson, PersonFileError, NoRoom, EngineError: see `client.EngineClient.prepare`.
        """
        while True:
            self._catalogue.entry(name)  # whose file is gone is not shown to anybody new
            with self._lock:
                resident = self._loaded.get(name)
                if resident is not None:
                    resident.sessions += 1
                    resident.used = self._clock()
                    resident.kept_until = 0.0
                    return resident
                job = self._job(name)
            job.done.result()

    def release(self, resident: Resident) -> None:
        """A session of a person has ended."""
        with self._lock:
            resident.sessions -= 1
            resident.used = self._clock()
            if resident.sessions or self._closed:
                return
            if resident in self._retired:
                self._retired.remove(resident)
                self._unloads += 1
                logger.info("person %s, as their file was before, is unloaded", resident.info.name)
            # Giving memory back takes a while, and this may be an event loop's thread.
            self._enqueue(_Job(resident.info.name, rest=resident))

    def prune(self) -> None:
        """Unload those whose file is gone: idle ones now, the others with their last session."""
        known = {info.name for info in self._catalogue.persons()}
        with self._lock:
            gone = [name for name in self._loaded if name not in known]
            for name in gone:
                self._retire(self._unload(name))

    def counts(self) -> Counts:
        """Return what is loaded and what happened."""
        with self._lock:
            return Counts(
                len(self._loaded) + len(self._retired),
                self._taken(),
                self._budget,
                self._loads,
                self._unloads,
                self._refused,
            )

    def close(self) -> None:
        """Unload everybody; who waits for a person is told that the engine is closed."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            thread = self._thread
            if thread is not None:
                self._jobs.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        with self._lock:
            self._loaded.clear()
            self._retired.clear()

    # -- the loading thread -----------------------------------------------------------------

    def _job(self, name: str) -> _Job:
        """Return the job that loads a person, a new one where there is none; under the lock."""
        if self._closed:
            raise EngineError("The engine is closed; make a new one.")
        job = self._loading.get(name)
        if job is None:
            if len(self._loading) >= MAX_WAITING:
                raise EngineError(
                    f"{MAX_WAITING} persons are waiting to be loaded; try again later."
                )
            job = self._loading[name] = _Job(name)
            self._enqueue(job)
        return job

    def _enqueue(self, job: _Job) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="visavis-loader", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            # Linux has a niceness for each thread. What it starts inherits it: a foreign file is
            # tried in a process of its own.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while (job := self._jobs.get()) is not None:
            self._do(job)
            del job  # a thread that waits holds nobody

    def _do(self, job: _Job) -> None:
        if job.rest is not None:
            self._rest(job)
            return
        failure: BaseException | None = None
        try:
            if self._closed:
                raise EngineError("The engine is closed; make a new one.")
            self._load(job.name, keep=True)
        except Exception as error:
            # Without its frames: they would hold the person for as long as somebody has the error.
            failure = error.with_traceback(None)
            failure.__context__ = failure.__cause__ = None
        with self._lock:
            self._loading.pop(job.name, None)
        if failure is None:
            job.done.set_result(None)
        else:
            job.done.set_exception(failure)

    def _rest(self, job: _Job) -> None:
        """Give back what a person nobody is shown takes more than needed; all, if they went."""
        resident, job.rest = job.rest, None
        assert resident is not None
        with self._lock:
            unused = resident.sessions == 0
        if unused:
            resident.runners[0].rest()
            del resident
            give_back()

    def _load(self, name: str, *, keep: bool = False) -> None:
        entry = self._catalogue.entry(name)
        while True:
            gone = self._make_room(name, self._estimate(entry))
            if gone:
                gone.clear()
                give_back()
            try:
                resident = self._read(name, entry)
                break
            except (MemoryError, DeviceMemoryFull) as error:
                # The estimate was too small, or memory went elsewhere: one more has to go.
                if not self._unload_one():
                    self._count_refusal()
                    logger.error("%s cannot be loaded: %s", name, error or "no memory")
                    raise NoRoom(name, self._budget) from None
                give_back()
        with self._lock:
            if name in self._loaded:
                self._retire(self._unload(name))
            if keep:
                resident.kept_until = self._clock() + KEEP_SECONDS
            self._loaded[name] = resident
            self._loads += 1

    def _read(self, name: str, entry: Entry) -> Resident:
        before, began = resident_set_bytes(), self._clock()
        person = self._catalogue.load(name)
        runners = tuple(self._build(person))
        now = self._clock()
        estimate = self._estimate(entry)
        logger.info(
            "person %s is ready after %.1f s; memory grew by %d MiB, %d MiB are counted",
            name,
            now - began,
            (resident_set_bytes() - before) >> 20,
            estimate >> 20,
        )
        return Resident(person_info(person), entry.version, estimate, runners, used=now)

    def _estimate(self, entry: Entry) -> int:
        info = entry.info
        return resident_bytes(entry.bytes, info.width, info.height, self._max_batch, info.has_matte)

    # -- room -------------------------------------------------------------------------------

    def _taken(self) -> int:
        return sum(resident.bytes for resident in (*self._loaded.values(), *self._retired))

    def _make_room(self, name: str, wanted: int) -> list[Resident]:
        """Unload whoever has to go for a person of that size; returns them.

        Raises:
            NoRoom: even if everybody went who can, there would be none. Nobody is unloaded then.
        """
        with self._lock:
            going = who_goes(
                self._loaded,
                self._retired,
                name,
                wanted,
                budget=self._budget,
                now=self._clock(),
            )
            if going is None:
                self._refused += 1
                raise NoRoom(name, self._budget)
            if wanted > self._budget:
                logger.warning(
                    "person %s takes about %d MiB, more than all persons may (%d MiB)",
                    name,
                    wanted >> 20,
                    self._budget >> 20,
                )
            return [self._unload(candidate) for candidate in going]

    def _unload_one(self) -> bool:
        with self._lock:
            names = idle(self._loaded, self._clock())
            if names:
                self._unload(names[0])
            return bool(names)

    def _unload(self, name: str) -> Resident:
        self._unloads += 1
        logger.info("person %s is unloaded", name)
        return self._loaded.pop(name)

    def _retire(self, resident: Resident) -> None:
        """Keep counting somebody who was taken off the list while they are shown."""
        if resident.sessions:
            self._unloads -= 1
            self._retired.append(resident)

    def _count_refusal(self) -> None:
        with self._lock:
            self._refused += 1
