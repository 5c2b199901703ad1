"""What all recordings of a process add up to, for the metrics."""

from __future__ import annotations

import threading

__all__ = ["Tally"]


class Tally:
    """May be told and read from any thread.

    Attributes:
        running: recordings now.
        bytes: written.
        dropped_frames: of recordings that have ended.
        failures: recordings that ended because they could not go on.
    """

    def __init__(self) -> None:
        self.running = 0
        self.bytes = 0
        self.dropped_frames = 0
        self.failures = 0
        self._lock = threading.Lock()

    def begun(self) -> None:
        """One more recording."""
        with self._lock:
            self.running += 1

    def wrote(self, count: int) -> None:
        """So many bytes more."""
        with self._lock:
            self.bytes += count

    def failed(self) -> None:
        """A recording could not go on."""
        with self._lock:
            self.failures += 1

    def ended(self, dropped_frames: int) -> None:
        """A recording has ended, having left out so many pictures."""
        with self._lock:
            self.running -= 1
            self.dropped_frames += dropped_frames
