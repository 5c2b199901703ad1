"""A link that loses, delays, shuffles and squeezes packets. Pure: the time is given.

The same seed gives the same fate to the n-th packet, whatever the conditions are and whenever it
comes: numbers are drawn for each packet, also where the conditions have no use for them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["Conditions", "Counters", "Link"]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What happens to packets; as it is, nothing but the delay.

    Attributes:
        delay_s: for every packet, one way.
        jitter_s: up to so much more, uniformly; packets do not overtake one another by it.
        loss: share of the packets that vanish, each by itself.
        reorder: share of the packets that those behind them overtake.
        reorder_s: how much later such a packet comes.
        rate_bps: of a bottleneck; None for none.
        queue_s: the longest wait before the bottleneck. What would wait longer is dropped.
        burst_bytes: what the bottleneck lets through at once after a pause.
        dark: nothing gets through at all.
    """

    delay_s: float = 0.010
    jitter_s: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    reorder_s: float = 0.030
    rate_bps: float | None = None
    queue_s: float = 0.3
    burst_bytes: int = 3000
    dark: bool = False


@dataclass(slots=True)
class Counters:
    """What became of the packets."""

    packets: int = 0
    lost: int = 0
    overflowed: int = 0
    dark: int = 0
    overtaken: int = 0


class Link:
    """One direction of a path.

    Args:
        seed: decides each packet's fate.
        conditions: may be changed at any time.
    """

    def __init__(self, seed: int, conditions: Conditions | None = None) -> None:
        self.conditions = conditions or Conditions()
        self.counters = Counters()
        self._random = random.Random(seed)
        self._free = 0.0  # when the bottleneck has sent all that it holds
        self._last = 0.0  # when the latest packet that nobody may overtake arrives

    def send(self, packet: bytes, now: float) -> list[tuple[float, bytes]]:
        """Send a packet; what arrives and when: one packet or none.

        Args:
            packet: as it goes over the link; its length is what a bottleneck counts.
            now: seconds, never less than before.
        """
        given = self.conditions
        counters = self.counters
        loss, jitter, reorder = (self._random.random() for _ in range(3))
        counters.packets += 1
        if given.dark:
            counters.dark += 1
            return []
        if loss < given.loss:
            counters.lost += 1
            return []
        leaves = now
        if given.rate_bps is not None:
            free = max(self._free, now - given.burst_bytes * 8 / given.rate_bps)
            if free - now > given.queue_s:
                counters.overflowed += 1
                return []
            self._free = free + len(packet) * 8 / given.rate_bps
            leaves = max(now, self._free)
        arrives = leaves + given.delay_s + jitter * given.jitter_s
        if reorder < given.reorder:
            counters.overtaken += 1
            return [(max(arrives, self._last) + given.reorder_s, packet)]
        self._last = max(arrives, self._last)
        return [(self._last, packet)]
