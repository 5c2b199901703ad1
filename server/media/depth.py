"""How deep the microphone's buffer should be, and how to get there without being heard.

Each packet is judged by its *slack*: how long before the moment its first sample was needed did it
arrive. The smallest slack of the last two seconds, less a margin, is delay that buys nothing:

* up to 500 ppm of it is absorbed sample by sample (the microphone's clock against ours),
* the rest is skipped when nobody speaks,
* more than 120 ms is cut at once.

The margin widens when sound did not come in time and narrows again over half a minute: 10 ms of
buffer on a quiet loopback, up to 80 ms on a rough network. Pure: the time is given, never read.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Correction", "DepthControl"]

RATE = 48_000
WINDOW_SECONDS = 2.0
MIN_MARGIN = 0.006
MAX_MARGIN = 0.060
MARGIN_STEP = 0.010
MARGIN_DECAY_SECONDS = 30.0
MAX_DEPTH = 0.080
CUT_ABOVE = 0.120
SKIP_ABOVE = 0.004
NUDGE_ABOVE = 0.002
STARTUP_PACKETS = 8
STARTUP_SECONDS = 1.0
# One sample in 2000 is 500 ppm; a chunk has 960.
NUDGE_EVERY_SAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Correction:
    """What to do with the next chunk.

    ``skip`` samples are surplus; ``at_once`` says not to wait for silence. ``nudge`` is 1 to use up
    one sample more than is played, -1 for one less, 0 for neither.
    """

    skip: int = 0
    at_once: bool = False
    nudge: int = 0


class DepthControl:
    """Watches arrivals and says how the depth should change."""

    def __init__(self) -> None:
        self._slacks: deque[tuple[float, float]] = deque()
        self._shift = 0.0  # added to each stored slack; moves when sound is inserted or skipped
        self._margin = MIN_MARGIN
        self._margin_time: float | None = None
        self._started: float | None = None
        self._last_arrival = 0.0
        self._nudge_credit = 0

    @property
    def margin(self) -> float:
        """The slack that is kept on purpose, in seconds."""
        return self._margin

    @property
    def mean_slack(self) -> float:
        """How long packets wait on average until they are played, in seconds."""
        if not self._slacks:
            return 0.0
        return sum(slack for _, slack in self._slacks) / len(self._slacks) + self._shift

    def arrived(self, now: float, slack: float) -> None:
        """A packet came; ``slack`` seconds later its first sample is played."""
        if self._started is None or now - self._last_arrival > 1.0:
            # A microphone that was silent for a while begins anew: its old slack says nothing.
            self._started = now
            self._slacks.clear()
        self._last_arrival = now
        self._slacks.append((now, slack - self._shift))
        while self._slacks[0][0] < now - WINDOW_SECONDS:
            self._slacks.popleft()

    def inserted(self, samples: int) -> None:
        """Sound was made up, so everything after it plays later (``samples`` < 0: earlier)."""
        self._shift += samples / RATE

    def widen(self, now: float) -> None:
        """Sound came too late: keep more of it in hand for a while."""
        self._relax(now)
        self._margin = min(MAX_MARGIN, self._margin + MARGIN_STEP)
        self._margin_time = now

    def plan(self, now: float, chunk: int) -> Correction:
        """What to do with the next ``chunk`` samples."""
        self._relax(now)
        if self._started is None or len(self._slacks) < STARTUP_PACKETS:
            return Correction()
        if now - self._last_arrival > 0.2:
            return Correction()
        least = min(slack for _, slack in self._slacks) + self._shift
        recent = min(self._slacks[-1 - i][1] for i in range(STARTUP_PACKETS)) + self._shift
        excess = max(least - self._margin, recent - MAX_DEPTH)
        if recent - self._margin > CUT_ABOVE:
            return Correction(skip=round((recent - self._margin) * RATE), at_once=True)
        if excess > SKIP_ABOVE:
            starting = now - self._started < STARTUP_SECONDS
            nudge = self._nudge(1, chunk)
            return Correction(skip=round(excess * RATE), at_once=starting, nudge=nudge)
        if abs(excess) > NUDGE_ABOVE:
            return Correction(nudge=self._nudge(1 if excess > 0 else -1, chunk))
        return Correction()

    def _nudge(self, direction: int, chunk: int) -> int:
        self._nudge_credit += chunk
        if self._nudge_credit < NUDGE_EVERY_SAMPLES:
            return 0
        self._nudge_credit = 0
        return direction

    def _relax(self, now: float) -> None:
        if self._margin_time is not None:
            share = (now - self._margin_time) / MARGIN_DECAY_SECONDS
            self._margin = max(MIN_MARGIN, self._margin - (MAX_MARGIN - MIN_MARGIN) * share)
            self._margin_time = None if self._margin == MIN_MARGIN else now
