"""When a picture is shown that came over a network. Pure: every call is given the time."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["Playout"]

MARGIN_S = 0.060
FORGET_S = 10.0
MOST = 32

Shown = TypeVar("Shown")


class Playout(Generic[Shown]):
    """Holds pictures until they are due, by the quickest of what came lately.

    A picture of media time p is due at p plus the least time that anything took to come in the last
    ten seconds, plus a margin for what takes longer. Of several that are due the newest is shown.

    Args:
        margin_s: seconds.

    Attributes:
        dropped: pictures that a newer one overtook, or for which there was no room.
    """

    def __init__(self, margin_s: float = MARGIN_S) -> None:
        self._margin = margin_s
        self._took: deque[tuple[float, float]] = deque()  # when, and arrival less pts; rising
        self._waiting: deque[tuple[float, Shown]] = deque()
        self.dropped = 0

    def came(self, pts_s: float, now: float) -> None:
        """Note that something of that media time came."""
        took = now - pts_s
        while self._took and self._took[-1][1] >= took:
            self._took.pop()
        self._took.append((now, took))
        while self._took[0][0] < now - FORGET_S:
            self._took.popleft()

    def put(self, pts_s: float, picture: Shown, now: float) -> None:
        """Take a picture; they come in order."""
        self.came(pts_s, now)
        self._waiting.append((pts_s, picture))
        while len(self._waiting) > MOST:
            self._waiting.popleft()
            self.dropped += 1

    def due(self, now: float) -> Shown | None:
        """Return the newest picture that is due, once; None where there is none."""
        if not self._took:
            return None
        newest: Shown | None = None
        while self._waiting and self._waiting[0][0] + self._took[0][1] + self._margin <= now:
            self.dropped += newest is not None
            newest = self._waiting.popleft()[1]
        return newest

    def clear(self) -> None:
        """Show nothing of what waits."""
        self._waiting.clear()
