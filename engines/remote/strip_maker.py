"""Who renders the strips of persons at rest, one after another, beside the live sessions."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from visavis.engines.client import EngineClient, Frame, PersonInfo
from visavis.engines.errors import VisavisError
from visavis.engines.remote.layout import frame_bytes
from visavis.engines.remote.memory import seal_forever
from visavis.engines.remote.strip import new_strip, put_picture
from visavis.engines.timeline import TICK_SAMPLES

__all__ = ["StripMaker"]

logger = logging.getLogger(__name__)

STRIP_SECONDS = 3.0
# One strip of 512x512 has 75 pictures of 384 KiB, 28 MiB, or of 640 KiB with alpha. Larger frames
# get shorter strips.
STRIP_BYTES = 48 << 20
# Policy 'least recently used goes': workers that show one keep it, whatever goes here.
ALL_BYTES = 256 << 20
MAX_WANTED = 64
_TICK_MS = 40
_TICK_SECONDS = _TICK_MS / 1000
_PATIENCE_SECONDS = 10.0


class StripMaker:
    """Records persons at rest, at the pace of a live session, and keeps what it has recorded.

    A recording takes a place in the engine for a few seconds. A visitor goes before it: see
    `make_way`.

    Args:
        engine: where the pictures come from.
        seconds: length of a strip; none are recorded for 0.
        tick_seconds: how long to wait between two ticks.
        all_bytes: what all strips may take.
    """

    def __init__(
        self,
        engine: EngineClient,
        *,
        seconds: float = STRIP_SECONDS,
        tick_seconds: float = _TICK_SECONDS,
        all_bytes: int = ALL_BYTES,
    ) -> None:
        self._engine = engine
        self._seconds = seconds
        self._tick_seconds = tick_seconds
        self._all_bytes = all_bytes
        self._condition = threading.Condition()
        self._wanted: OrderedDict[str, PersonInfo] = OrderedDict()
        self._strips: OrderedDict[str, tuple[str, int, int]] = OrderedDict()
        self._recording: _Recording | None = None
        self._held = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="visavis-strips", daemon=True)
        self._thread.start()

    def want(self, person: PersonInfo) -> None:
        """Let a person's strip be recorded, unless there is one; never waits."""
        if self._length(person) == 0:
            return
        with self._condition:
            known = self._strips.get(person.name)
            if known is not None and known[0] == person.id:
                return
            if len(self._wanted) < MAX_WANTED:
                self._wanted[person.name] = person
                self._condition.notify_all()

    def get(self, person: PersonInfo) -> int | None:
        """Return a descriptor of the person's strip, the caller's own, or None where there is none.

        Raises:
            OSError: there are no descriptors left.
        """
        with self._condition:
            known = self._strips.get(person.name)
            if known is None or known[0] != person.id:
                return None
            self._strips.move_to_end(person.name)
            return os.dup(known[1])

    @contextlib.contextmanager
    def make_way(self) -> Iterator[None]:
        """Leave the engine's places to others meanwhile: what is being recorded is given up.

        Whoever asks for that strip next has it begun anew.
        """
        with self._condition:
            self._held += 1
            recording = self._recording
        try:
            if recording is not None:
                recording.give_up()
            yield
        finally:
            with self._condition:
                self._held -= 1
                self._condition.notify_all()

    def close(self) -> None:
        """End the thread and free all strips; those that workers hold stay."""
        with self._condition:
            self._closed = True
            recording = self._recording
            self._condition.notify_all()
        if recording is not None:
            recording.give_up()
        self._thread.join()
        with self._condition:
            for _, fd, _ in self._strips.values():
                os.close(fd)
            self._strips.clear()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._closed or (self._wanted and not self._held))
                if self._closed:
                    return
                _, person = self._wanted.popitem(last=False)
                self._recording = recording = _Recording(person, self._length(person))
            try:
                fd = recording.run(self._engine, self._tick_seconds)
            except (VisavisError, OSError, MemoryError) as error:
                # Nobody waits for it, and the next session of the person asks again.
                logger.info("%s at rest was not recorded: %s", person.name, error)
                continue
            finally:
                with self._condition:
                    self._recording = None
            if fd is not None:
                self._keep(person, fd)

    def _length(self, person: PersonInfo) -> int:
        most = STRIP_BYTES // frame_bytes(person.width, person.height, person.has_matte)
        return min(int(self._seconds / _TICK_SECONDS), most)

    def _keep(self, person: PersonInfo, fd: int) -> None:
        size = os.fstat(fd).st_size
        with self._condition:
            old = self._strips.pop(person.name, None)
            self._strips[person.name] = person.id, fd, size
            gone = [] if old is None else [old]
            while sum(size for _, _, size in self._strips.values()) > self._all_bytes:
                gone.append(self._strips.popitem(last=False)[1])
        for _, fd, _ in gone:
            os.close(fd)


class _Recording:
    """One strip that is being made."""

    def __init__(self, person: PersonInfo, count: int) -> None:
        self._person = person
        self._count = count
        self._done = 0
        self._awaited = 0
        self._fd = -1
        self._condition = threading.Condition()
        self._stopped = False
        self._free = False

    def give_up(self) -> None:
        """Stop, and wait until the engine's place is free."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._free, _PATIENCE_SECONDS)

    def run(self, engine: EngineClient, tick_seconds: float) -> int | None:
        """Return the sealed strip, or None where it was given up."""
        person = self._person
        self._fd = new_strip(person.width, person.height, self._count, person.has_matte)
        try:
            session = engine.open(person.name, self._on_frame, seed=0, on_error=self._on_error)
            try:
                if person.has_matte:
                    # Somebody may have chosen another background when the engine goes away.
                    session.control({"matte": True})
                session.push(np.zeros(person.lookahead_ms * TICK_SAMPLES // _TICK_MS, np.float32))
                # Each picture is waited for: on a busy engine none may be skipped.
                while self._next_is_there() and not self._is_stopped(tick_seconds):
                    session.push(np.zeros(TICK_SAMPLES, np.float32))
            finally:
                session.close()
                with self._condition:
                    complete = self._done == self._count
                    # No picture is written after this: `_on_frame` looks under the same lock.
                    self._stopped = True
            if complete:
                seal_forever(self._fd)
                fd, self._fd = self._fd, -1
                return fd
            return None
        finally:
            with self._condition:
                self._free = self._stopped = True
                if self._fd >= 0:
                    os.close(self._fd)
                self._fd = -1
                self._condition.notify_all()

    def _next_is_there(self) -> bool:
        """Wait for a picture; False where there will be none, or no other is needed."""
        with self._condition:
            before = self._awaited
            self._awaited += 1
            self._condition.wait_for(
                lambda: self._stopped or self._done > before, _PATIENCE_SECONDS
            )
            return not self._stopped and before < self._done < self._count

    def _is_stopped(self, seconds: float) -> bool:
        """Wait so long, or until somebody stops this."""
        with self._condition:
            return self._condition.wait_for(lambda: self._stopped, seconds)

    def _on_frame(self, frame: Frame) -> None:
        with self._condition:
            if self._stopped or self._done == self._count:
                return
            if (frame.alpha is not None) == self._person.has_matte:
                put_picture(self._fd, self._done, frame.i420, frame.alpha)
                self._done += 1
            else:  # another file took the person's place; its next session asks again
                self._stopped = True
            self._condition.notify_all()

    def _on_error(self, error: Exception) -> None:
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
