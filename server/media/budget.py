"""How long drawing and encoding may take, beyond the look-ahead: what they need and no more.

Frames should be ready just before they are due. Once a second the wait is widened if more
than one frame in ten was late, and narrowed a little if nine in ten had time to spare. Pure.
"""

from __future__ import annotations

from collections import deque

__all__ = ["BudgetControl"]

WINDOW_FRAMES = 50
MIN_FRAMES = 12
STEP = 0.005
MOST_AT_ONCE = 0.020
LEAST = 0.010
MOST = 0.160
LOST = 0.040  # so late, a frame is not shown at all
LATE_SHARE = 0.10
SPARE = 0.010
PLAN_SECONDS = 1.0


class BudgetControl:
    """Watches how late frames are.

    Args:
        seconds: the budget to begin with.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._late: deque[float] = deque(maxlen=WINDOW_FRAMES)
        self._planned = 0.0

    @property
    def seconds(self) -> float:
        """The budget now."""
        return self._seconds

    def ready(self, late: float) -> None:
        """A frame was ready ``late`` seconds after it was due; negative is early."""
        self._late.append(late)

    def plan(self, now: float) -> float:
        """By how many seconds to send everything later from now on; negative for earlier."""
        if len(self._late) < MIN_FRAMES or now - self._planned < PLAN_SECONDS:
            return 0.0
        self._planned = now
        usual_worst = sorted(self._late)[int(len(self._late) * (1 - LATE_SHARE))]
        change = 0.0
        if usual_worst > 0:
            steps = int(usual_worst / STEP) + 1
            at_once = MOST if usual_worst > LOST else MOST_AT_ONCE
            change = min(MOST - self._seconds, at_once, steps * STEP)
        elif usual_worst < -SPARE:
            change = max(LEAST - self._seconds, -STEP)
        if abs(change) < 1e-6:
            return 0.0
        self._seconds += change
        self._late = deque((late - change for late in self._late), maxlen=WINDOW_FRAMES)
        return change
