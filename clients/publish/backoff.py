"""How long to wait before the next try. Pure."""

from __future__ import annotations

__all__ = ["Backoff"]

FIRST_S = 1.0
MOST_S = 30.0
HELD_S = 20.0
LONGEST_ASKED_S = 600.0


class Backoff:
    """Twice as long after each failure, until a connection has held for a while."""

    def __init__(self) -> None:
        self._next = FIRST_S

    def failed(self, retry_after_s: float | None = None) -> float:
        """Return the seconds to wait now; at least what the other side asked for, up to 600."""
        wait, self._next = self._next, min(MOST_S, self._next * 2)
        return max(wait, min(retry_after_s or 0.0, LONGEST_ASKED_S))

    def held(self, seconds: float) -> None:
        """Note how long a connection lasted."""
        if seconds >= HELD_S:
            self._next = FIRST_S
