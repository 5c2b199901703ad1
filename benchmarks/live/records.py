"""What the server's side of a measurement noted, and the file it travels in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import SessionStats

__all__ = ["RATE", "ServerRecord"]

RATE = 16_000  # Hz, of what a session is given


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """One session, seen from its engine. Times are seconds of the machine's monotonic clock.

    Attributes:
        lookahead_ms: L of the person.
        pcm: f32[n], all samples that were given, from the start of the timeline.
        push_time: f64[p], when each piece of them was given.
        push_end: i64[p], how many samples there were after it.
        index: i64[f], of each frame that came back, in order.
        made: f64[f], when it came back.
        picture: u32[f], a checksum of its pixels: equal for a repeated picture.
        speech: f32[f], what the engine took for speech.
        generation: i64[f], of the frame.
        rendered, skipped: the engine's own counters.
        engine_ms: (p50, p95) of the engine's own time for a frame.
        overhead_s: processor time that the measurement itself took in the server.
    """

    lookahead_ms: int
    pcm: NDArray[np.float32]
    push_time: NDArray[np.float64]
    push_end: NDArray[np.int64]
    index: NDArray[np.int64]
    made: NDArray[np.float64]
    picture: NDArray[np.uint32]
    speech: NDArray[np.float32]
    generation: NDArray[np.int64]
    rendered: int
    skipped: int
    engine_ms: tuple[float, float]
    overhead_s: float

    def given(self, sample: NDArray[np.integer]) -> NDArray[np.float64]:
        """When each of these samples of the timeline was given; NaN where it never was."""
        piece = np.searchsorted(self.push_end, sample, side="right")
        times = np.append(self.push_time, np.nan)
        return times[np.minimum(piece, self.push_time.size)]

    def save(self, path: Path) -> None:
        """Write it all at once, so that whoever waits for the file finds it whole."""
        partial = path.with_suffix(".partial")
        values: dict[str, Any] = {
            name: np.asarray(getattr(self, name)) for name in self.__dataclass_fields__
        }
        with partial.open("wb") as file:
            np.savez(file, **values)
        partial.rename(path)

    @classmethod
    def load(cls, path: Path) -> ServerRecord:
        """Read what `save` wrote."""
        with np.load(path) as file:
            values = {name: file[name] for name in cls.__dataclass_fields__}
        p50, p95 = values.pop("engine_ms").tolist()
        plain = {
            name: values.pop(name).item()
            for name in ("lookahead_ms", "rendered", "skipped", "overhead_s")
        }
        return cls(**values, **plain, engine_ms=(p50, p95))


class ServerNotes:
    """Collects a `ServerRecord` while a session runs. Not locked: each list has one writer."""

    def __init__(self, lookahead_ms: int) -> None:
        self.lookahead_ms = lookahead_ms
        self.pieces: list[NDArray[np.float32]] = []
        self.push_time: list[float] = []
        self.frames: list[tuple[int, float, int, float, int]] = []
        self.overhead_s = 0.0

    def record(self, stats: SessionStats) -> ServerRecord:
        """What was noted so far."""
        frames = self.frames.copy()
        pieces = self.pieces.copy()
        columns = list(zip(*frames, strict=True)) if frames else [()] * 5
        return ServerRecord(
            lookahead_ms=self.lookahead_ms,
            pcm=np.concatenate([np.zeros(0, np.float32), *pieces]),
            push_time=np.array(self.push_time[: len(pieces)], np.float64),
            push_end=np.cumsum([piece.size for piece in pieces], dtype=np.int64),
            index=np.array(columns[0], np.int64),
            made=np.array(columns[1], np.float64),
            picture=np.array(columns[2], np.uint32),
            speech=np.array(columns[3], np.float32),
            generation=np.array(columns[4], np.int64),
            rendered=stats.rendered,
            skipped=stats.skipped,
            engine_ms=(stats.engine_ms_p50, stats.engine_ms_p95),
            overhead_s=self.overhead_s,
        )
