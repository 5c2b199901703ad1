"""The media clock: steps of 20 ms on one absolute clock, and what is skipped after a stall.

Pure: the time is always given, never read.
"""

from __future__ import annotations

import math

__all__ = ["STEP_SECONDS", "Pacer"]

STEP_SECONDS = 0.020


class Pacer:
    """Says which steps are due. Step ``j`` is due at ``origin + j * step``, for ever.

    A step's time depends on nothing but the origin: a late wake-up never moves later steps.
    """

    def __init__(self, origin: float, *, step: float = STEP_SECONDS) -> None:
        self._origin = origin
        self._step = step
        self._next = 0

    @property
    def next_index(self) -> int:
        """The step that is handed out next."""
        return self._next

    @property
    def next_due(self) -> float:
        """When the next step is due, in seconds of the caller's clock."""
        return self.due(self._next)

    def due(self, index: float) -> float:
        """When step ``index`` is due; fractions of a step are allowed."""
        return self._origin + index * self._step

    def shift(self, seconds: float) -> None:
        """Move all steps that are not handed out yet by ``seconds`` (later when positive)."""
        self._origin += seconds

    def poll(self, now: float) -> range:
        """Hand out every step due at ``now``; the caller decides which are too late to matter."""
        # The tolerance keeps a timer that fires a microsecond early from costing a whole round.
        last = math.floor((now - self._origin) / self._step + 1e-4)
        first, self._next = self._next, max(self._next, last + 1)
        return range(first, self._next)
