"""How many sessions an engine carries, from how long its batches take. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

__all__ = [
    "SHARE",
    "BatchCosts",
    "batch_seconds",
    "frames_per_second",
    "in_time",
    "sessions_carried",
    "worst",
]

BatchCosts = Mapping[int, float]
"""Seconds that a batch takes, by how many sessions are in it; 1 is among them."""

SHARE = 0.8
"""How much of an engine thread's time sessions may take.

Ticks are periodic, so work that fits into the 40 ms of a tick does not queue: it is not the 60 or
70 % of a queue with random arrivals. What has to fit beside it is what the median of a quiet start
does not show: the slowest of ten batches takes about an eighth longer, a session that begins
decodes a second of pictures on its thread, and a person that is being loaded takes caches and
memory bandwidth, if not the thread. A fifth covers these. Encoders and packets are not in it:
whoever shares the cores with the engine divides them by `EngineClient.load`.
"""


def batch_seconds(costs: BatchCosts, size: int) -> float:
    """Return how long `size` sessions of one group take, one tick of each.

    Between measured sizes it is interpolated; more than the largest of them run as several batches.
    """
    largest = max(costs)
    whole, rest = divmod(size, largest)
    return whole * costs[largest] + (_between(costs, rest) if rest else 0.0)


def _between(costs: BatchCosts, size: int) -> float:
    if size in costs:
        return costs[size]
    below = max(known for known in costs if known < size)
    above = min(known for known in costs if known > size)
    share = (size - below) / (above - below)
    return costs[below] + share * (costs[above] - costs[below])


def sessions_carried(
    costs: BatchCosts, *, threads: int, fps: int = 25, phases: int = 4, share: float = SHARE
) -> int:
    """Return how many sessions all of `threads` carry, at least 1.

    The sessions of a thread are spread over `phases` groups, and each group is a batch: so few
    sessions run one by one, whatever a large batch would save.

    Args:
        costs: of one thread while the others work as well.
        threads: engine threads, with the same number of sessions each.
        fps: frames per second of a session.
        phases: groups.
        share: of a thread's time that sessions may take.
    """
    budget = share / fps
    # Each further session costs something, so a frame time of the cheapest bounds the search.
    cheapest = min(seconds / size for size, seconds in costs.items())
    most = max(1, math.ceil(budget / cheapest)) if cheapest > 0 else 1
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if _tick_seconds(costs, middle, phases) <= budget:
            low = middle
        else:
            high = middle - 1
    return max(1, low * threads)


def _tick_seconds(costs: BatchCosts, sessions: int, phases: int) -> float:
    """Seconds for one tick of so many sessions in groups that are as equal as they can be."""
    small, larger = divmod(sessions, phases)
    return larger * batch_seconds(costs, small + 1) + (
        (phases - larger) * batch_seconds(costs, small) if small else 0.0
    )


def frames_per_second(costs: BatchCosts, *, threads: int) -> float:
    """Return what all threads make together: the lower one of single sessions and full batches."""
    largest = max(costs)
    return threads * min(1.0 / costs[1], largest / costs[largest])


def in_time(many: Sequence[BatchCosts], *, fps: int = 25) -> Sequence[BatchCosts]:
    """Return the costs of persons whose pictures are made in time; all, where none's are.

    A person that no thread shows at `fps` has a thread to itself whenever it is shown. How many
    sessions of the others fit is not its to say.
    """
    return [costs for costs in many if costs[1] <= 1.0 / fps] or many


def worst(many: Sequence[BatchCosts]) -> BatchCosts:
    """Return, for each size that all of `many` know, the longest time.

    For threads that share caches and cores, and for persons of which one costs more.
    """
    sizes = set.intersection(*(set(costs) for costs in many))
    return {size: max(costs[size] for costs in many) for size in sorted(sizes)}
