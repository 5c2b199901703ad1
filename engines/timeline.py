"""The clockwork of one session: samples in, ticks out. No threads, no clock, no stages.

Tick ``k`` can be taken once ``640 k + 16 L`` samples have come, L being the look-ahead in ms. The
first tick carries the samples ``[0, 16 L)``, every later one the next 640, so audio is consumed
exactly as far as the tick may hear, and what `clear` forgets is exactly what no frame has used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_PENDING_SAMPLES", "MAX_WAITING_TICKS", "TICK_SAMPLES", "Tick", "Timeline"]

RATE = 16000
TICK_SAMPLES = 640
# Policy 'skip oldest': of the ticks that are ready, only the newest two get a picture.
MAX_WAITING_TICKS = 2
# Policy 'drop oldest': audio further ahead of the engine than 20 s is never looked at.
MAX_PENDING_SAMPLES = 20 * RATE


@dataclass(frozen=True, slots=True)
class Tick:
    """One step of a session.

    Attributes:
        index: k.
        generation: of the session when the tick was taken.
        pcm: f32[n], the samples that are new to the stages.
        render: it gets a picture; otherwise only the state moves.
        cleared: `clear` was called since the tick before.
    """

    index: int
    generation: int
    pcm: NDArray[np.float32]
    render: bool
    cleared: bool


class Timeline:
    """Samples that wait, and which tick is next.

    Args:
        lookahead_ms: L.

    Attributes:
        generation: how often `clear` was called.
        skipped: ticks that were taken without a picture, or whose audio was dropped.
        dropped_samples: audio that was dropped.
    """

    def __init__(self, lookahead_ms: int) -> None:
        self.generation = 0
        self.skipped = 0
        self.dropped_samples = 0
        self._next = 0
        self._need = lookahead_ms * RATE // 1000
        self._cleared = False
        # A ring: pushes of single samples must not become hundreds of thousands of arrays.
        self._ring = np.zeros(MAX_PENDING_SAMPLES, np.float32)
        self._start = 0
        self._count = 0

    @property
    def pending_samples(self) -> int:
        """Samples that came and were not taken."""
        return self._count

    @property
    def waiting(self) -> int:
        """Ticks that are ready."""
        return max(0, (self._count - self._need) // TICK_SAMPLES + 1)

    def push(self, pcm: NDArray[np.float32]) -> None:
        """Append samples, f32[n]; they are copied."""
        surplus = self._count + len(pcm) - MAX_PENDING_SAMPLES
        if surplus > 0:
            # Whole ticks, so that what remains still begins where a tick begins.
            ticks = -(-surplus // TICK_SAMPLES)
            dropped = ticks * TICK_SAMPLES
            self._next += ticks
            self.skipped += ticks
            self.dropped_samples += dropped
            pcm = pcm[max(0, dropped - self._count) :]
            self._discard(min(dropped, self._count))
        end = (self._start + self._count) % MAX_PENDING_SAMPLES
        first = min(len(pcm), MAX_PENDING_SAMPLES - end)
        self._ring[end : end + first] = pcm[:first]
        self._ring[: len(pcm) - first] = pcm[first:]
        self._count += len(pcm)

    def clear(self) -> int:
        """Turn the samples that wait into silence and begin a new generation."""
        self.generation += 1
        self._cleared = True
        self._ring[:] = 0.0
        return self.generation

    def take(self) -> Tick | None:
        """Return the next tick, or None where it is not ready."""
        waiting = self.waiting
        if not waiting:
            return None
        indices = slice(self._start, self._start + self._need)
        pcm = self._ring[indices].copy()
        if len(pcm) < self._need:
            pcm = np.concatenate((pcm, self._ring[: self._need - len(pcm)]))
        self._discard(self._need)
        self._need = TICK_SAMPLES
        render = waiting <= MAX_WAITING_TICKS
        self.skipped += not render
        tick = Tick(self._next, self.generation, pcm, render, self._cleared)
        self._next += 1
        self._cleared = False
        return tick

    def _discard(self, count: int) -> None:
        self._start = (self._start + count) % MAX_PENDING_SAMPLES
        self._count -= count
