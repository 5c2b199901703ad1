"""Samples from a worker to the engine: a ring with one writer and one reader, and no lock.

Policy 'drop oldest': the writer never waits. A reader that falls more than a ring behind gets
silence for what it missed, so that the session's timeline stays true, and counts it.

What the writer leaves there is not trusted: positions that no writer of ours leaves are an error of
that session.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import EngineError
from visavis.engines.remote.layout import INPUT, MAGIC, PAGE, RING_SAMPLES, VERSION
from visavis.engines.remote.memory import fence

__all__ = ["MAX_LAG_SAMPLES", "RingReader", "RingWriter", "Taken"]

# A reader this far behind stood still for minutes, and its worker has given it up long ago.
MAX_LAG_SAMPLES = 10 * RING_SAMPLES


@dataclass(frozen=True, slots=True)
class Taken:
    """What a reader found, in this order.

    Attributes:
        generation: `clear` was called and this is its count; None where it was not.
        silence: samples that are gone: cleared before they were read, or lost.
        pcm: f32[n], the samples that follow.
        lost: how many of `silence` were lost.
    """

    generation: int | None
    silence: int
    pcm: NDArray[np.float32]
    lost: int


class RingWriter:
    """The worker's end.

    Args:
        memory: uint8[INPUT_SIZE], new and zero.
    """

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        header = memory[: INPUT.itemsize].view(INPUT)
        self._samples = memory[PAGE:].view(np.float32)
        # Arrays of one element: setting it is one aligned store, which no reader sees by halves.
        self._reserved_field = header["reserved"]
        self._written_field = header["written"]
        self._generation_field = header["generation"]
        self._cleared_at_field = header["cleared_at"]
        self._written = 0
        self._generation = 0
        header["version"] = VERSION
        header["magic"] = MAGIC

    def push(self, pcm: NDArray[np.float32]) -> None:
        """Append f32[n]; what has no room in the ring overwrites the oldest."""
        self._reserved_field[0] = self._written + len(pcm)
        fence()
        skipped = max(0, len(pcm) - RING_SAMPLES)
        kept = pcm[skipped:]
        start = (self._written + skipped) % RING_SAMPLES
        first = min(len(kept), RING_SAMPLES - start)
        self._samples[start : start + first] = kept[:first]
        self._samples[: len(kept) - first] = kept[first:]
        self._written += len(pcm)
        fence()
        self._written_field[0] = self._written

    def clear(self) -> None:
        """Mark everything that was pushed so far as forgotten."""
        self._generation += 1
        self._cleared_at_field[0] = self._written
        fence()
        self._generation_field[0] = self._generation


class RingReader:
    """The engine's end.

    Args:
        memory: uint8[INPUT_SIZE].

    Attributes:
        lost: samples that were overwritten before they were read.
    """

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        self.lost = 0
        header = memory[: INPUT.itemsize].view(INPUT)
        self._fields = {name: header[name] for name in INPUT.fields or ()}
        self._samples = memory[PAGE:].view(np.float32)
        self._read = 0
        self._generation = 0

    def take(self) -> Taken | None:
        """Return what is new, or None.

        Raises:
            EngineError: the worker has damaged its memory.
        """
        generation = self._field("generation")
        fence()
        # Read before `written`: a later `clear` may be seen here, but never one from the future.
        cleared_at = self._field("cleared_at")
        fence()
        written = self._field("written")
        if generation == self._generation and written == self._read:
            return None
        if (
            self._field("magic") != MAGIC
            or self._field("version") != VERSION
            or generation < self._generation
            or cleared_at > written
            or not self._read <= written <= self._read + MAX_LAG_SAMPLES
        ):
            raise EngineError("A worker's ring of samples is damaged.")
        cleared = generation > self._generation
        begin = max(self._read, written - RING_SAMPLES)
        lost = begin - self._read
        if cleared:
            # What is forgotten is not lost.
            lost = max(0, begin - max(self._read, cleared_at))
            begin = max(begin, cleared_at)
        pcm, torn = self._copy(begin, written)
        lost += torn
        silence = begin + torn - self._read
        self.lost += lost
        self._generation, self._read = generation, written
        return Taken(generation if cleared else None, silence, pcm, lost)

    def _copy(self, begin: int, end: int) -> tuple[NDArray[np.float32], int]:
        """Return samples, and how many before them were overwritten meanwhile."""
        start = begin % RING_SAMPLES
        pcm = self._samples[start : start + end - begin].copy()
        if len(pcm) < end - begin:
            pcm = np.concatenate((pcm, self._samples[: end - begin - len(pcm)]))
        fence()
        reserved = self._field("reserved")
        torn = min(max(0, reserved - RING_SAMPLES - begin), end - begin)
        return pcm[torn:], torn

    def _field(self, name: str) -> int:
        return int(self._fields[name][0])
