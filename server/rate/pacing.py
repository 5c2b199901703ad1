"""Large frames leave over some milliseconds instead of at once. Pure.

A burst of twenty packets fills the small queues of home routers, and those that do not fit are
lost. A usual frame is not held up at all.
"""

from __future__ import annotations

__all__ = ["BurstPacer"]

SPEED = 5.0
"""How much faster than the target packets may leave, once a burst was large."""
FREE_SECONDS = 0.012
"""At that speed: one and a half average frames leave at once."""
MOST_SECONDS = 0.020
MIN_RATE = 150_000


class BurstPacer:
    """A leaky bucket for the packets of one stream."""

    def __init__(self) -> None:
        self.rate = 1_200_000
        """The stream's target in bits per second."""
        self._empty = 0.0

    def wait(self, size: int, now: float) -> float:
        """How many seconds to wait before a packet of ``size`` bytes leaves; mostly 0."""
        speed = SPEED * max(MIN_RATE, self.rate)
        self._empty = max(self._empty, now) + size * 8 / speed
        # Never more than this behind: the next frame must not wait for the last one.
        self._empty = min(self._empty, now + FREE_SECONDS + MOST_SECONDS)
        return max(0.0, self._empty - now - FREE_SECONDS)
