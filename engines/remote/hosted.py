"""One session of a worker, on the engine's side: its shared memory, and the engine's session.

Three threads meet here. The connection's thread opens and closes; the pump moves samples from the
ring to the engine; the engine's thread writes pictures into the slots.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from visavis.engines.client import EngineClient, EngineSession, Frame, PersonInfo
from visavis.engines.errors import EngineError
from visavis.engines.remote.counters import Counters, CounterWriter
from visavis.engines.remote.doorbell import Doorbell
from visavis.engines.remote.layout import INPUT_SIZE, RING_SAMPLES, OutputLayout
from visavis.engines.remote.memory import create, map_readable, map_writable, seal_output
from visavis.engines.remote.ring import RingReader
from visavis.engines.remote.slots import SlotWriter

__all__ = ["HostedSession"]

_SILENCE = np.zeros(RING_SAMPLES, np.float32)


class _Memory:
    """The engine's ends of what a session shares, and descriptors for the worker.

    Raises:
        MemoryError: there is no memory for it.
    """

    def __init__(self, layout: OutputLayout) -> None:
        self.fds: tuple[int, ...] = ()
        try:
            self.fds += (create("input", INPUT_SIZE),)
            self.fds += (create("output", layout.size),)
            self.ring = RingReader(map_readable(self.fds[0], INPUT_SIZE))
            output = map_writable(self.fds[1], layout.size)
            seal_output(self.fds[1])
        except BaseException:
            self.close_fds()
            raise
        self.slots = SlotWriter(output, layout)
        self.counters = CounterWriter(output)

    def close_fds(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds = ()


class HostedSession:
    """A session that a worker has opened.

    Args:
        number: the worker's name for it.
        engine: where it runs.
        person: who is shown.
        lookahead_ms, seed: see `client.EngineClient.open`.
        bells: of the worker, one for each phase; rung when there is a picture.
        on_failed: takes the reason where the session ends by itself; on the engine's thread, or the
            pump's.

    Attributes:
        failure: why the session ended by itself, or None.

    Raises:
        MemoryError: there is no memory for it.
        VisavisError: what the engine raises.
    """

    def __init__(
        self,
        number: int,
        engine: EngineClient,
        person: PersonInfo,
        lookahead_ms: int | None,
        seed: int | None,
        bells: tuple[Doorbell, ...],
        on_failed: Callable[[HostedSession, EngineError], None],
    ) -> None:
        self.number = number
        self.failure: EngineError | None = None
        self._bells = bells
        self._on_failed = on_failed
        self._lock = threading.Lock()
        # The engine's count of `clear` -> the worker's. Several calls may have become one.
        self._generations = {0: 0}
        # None from the end on. The engine's session knows this one and this one knows it, so what
        # they hold would stay until the garbage collector comes by.
        self._memory: _Memory | None = _Memory(
            OutputLayout(person.width, person.height, person.has_matte)
        )
        try:
            self._inner: EngineSession = engine.open(
                person.name,
                self._deliver,
                lookahead_ms=lookahead_ms,
                seed=seed,
                on_error=self._fail,
            )
        except BaseException:
            self._free()
            raise

    @property
    def phase(self) -> int:
        """Group of the session."""
        return self._inner.phase

    @property
    def pace(self) -> float:
        """Pictures a second that the person was measured to make; see `client.EngineSession`."""
        return self._inner.pace

    def control(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Choose; see `client.EngineSession.control`."""
        return self._inner.control(changes)

    def hand_over(self) -> tuple[int, ...]:
        """Return the descriptors of input and output once; they belong to the caller then."""
        with self._lock:
            if self._memory is None:
                return ()
            fds, self._memory.fds = self._memory.fds, ()
        return fds

    def pump(self) -> None:
        """Move what has come to the engine; on the pump's thread."""
        memory = self._memory
        if memory is None:
            return
        try:
            taken = memory.ring.take()
        except EngineError as error:
            self._inner.close()
            self._fail(error)
            return
        if taken is None:
            return
        if taken.generation is not None:
            # Noted first: a frame of the new generation may be made at once.
            before = self._inner.generation
            kept = self._generations.get(before, 0)
            self._generations = {before: kept, before + 1: taken.generation}
            self._inner.clear()
        for start in range(0, taken.silence, RING_SAMPLES):
            self._inner.push(_SILENCE[: taken.silence - start])
        if len(taken.pcm):
            self._inner.push(taken.pcm)

    def publish_counters(self) -> None:
        """Let the worker see the session's counters; on the host's thread."""
        stats = self._inner.stats()
        with self._lock:
            if self._memory is not None:
                self._memory.counters.write(
                    Counters(
                        stats.skipped,
                        stats.discarded,
                        stats.dropped_samples + self._memory.ring.lost,
                        stats.engine_ms_p50,
                        stats.engine_ms_p95,
                    )
                )

    def close(self) -> None:
        """End the session; calling it again does nothing. Its bells are not rung any more."""
        self._free()
        self._inner.close()

    def _free(self) -> bool:
        """Let go of the memory; False where that was done before."""
        with self._lock:
            memory, self._memory = self._memory, None
            if memory is not None:
                memory.close_fds()
        return memory is not None

    def _deliver(self, frame: Frame) -> None:
        generation = self._generations.get(frame.generation)
        if generation is None:
            return
        with self._lock:
            if self._memory is not None:
                self._memory.slots.write(
                    frame.index, generation, frame.i420, frame.speech, frame.alpha
                )
                self._bells[self._inner.phase].ring()

    def _fail(self, error: EngineError) -> None:
        self.failure = error
        if self._free():
            self._on_failed(self, error)
