"""How long the voice waits for its picture, beyond the look-ahead: what it needs and no more.

The wait is widened when one frame in ten is late and narrowed slowly when all are early. Pure.
"""

from __future__ import annotations

from collections import deque

__all__ = ["BudgetControl"]

WINDOW_FRAMES = 50
MIN_FRAMES = 12
STEP = 0.005
LEAST = 0.010
MOST = 0.120
LATE_SHARE = 0.10
SPARE = 0.015  # narrow only when nearly every frame was ready this long before its voice
PLAN_SECONDS = 0.5
NARROW_SECONDS = 10.0


class BudgetControl:
    """Watches how late frames are.

    Args:
        seconds: the budget to begin with.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._late: deque[float] = deque(maxlen=WINDOW_FRAMES)
        self._planned = 0.0
        self._widened = 0.0

    @property
    def seconds(self) -> float:
        """The budget now."""
        return self._seconds

    def ready(self, now: float, late: float) -> None:
        """A frame was ready ``late`` seconds after its voice left; negative is early."""
        if not self._late:
            self._planned = self._widened = now
        self._late.append(late)

    def plan(self, now: float) -> float:
        """By how many seconds to delay the voice more from now on; negative for less."""
        if len(self._late) < MIN_FRAMES or now - self._planned < PLAN_SECONDS:
            return 0.0
        self._planned = now
        ordered = sorted(self._late)
        usual_worst = ordered[int(len(ordered) * (1 - LATE_SHARE))]
        change = 0.0
        if usual_worst > 0:
            steps = int(usual_worst / STEP) + 1
            change = min(MOST - self._seconds, steps * STEP)
            self._widened = now
        elif ordered[-1] < -SPARE and now - self._widened > NARROW_SECONDS:
            change = max(LEAST - self._seconds, -STEP)
            self._widened = now
        if abs(change) < 1e-6:
            return 0.0
        self._seconds += change
        self._late = deque((late - change for late in self._late), maxlen=WINDOW_FRAMES)
        return change
