"""Engines for measuring: one that labels and notes every frame of another, and a bare echo.

The server holds them as it holds any `EngineClient`; it knows nothing of the measurement.
"""

from __future__ import annotations

import io
import itertools
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from visavis.benchmarks.live import barcode
from visavis.benchmarks.live.records import ServerNotes
from visavis.engines.client import (
    EngineClient,
    EngineLoad,
    EngineSession,
    Frame,
    PersonInfo,
    SessionStats,
)
from visavis.engines.errors import ControlError, EngineError, EngineFull, UnknownPerson
from visavis.engines.person import Person

__all__ = ["ECHO_LOOKAHEAD_MS", "BarcodeEngine", "EchoEngine", "background", "checksum"]

ECHO_LOOKAHEAD_MS = 40
TICK_SAMPLES = 640
LONGEST_BACKGROUND = 125  # frames kept of it: 5 s, 50 MB at 512 x 512


def checksum(i420: NDArray[np.uint8]) -> int:
    """A checksum of every fourth row of a frame: equal pictures, equal numbers."""
    return zlib.crc32(np.ascontiguousarray(i420[::4]).tobytes())


class BarcodeEngine:
    """Gives what another engine gives, with each frame's index drawn into it, and notes the times.

    Args:
        engine: the engine that is measured.
        folder: where each session's `ServerRecord` is written when it closes, as
            ``session-N.npz``, N counting from 1 in the order of opening.
    """

    def __init__(self, engine: EngineClient, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self._numbers = itertools.count(1)

    def persons(self) -> Sequence[PersonInfo]:
        """The measured engine's persons."""
        return self._engine.persons()

    def poster(self, person: str) -> bytes:
        """The measured engine's picture of the person."""
        return self._engine.poster(person)

    def preview(self, person: str) -> bytes | None:
        """The measured engine's clip of the person."""
        return self._engine.preview(person)

    def plate(self, person: str) -> bytes | None:
        """What the measured engine says stood behind the person."""
        return self._engine.plate(person)

    def prepare(self, person: str) -> None:
        """Let the measured engine load the person."""
        self._engine.prepare(person)

    def capacity(self) -> int:
        """The measured engine's capacity."""
        return self._engine.capacity()

    def load(self) -> EngineLoad:
        """The measured engine's load."""
        return self._engine.load()

    def open(
        self,
        person: str,
        on_frame: Callable[[Frame], None],
        *,
        lookahead_ms: int | None = None,
        seed: int | None = None,
        on_error: Callable[[EngineError], None] | None = None,
    ) -> EngineSession:
        """Begin a session of the measured engine, with a fixed seed if none is given."""
        info = next((info for info in self.persons() if info.name == person), None)
        own = info.lookahead_ms if info else 0
        notes = ServerNotes(own if lookahead_ms is None else lookahead_ms)

        def label(frame: Frame) -> None:
            made = time.monotonic()
            busy = time.thread_time()
            picture = checksum(frame.i420)
            barcode.draw(frame.i420, frame.index)
            notes.frames.append((frame.index, made, picture, frame.speech, frame.generation))
            notes.overhead_s += time.thread_time() - busy
            on_frame(frame)

        session = self._engine.open(
            person,
            label,
            lookahead_ms=lookahead_ms,
            seed=1 if seed is None else seed,
            on_error=on_error,
        )
        return _NotedSession(session, notes, self._folder / f"session-{next(self._numbers)}.npz")

    def close(self) -> None:
        """Close the measured engine."""
        self._engine.close()


class _NotedSession:
    """A session of a `BarcodeEngine`."""

    def __init__(self, session: EngineSession, notes: ServerNotes, path: Path) -> None:
        self._session = session
        self._notes = notes
        self._path = path
        self._closed = False

    @property
    def generation(self) -> int:
        return self._session.generation

    @property
    def phase(self) -> int:
        return self._session.phase

    @property
    def pace(self) -> float:
        return self._session.pace

    def control(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        return self._session.control(changes)

    def push(self, pcm: NDArray[np.float32]) -> None:
        self._notes.pieces.append(pcm.copy())
        self._notes.push_time.append(time.monotonic())
        self._session.push(pcm)

    def clear(self) -> int:
        return self._session.clear()

    def stats(self) -> SessionStats:
        return self._session.stats()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        record = self._notes.record(self._session.stats())
        self._session.close()
        record.save(self._path)


class EchoEngine:
    """The least an engine can do: frame k as soon as its own 40 ms have come, from stored pictures.

    What it costs and how late it is, is the cost and the delay of everything but the engine.

    Args:
        frames: the pictures to show, forwards and backwards without end; I420 uint8[H*3//2, W].
        name, poster: what the page is told.
    """

    def __init__(
        self, frames: Sequence[NDArray[np.uint8]], *, name: str = "echo", poster: bytes = b""
    ) -> None:
        rows, width = frames[0].shape
        there = list(frames)
        self._frames = there + there[-2:0:-1]
        self._info = PersonInfo(
            name=name,
            display_name="Echo",
            width=width,
            height=rows * 2 // 3,
            fps=25,
            lookahead_ms=ECHO_LOOKAHEAD_MS,
            lookaheads_ms=(ECHO_LOOKAHEAD_MS,),
            id=f"{checksum(frames[0]):064x}",
            has_preview=False,
        )
        self._poster = poster
        self._open = 0

    def persons(self) -> Sequence[PersonInfo]:
        """The echo alone."""
        return (self._info,)

    def poster(self, person: str) -> bytes:
        """What it was given."""
        self.prepare(person)
        return self._poster

    def preview(self, person: str) -> bytes | None:
        """It has none."""
        self.prepare(person)
        return None

    def plate(self, person: str) -> bytes | None:
        """It has none."""
        self.prepare(person)
        return None

    def prepare(self, person: str) -> None:
        """Nothing is loaded later."""
        if person != self._info.name:
            raise UnknownPerson(person, (self._info.name,))

    def capacity(self) -> int:
        """More than one benchmark opens."""
        return 8

    def load(self) -> EngineLoad:
        """As if it were the processor's whole work; the echo costs next to nothing."""
        return EngineLoad(1e4, 1, shares_cores=True)

    def open(
        self,
        person: str,
        on_frame: Callable[[Frame], None],
        *,
        lookahead_ms: int | None = None,
        seed: int | None = None,
        on_error: Callable[[EngineError], None] | None = None,
    ) -> EngineSession:
        """Begin a session; it has one look-ahead, and seed and on_error play no part."""
        self.prepare(person)
        if self._open >= self.capacity():
            raise EngineFull(self.capacity())
        self._open += 1
        return _EchoSession(self._frames, on_frame, self._left)

    def close(self) -> None:
        """Nothing to end: sessions hold no threads."""

    def _left(self) -> None:
        self._open -= 1


class _EchoSession:
    """A session of an `EchoEngine`."""

    def __init__(
        self,
        frames: list[NDArray[np.uint8]],
        on_frame: Callable[[Frame], None],
        left: Callable[[], None],
    ) -> None:
        self._frames = frames
        self._on_frame = on_frame
        self._left = left
        self._lock = threading.Lock()
        self._samples = 0
        self._made = 0
        self._closed = False
        self.generation = 0
        self.phase = 0
        self.pace = 1e4  # next to nothing, as `EchoEngine.load` says

    def push(self, pcm: NDArray[np.float32]) -> None:
        with self._lock:
            self._samples += pcm.size
            ready = range(self._made, self._samples // TICK_SAMPLES)
            self._made = max(self._made, ready.stop)
        for index in ready:
            picture = self._frames[index % len(self._frames)].copy()
            self._on_frame(Frame(index, self.generation, picture, 1.0))

    def clear(self) -> int:
        self.generation += 1
        return self.generation

    def control(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        if changes:
            raise ControlError("There is nothing to choose of an echo.")
        return {"style": None, "head": None, "performance": None}

    def stats(self) -> SessionStats:
        return SessionStats(self._made, 0, 0, 0, 0.0, 0.0, None)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._left()


def background(person: Person) -> list[NDArray[np.uint8]]:
    """The first frames of a person's own background, I420: what an encoder meets in its life."""
    frames: list[NDArray[np.uint8]] = []
    video = next(
        part
        for part in person.stage_parts("background").values()
        if isinstance(part, bytes) and part[4:8] == b"ftyp"
    )
    with av.open(io.BytesIO(video), "r") as container:
        for frame in container.decode(video=0):
            frames.append(np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8))
            if len(frames) == LONGEST_BACKGROUND:
                break
    return frames
