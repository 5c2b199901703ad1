"""A simulated link and the receiver behind it: a queue that fills, losses, and what is reported.

The receiver's estimate comes from aiortc's own port of Google's delay-based estimator, fed packet
by packet; its reports go out about once a second, as a browser's do.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from aiortc.rate import RemoteBitrateEstimator

from visavis.server.rate.controller import Report
from visavis.server.rate.sizes import SizeLadder

__all__ = ["Link", "Outcome"]

PACKET = 1200
FRAME_SECONDS = 0.04


class Controller(Protocol):
    """What a controller must have; see :class:`visavis.server.rate.controller.RateController`."""

    def sent(self, size: int, now: float) -> None: ...

    def remb(self, bits_per_second: int, now: float) -> None: ...

    def report(self, now: float, report: Report) -> None: ...

    def target(self, now: float) -> int: ...


@dataclass
class Outcome:
    """One row a frame: the time, the target, the queue's delay in seconds, the width."""

    at: list[float] = field(default_factory=list)
    target: list[int] = field(default_factory=list)
    queue: list[float] = field(default_factory=list)
    width: list[int] = field(default_factory=list)

    def between(self, begin: float, end: float, row: str = "target") -> list[float]:
        values = getattr(self, row)
        return [v for t, v in zip(self.at, values, strict=True) if begin <= t < end]


@dataclass
class Link:
    """A path of one bottleneck.

    ``capacity`` in bits per second, ``loss`` (random; 1 loses reports too) and ``content`` (how
    much of its target the encoder uses) are functions of the time; ``queue`` is the longest wait
    in seconds.
    """

    capacity: Callable[[float], float] = lambda now: 10e6
    loss: Callable[[float], float] = lambda now: 0.0
    delay: float = 0.020
    jitter: float = 0.0
    queue: float = 0.4
    estimates: bool = True
    content: Callable[[float], float] = lambda now: 1.0
    seed: int = 1

    def run(self, controller: Controller, seconds: float) -> Outcome:
        """Send frames of the controller's choice over the link."""
        rng = random.Random(self.seed)
        estimator = RemoteBitrateEstimator()
        ladder = SizeLadder(512, 512)
        outcome = Outcome()
        free = 0.0  # when the bottleneck has sent all that it holds
        news: list[tuple[float, Callable[[float], None]]] = []
        expected = received = 0
        arrivals: list[tuple[float, int]] = []
        last_report, next_report = 0.0, 1.0
        for number in range(int(seconds / FRAME_SECONDS)):
            now = number * FRAME_SECONDS
            for when, tell in [n for n in news if n[0] <= now]:
                tell(max(when, now - FRAME_SECONDS))
            news = [n for n in news if n[0] > now]
            target = controller.target(now)
            width, _ = ladder.choose(target, now)
            size = max(60, int(target * FRAME_SECONDS / 8 * self.content(now)))
            controller.sent(size, now)
            free = max(free, now)
            while size > 0:
                part = min(PACKET, size)
                size -= part
                expected += 1
                if free - now > self.queue or rng.random() < self.loss(now):
                    continue
                free += part * 8 / self.capacity(now)
                received += 1
                arrivals.append((free, part * 8))
                arrival = free + self.delay + rng.uniform(0, self.jitter)
                if self.estimates:
                    stamp = int(now * (1 << 18)) & 0xFFFFFF
                    remb = estimator.add(int(arrival * 1000), stamp, part, 1)
                    if remb is not None:
                        news.append(
                            (arrival + self.delay, lambda t, b=remb[0]: controller.remb(b, t))
                        )
            if now >= next_report and self.loss(now) < 1.0:
                trip = free - now + 2 * self.delay + rng.uniform(0, self.jitter)
                bits = sum(b for t, b in arrivals if t <= now)
                arrivals = [a for a in arrivals if a[0] > now]
                report = Report(
                    lost=(expected - received) / max(1, expected),
                    round_trip=trip,
                    jitter=self.jitter / 4,
                    arrived=bits / (now - last_report),
                )
                news.append((now + trip, lambda t, r=report: controller.report(t, r)))
                last_report = now
                expected = received = 0
                next_report = now + rng.uniform(0.5, 1.5)
            outcome.at.append(now)
            outcome.target.append(target)
            outcome.queue.append(free - now)
            outcome.width.append(width)
        return outcome
