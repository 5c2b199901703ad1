"""When a process that ended is started again. Pure: the time is given."""

from __future__ import annotations

from collections import deque

__all__ = ["Backoff"]

FIRST_SECONDS = 0.2
FACTOR = 2.0
STARTS_PER_MINUTE = 6
MINUTE = 60.0
STEADY_SECONDS = 30.0
"""Who has run for so long was all right; what ended it then is a new trouble."""


class Backoff:
    """Delays that double while starts follow each other, and at most so many starts a minute.

    Args:
        first: seconds before the first start after a failure.
        most: starts in any minute; with them used up, the next one waits until one is a minute old.
    """

    def __init__(self, *, first: float = FIRST_SECONDS, most: int = STARTS_PER_MINUTE) -> None:
        self._first = first
        self._most = most
        self._starts: deque[float] = deque(maxlen=most)
        self._failures = 0

    def started(self, now: float) -> None:
        """It was started."""
        self._starts.append(now)

    def ended(self, now: float) -> float:
        """It ended without having been told to; returns when it may be started again."""
        if self._starts and now - self._starts[-1] >= STEADY_SECONDS:
            self._failures = 0
        due = now + self._first * FACTOR**self._failures
        self._failures = min(self._failures + 1, 16)
        if self.exhausted(now):
            due = max(due, self._starts[0] + MINUTE)
        return min(due, now + MINUTE)

    def exhausted(self, now: float) -> bool:
        """Whether a minute's starts are used up: it does not want to live."""
        return len(self._starts) == self._most and now - self._starts[0] < MINUTE
