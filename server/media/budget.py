"""How long drawing and encoding may take, beyond the look-ahead: what they need and no more.

Frames should be ready just before they are due. Once a second the wait is widened if more than one
frame in ten was late for most of the last two and a half seconds, and narrowed by half of what
nobody needed. A freeze of the machine, which is over when it is noticed, changes nothing: it makes
a few frames late, however late, and a wider budget would not have helped. Pure.
"""

from __future__ import annotations

from collections import deque

__all__ = ["BudgetControl"]

WINDOW_FRAMES = 12
WINDOWS = 5
STEP = 0.005
MOST_AT_ONCE = 0.020
NARROW_AT_ONCE = 0.040
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
        self._late: deque[float] = deque(maxlen=WINDOW_FRAMES * WINDOWS)
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
        if len(self._late) < WINDOW_FRAMES or now - self._planned < PLAN_SECONDS:
            return 0.0
        self._planned = now
        worst = sorted(self._usual_worst())
        typical, spare = worst[len(worst) // 2], -worst[-1]
        change = 0.0
        if typical > 0:
            steps = int(typical / STEP) + 1
            at_once = MOST if typical > LOST else MOST_AT_ONCE
            change = min(MOST - self._seconds, at_once, steps * STEP)
        elif spare > SPARE:
            less = min(NARROW_AT_ONCE, max(STEP, (spare - SPARE) / 2))
            change = max(LEAST - self._seconds, -less)
        if abs(change) < 1e-6:
            return 0.0
        self._seconds += change
        self._late = deque((late - change for late in self._late), maxlen=self._late.maxlen)
        return change

    def _usual_worst(self) -> list[float]:
        """For each window of half a second, the newest first: later than this was one in ten."""
        frames = list(self._late)[::-1]
        count = len(frames) // WINDOW_FRAMES
        windows = [sorted(frames[n * WINDOW_FRAMES :][:WINDOW_FRAMES]) for n in range(count)]
        return [window[int(WINDOW_FRAMES * (1 - LATE_SHARE))] for window in windows]
