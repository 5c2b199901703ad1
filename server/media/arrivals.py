"""What the arrival times of packets say: how late the network makes some, and the sender's drift.

Both read a packet's *transit*: when it came less what its timestamp says, which is the network's
delay and an unknown constant. Pure: the time is given, never read.
"""

from __future__ import annotations

from collections import deque

import numpy as np

__all__ = ["MAX_TARGET", "DriftEstimate", "Lateness"]

RATE = 48_000
WINDOW_SECONDS, WINDOW_PACKETS = 2.5, 100  # the longer of the two
MIN_PACKETS = 50
JUMP_SECONDS = 1.0
QUANTILE = 0.95
EVERY = 25  # packets between two looks at the quantile, which cost 0.03 ms
MAX_TARGET = 0.080
PEAK_DECAY = 0.010  # seconds a second: whatever a trouble cost is back within five seconds

BUCKET_SECONDS = 5.0
BUCKETS = 25
MIN_BUCKETS = 5
APART = 6


class Lateness:
    """How much later than the quickest of late packets come, and how much of it to wait for.

    The target is the 95th percentile of the last seconds, and at once that of a packet which missed
    its step; of that memory 10 ms a second are lost. Packets later than :data:`MAX_TARGET` do not
    count: a stall of the network is not waited for, or everything would always be that late.
    """

    def __init__(self) -> None:
        self._transits: deque[float] = deque()
        self._times: deque[float] = deque()
        self._quickest = 0.0
        self._quantile = 0.0
        self._count = 0
        self._peak = 0.0
        self._peak_time = 0.0

    def arrived(self, now: float, timestamp: int) -> float:
        """A packet came; returns by how much it was later than the quickest.

        ``timestamp`` never wraps.
        """
        transit = now - timestamp / RATE
        if self._transits and abs(transit - self._transits[-1]) > JUMP_SECONDS:
            self._transits.clear()  # the sender began anew
            self._times.clear()
        if not self._transits:
            self._quickest = transit
        self._transits.append(transit)
        self._times.append(now)
        while len(self._times) > WINDOW_PACKETS and self._times[0] < now - WINDOW_SECONDS:
            self._transits.popleft()
            self._times.popleft()
        if self._count % EVERY == 0:
            self._look()
        self._count += 1
        self._quickest = min(self._quickest, transit)
        return transit - self._quickest

    def _look(self) -> None:
        transits = np.fromiter(self._transits, float)
        self._quickest = float(transits.min())
        late = transits - self._quickest
        late = late[late <= MAX_TARGET]
        rank = int(QUANTILE * len(late))
        known = len(late) >= MIN_PACKETS  # a connection often begins with a burst
        self._quantile = float(np.partition(late, rank)[rank]) if known else 0.0

    def missed(self, now: float, late: float) -> None:
        """A packet that was so late was of no use: wait for such from now on."""
        if late <= MAX_TARGET:
            self._peak, self._peak_time = max(self._peak_at(now), late), now

    def target(self, now: float) -> float:
        """For how late a packet to wait, in seconds."""
        return min(MAX_TARGET, max(self._quantile, self._peak_at(now)))

    def _peak_at(self, now: float) -> float:
        return max(0.0, self._peak - PEAK_DECAY * (now - self._peak_time))


class DriftEstimate:
    """How much faster than ours the sender's clock is, from the quickest packets of two minutes.

    The slope is the median of those between spans half a minute apart (after Theil, 1950), so that
    one change of the route does not look like a drift.
    """

    def __init__(self) -> None:
        self._spans: deque[tuple[float, float]] = deque(maxlen=BUCKETS)
        self._begin: float | None = None
        self._best = (0.0, 0.0)

    def arrived(self, now: float, timestamp: int) -> None:
        """A packet came; ``timestamp`` never wraps."""
        transit = now - timestamp / RATE
        if self._spans and abs(transit - self._spans[-1][1]) > JUMP_SECONDS:
            self._spans.clear()
            self._begin = None
        if self._begin is None:
            self._begin, self._best = now, (now, transit)
        elif now - self._begin >= BUCKET_SECONDS:
            self._spans.append(self._best)
            self._begin, self._best = now, (now, transit)
        elif transit < self._best[1]:
            self._best = (now, transit)

    @property
    def ppm(self) -> float | None:
        """Parts per million, positive where the sender is fast; None for the first half minute."""
        if len(self._spans) < MIN_BUCKETS:
            return None
        when, transit = np.array(self._spans).T
        apart = min(APART, len(when) - 1)
        slopes = (transit[apart:] - transit[:-apart]) / (when[apart:] - when[:-apart])
        return float(-np.median(slopes) * 1e6)
