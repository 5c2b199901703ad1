"""Which ticks run together, and which wait: a policy without threads or clocks.

Whoever has waited longest goes first, and everybody who can share that tick's launch and is ready
goes along, oldest first. A session that has had its turn is as old as its turn, however much audio
waits in it. So a session waits for at most one turn of each other one, whatever persons they show:
each batch that runs before it begins with a tick that is older.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Choice", "Group", "Ready", "choose"]

S = TypeVar("S")

Group = tuple[Hashable, int]
"""Sessions whose ticks become ready together: a batch key and a phase."""


@dataclass(frozen=True, slots=True)
class Ready(Generic[S]):
    """A session that has a tick to run.

    Attributes:
        session: whose.
        key: ticks of equal keys can run as one batch.
        phase: of the session.
        since: seconds; when the tick was ready, or when the session had its last turn if that was
            later.
    """

    session: S
    key: Hashable
    phase: int
    since: float

    @property
    def group(self) -> Group:
        """The group that it belongs to."""
        return self.key, self.phase


@dataclass(frozen=True, slots=True)
class Choice(Generic[S]):
    """What to do now.

    Attributes:
        batch: ticks of one key to run; none where it is better to wait, or nothing is ready.
        wait: seconds after which to ask again if nothing else happens; None: until something does.
    """

    batch: tuple[Ready[S], ...]
    wait: float | None = None


def choose(
    ready: Sequence[Ready[S]],
    now: float,
    *,
    limit: int,
    window: float = 0.0,
    members: Mapping[Group, int] | None = None,
) -> Choice[S]:
    """Choose the next batch.

    Args:
        ready: at most one tick of each session. Equal ages keep their order.
        now: seconds, of the clock that `Ready.since` is read from.
        limit: ticks in a batch, at least 1.
        window: seconds that a tick may wait for the rest of its group, from when it was ready. 0 on
            a processor, where a batch saves nothing: then nothing ever waits.
        members: sessions in each group; needed where there is a window.
    """
    by_age = sorted(ready, key=lambda tick: tick.since)
    by_key: dict[Hashable, list[Ready[S]]] = {}
    for tick in by_age:
        by_key.setdefault(tick.key, []).append(tick)
    wait: float | None = None
    # In the order of the oldest tick of each key.
    for ticks in by_key.values():
        left = ticks[0].since + window - now
        if left <= 0.0 or len(ticks) >= limit or _complete(ticks, members or {}):
            return Choice(tuple(ticks[:limit]))
        wait = left if wait is None else min(wait, left)
    return Choice((), wait)


def _complete(ticks: Sequence[Ready[S]], members: Mapping[Group, int]) -> bool:
    """Whether the group of the oldest tick is all there: nobody is worth waiting for."""
    group = ticks[0].group
    there = sum(tick.group == group for tick in ticks)
    return there >= members.get(group, 0)
