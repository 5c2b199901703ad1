"""The bit rate of the picture: what the receiver's reports say that the path carries. Pure.

Two kinds of news come. An *estimate* (REMB, draft-alvestrand-rmcat-remb) is the receiver's, from
the delay of what it got. A *report* (RFC 3550, RR) says how much was lost and how long the round
trip was. (Transport-wide feedback would say more; aiortc does not know it.)

Down at once: to the estimate, or to what did arrive. Up slowly, and very slowly near the rate at
which the path was last too full. Random loss of up to a tenth is no reason to send less: the
packets are sent again, and the delay says when a queue fills. After Carlucci et al., "Analysis and
Design of the Google Congestion Control for WebRTC" (2016), in its simplest form.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["LEAST", "MOST", "RateController", "Report"]

LEAST = 150_000
MOST = 2_000_000
WINDOW_SECONDS = 1.0
STALE_SECONDS = 5.0
"""News older than this says nothing."""

HEAVY_LOSS = 0.10
LIGHT_LOSS = 0.02
QUEUE_SECONDS = 0.10
"""A round trip longer than the shortest by this, and by four times the jitter, means a queue."""
BASE_SECONDS = 30.0
BACK_OFF = 0.85
"""Of what arrived: so that the queue can drain."""
CRASH = 0.2
"""One report never leaves less than this of the target; it may be about a moment only."""
HOLD_SECONDS = 1.0
AGAIN_SECONDS = 5.0
FALLING = 0.97
SEEN = 1.3
"""An estimate far above what is sent has no bearing on it."""
OVERDRIVE = 1.5
"""An estimate never exceeds this times what the receiver saw, so more than it is not forbidden."""

FAST = 1.35
SLOW = 1.08
NEAR = 1.04
NEAR_BAND = 1.15


@dataclass(frozen=True, slots=True)
class Report:
    """What a receiver report says.

    ``lost`` is the share of packets lost since the report before, 0 to 1; ``round_trip`` and
    ``jitter`` (RFC 3550, 6.4.1) are in seconds; ``arrived`` is how much came since the report
    before, in bits per second, where it is known.
    """

    lost: float
    round_trip: float | None = None
    jitter: float = 0.0
    arrived: float | None = None


class RateController:
    """Bits per second for the video encoder; every call is given the time.

    Args:
        start: the first target, which is also the most that the picture needs.
        least: never less, in bits per second.
        most: never more.
    """

    def __init__(self, start: int, *, least: int = LEAST, most: int = MOST) -> None:
        self._least = least
        self._cap = most
        self._most = max(least, min(most, start))
        self._target = float(self._most)
        self._sent: deque[tuple[float, int]] = deque()
        self._sent_bytes = 0
        self._estimate: float | None = None
        self._estimate_time = 0.0
        self._trips: deque[tuple[float, float]] = deque()
        self._loss = 0.0
        self._news: float | None = None
        self._hold_until = 0.0
        self._full: float | None = None  # the rate at which the path was last too full
        self._grown = 0.0
        self._decreased = -AGAIN_SECONDS
        self.decreases = 0

    @property
    def estimate(self) -> int | None:
        """The receiver's last estimate in bits per second."""
        return None if self._estimate is None else int(self._estimate)

    def need(self, most: int) -> None:
        """The picture needs more or less than it did. Where the path carried all of it, as far as
        is known it carries the new one too."""
        whole = self._target >= self._most
        self._most = max(self._least, min(self._cap, most))
        self._target = float(self._most) if whole else min(self._target, self._most)

    def sent(self, size: int, now: float) -> None:
        """So many bytes of picture left."""
        self._sent.append((now, size))
        self._sent_bytes += size
        self._forget(now)

    def sending(self, now: float) -> float:
        """Bits per second that left in the last second."""
        self._forget(now)
        return self._sent_bytes * 8 / WINDOW_SECONDS

    def remb(self, bits_per_second: int, now: float) -> None:
        """The receiver's estimate came."""
        self.target(now)
        before, self._estimate = self._estimate, float(bits_per_second)
        self._estimate_time = self._news = now
        sending = self.sending(now)
        # A receiver knows no more than what it was sent: without a fall, a low estimate may only
        # mean that the picture needed few bits.
        fell = bits_per_second < (sending if before is None else FALLING * before)
        if fell and bits_per_second < SEEN * sending:
            self._decrease(float(bits_per_second), now, full=bits_per_second / BACK_OFF)

    def report(self, now: float, report: Report) -> None:
        """A receiver report came."""
        self.target(now)
        self._loss, self._news = report.lost, now
        arrived = self.sending(now) * (1 - report.lost)
        if report.arrived is not None:
            arrived = min(arrived, report.arrived)
        queued = self._queued(report, now)
        if now < self._hold_until:
            return
        if queued:
            to = max(CRASH * self._target, BACK_OFF * min(self._target, arrived))
            self._decrease(to, now, full=arrived)
        elif report.lost > HEAVY_LOSS:
            # No queue: a blackout that is over. If it happens again, a path that polices.
            again = now - self._decreased < AGAIN_SECONDS
            to = self._target * (1 - report.lost / 2)
            self._decrease(to, now, full=arrived if again else None)

    def target(self, now: float) -> int:
        """How much the encoder may make now, in bits per second."""
        passed, self._grown = now - self._grown, now
        fresh = self._news is not None and now - self._news < STALE_SECONDS
        if fresh and now >= self._hold_until and 0 < passed < STALE_SECONDS:
            bound = float(self._most)
            recent = now - self._estimate_time < STALE_SECONDS
            if self._estimate is not None and recent and not self._idle(now):
                bound = min(bound, OVERDRIVE * self._estimate)
            grown = min(bound, self._target * self._growth(now) ** passed)
            self._target = max(self._target, grown)
            if self._full is not None and self._target > NEAR_BAND * self._full:
                self._full = None
        return int(self._target)

    def _growth(self, now: float) -> float:
        """By how much the target grows in a second."""
        if self._full is not None:
            return NEAR
        return SLOW if self._idle(now) or self._loss > LIGHT_LOSS else FAST

    def _queued(self, report: Report, now: float) -> bool:
        """Whether packets wait somewhere on the way."""
        if report.round_trip is None:
            return False
        self._trips.append((now, report.round_trip))
        while self._trips[0][0] < now - BASE_SECONDS:
            self._trips.popleft()
        base = min(trip for _, trip in self._trips)
        return report.round_trip - base > max(QUEUE_SECONDS, 4 * report.jitter)

    def _idle(self, now: float) -> bool:
        """Whether the picture needs far less than it may have: then no trouble is its doing."""
        return self.sending(now) < 0.5 * self._target

    def _decrease(self, to: float, now: float, *, full: float | None) -> None:
        if self._idle(now):
            to, full = max(to, BACK_OFF * self._target), None
        to = max(self._least, min(to, self._target))
        self.decreases += to < self._target
        self._target = to
        self._full = None if full is None else max(full, to)
        self._decreased = now
        self._hold_until = now + HOLD_SECONDS

    def _forget(self, now: float) -> None:
        while self._sent and self._sent[0][0] <= now - WINDOW_SECONDS:
            self._sent_bytes -= self._sent.popleft()[1]
