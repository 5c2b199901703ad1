"""A cheap engine with the whole contract: its pictures are a digest of all that it has heard.

Two sessions of one seed give the same pictures only if they have heard the same samples in the same
ticks, with `clear` at the same place. It needs neither numba nor ONNX, so a process of it starts
quickly.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import (
    PHASES,
    ControlNames,
    EngineLoad,
    Frame,
    PersonInfo,
    SessionStats,
)
from visavis.engines.errors import (
    ControlError,
    DeviceLost,
    EngineError,
    EngineFull,
    UnknownPerson,
)
from visavis.engines.timeline import Tick, Timeline

__all__ = ["BREAK", "DEVICE_LOST", "TickEngine", "person"]

# Samples that make a session fail, and a device get lost.
BREAK, DEVICE_LOST = 99.0, 98.0


def person(
    name: str = "ada", *, width: int = 64, height: int = 48, matte: bool = False
) -> PersonInfo:
    return PersonInfo(
        name=name,
        display_name=name.title(),
        width=width,
        height=height,
        fps=25,
        lookahead_ms=100,
        lookaheads_ms=(40, 100, 200),
        id=hashlib.sha256(f"{name} {width} {height}".encode()).hexdigest(),
        has_preview=name == "ada",
        controls=ControlNames(("calm",), "calm", ("own", "still"), ("wave",)),
        has_matte=matte,
        face=(0.5, 0.25, 0.5) if matte else None,
    )


class TickSession:
    """A session of a `TickEngine`."""

    def __init__(
        self,
        engine: TickEngine,
        info: PersonInfo,
        on_frame: Callable[[Frame], None],
        on_error: Callable[[EngineError], None] | None,
        lookahead_ms: int,
        seed: int | None,
        phase: int,
    ) -> None:
        self.info = info
        self.phase = phase
        self.timeline = Timeline(lookahead_ms)
        self.on_frame = on_frame
        self.on_error = on_error
        self.digest = hashlib.sha256(str(seed).encode())
        self.rendered = 0
        self.delivered = 0
        self.discarded = 0
        self.failed: str | None = None
        self.closed = False
        self.pace = 12.5
        self.choice: dict[str, Any] = {
            "style": None,
            "head": "own",
            "performance": None,
            "matte": False,
        }
        self._engine = engine

    @property
    def generation(self) -> int:
        return self.timeline.generation

    def push(self, pcm: NDArray[np.float32]) -> None:
        with self._engine.condition:
            if not self.closed:
                self.timeline.push(pcm)
                self._engine.condition.notify()

    def clear(self) -> int:
        with self._engine.condition:
            return self.timeline.clear()

    def control(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        with self._engine.condition:
            if changes.get("head", "own") not in self.info.controls.heads:
                raise ControlError(f"There is no head {changes['head']!r}.")
            if changes.get("matte") and not self.info.has_matte:
                raise ControlError("This person has no matte.")
            self.choice = {**self.choice, **changes}
            return dict(self.choice)

    def stats(self) -> SessionStats:
        with self._engine.condition:
            timeline = self.timeline
            return SessionStats(
                self.rendered,
                timeline.skipped,
                self.discarded,
                timeline.dropped_samples,
                1.5,
                2.5,
                self.failed,
            )

    def close(self) -> None:
        with self._engine.condition:
            self.closed = True
            self._engine.sessions.pop(self, None)

    def picture(self, tick: Tick) -> NDArray[np.uint8]:
        self.digest.update(tick.pcm.tobytes() + bytes([tick.cleared]))
        rows, columns = self.info.height * 3 // 2, self.info.width
        return np.resize(np.frombuffer(self.digest.digest(), np.uint8), (rows, columns))

    def alpha(self) -> NDArray[np.uint8] | None:
        """Of the picture that was made last: the same digest, backwards."""
        if not self.choice["matte"]:
            return None
        digest = np.frombuffer(self.digest.digest()[::-1], np.uint8)
        return np.resize(digest, (self.info.height, self.info.width))


class TickEngine:
    """An engine of one thread; see `client.EngineClient`."""

    def __init__(
        self,
        persons: tuple[PersonInfo, ...] = (),
        *,
        capacity: int = 16,
        memory_for: int | None = None,
    ) -> None:
        self.infos = persons or (person(), person("ben", width=96))
        self.condition = threading.Condition()
        self.sessions: dict[TickSession, None] = {}
        self.prepared: list[str] = []
        self.gate = threading.Event()  # of `prepare`
        self.gate.set()
        self._paused = False
        self.opened = 0
        self._capacity = capacity
        self._memory_for = memory_for
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Take no tick until `resume`."""
        with self.condition:
            self._paused = True

    def resume(self) -> None:
        with self.condition:
            self._paused = False
            self.condition.notify()

    def persons(self) -> tuple[PersonInfo, ...]:
        return self.infos

    def poster(self, person: str) -> bytes:
        return b"poster of " + self._info(person).name.encode()

    def preview(self, person: str) -> bytes | None:
        return b"moving " * 100_000 if self._info(person).has_preview else None

    def plate(self, person: str) -> bytes | None:
        info = self._info(person)
        return b"plate" * info.width if info.has_matte else None

    def prepare(self, person: str) -> None:
        self._info(person)
        assert self.gate.wait(20)
        self.prepared.append(person)

    def capacity(self) -> int:
        return self._capacity

    def load(self) -> EngineLoad:
        return EngineLoad(400.0, 1, shares_cores=False)

    def _info(self, name: str) -> PersonInfo:
        for info in self.infos:
            if info.name == name:
                return info
        raise UnknownPerson(name, tuple(info.name for info in self.infos))

    def open(
        self,
        person: str,
        on_frame: Callable[[Frame], None],
        *,
        lookahead_ms: int | None = None,
        seed: int | None = None,
        on_error: Callable[[EngineError], None] | None = None,
    ) -> TickSession:
        info = self._info(person)
        with self.condition:
            if self._memory_for is not None and len(self.sessions) >= self._memory_for:
                raise MemoryError("no memory for a session's state")
            if len(self.sessions) >= self._capacity:
                raise EngineFull(self._capacity)
            phase = self.opened % PHASES
            self.opened += 1
            lookahead_ms = lookahead_ms or info.lookahead_ms
            session = TickSession(self, info, on_frame, on_error, lookahead_ms, seed, phase)
            self.sessions[session] = None
        return session

    def close(self) -> None:
        with self.condition:
            self._closed = True
            self.condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self.condition:
                found = self._next()
                while found is None and not self._closed:
                    self.condition.wait()
                    found = self._next()
                if found is None:
                    return
                session, tick = found
                picture, alpha = session.picture(tick), session.alpha()
                loud = float(np.abs(tick.pcm).max())
                show = tick.render and tick.generation == session.timeline.generation
                session.rendered += show
            if loud in (BREAK, DEVICE_LOST):
                session.close()
                session.failed = "broken"
                kind = DeviceLost if loud == DEVICE_LOST else EngineError
                if session.on_error is not None:
                    session.on_error(kind("The session failed in the engine: broken."))
            elif show:
                session.on_frame(Frame(tick.index, tick.generation, picture, min(1.0, loud), alpha))
                session.delivered += 1

    def _next(self) -> tuple[TickSession, Tick] | None:
        for session in () if self._paused else self.sessions:
            if (tick := session.timeline.take()) is not None:
                # To the end of the line.
                del self.sessions[session]
                self.sessions[session] = None
                return session, tick
        return None
