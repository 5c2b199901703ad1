"""Which worker gets the next session, and whose a session is. Pure, and of one thread.

A session's id begins with its worker's number, so that whoever asks for it is led there without a
table: ``3.h0sVb…`` lives in worker 3. A worker that was started anew does not know the sessions of
the one before it, and says so.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

__all__ = ["Placement", "prefix_of", "worker_of"]


def prefix_of(worker: int) -> str:
    """What the ids of a worker's sessions begin with."""
    return f"{worker}."


def worker_of(identifier: str) -> int | None:
    """The number of the worker that made a session's id; None where no worker did."""
    number, dot, rest = identifier.partition(".")
    if not (dot and rest and number.isascii() and number.isdecimal() and len(number) <= 4):
        return None
    return int(number)


@dataclass(slots=True)
class _Worker:
    up: bool = False
    quota: int = 0
    count: int = 0
    sent: int = 0


class Placement:
    """Counts the sessions of each worker, and the offers that it has not answered yet.

    Between reports it counts what it sees; a session that ends by itself it does not see. A report
    says how many sessions there are and which offer came last: what was sent after that one may
    still become a session. Whatever is missed (an offer that overtakes another one, a session that
    ends while the report is under way) is put right by the next report, and never lets in too many:
    a worker knows its quota.

    Args:
        workers: how many there are.
    """

    def __init__(self, workers: int) -> None:
        self._workers = [_Worker() for _ in range(workers)]

    def set_quota(self, worker: int, quota: int) -> None:
        """It may hold so many sessions."""
        self._workers[worker].quota = quota

    def quota(self, worker: int) -> int:
        """How many sessions it may hold."""
        return self._workers[worker].quota

    def came_up(self, worker: int) -> None:
        """It is there, and empty."""
        self._workers[worker] = _Worker(up=True, quota=self._workers[worker].quota)

    def went_down(self, worker: int) -> None:
        """It is gone, and its sessions with it."""
        self._workers[worker] = _Worker(quota=self._workers[worker].quota)

    @property
    def up(self) -> int:
        """Workers that are there."""
        return sum(worker.up for worker in self._workers)

    @property
    def taken(self) -> int:
        """Sessions, and offers that may become one."""
        return sum(worker.count for worker in self._workers)

    @property
    def places(self) -> int:
        """What the workers that are there may hold together."""
        return sum(worker.quota for worker in self._workers if worker.up)

    def is_up(self, worker: int) -> bool:
        """Whether there is such a worker now."""
        return 0 <= worker < len(self._workers) and self._workers[worker].up

    def has_room(self, refused: Collection[int] = ()) -> bool:
        """Whether :meth:`take` would find a place."""
        return bool(self._free(refused))

    def take(self, refused: Collection[int] = ()) -> tuple[int, int] | None:
        """Take a place in the least loaded worker.

        Args:
            refused: workers that were asked already and do not want it.

        Returns:
            The worker and the offer's number there, which goes with it; None where no worker has a
            place.
        """
        free = self._free(refused)
        if not free:
            return None
        _, number = min(free)
        worker = self._workers[number]
        worker.count += 1
        worker.sent += 1
        return number, worker.sent

    def _free(self, refused: Collection[int]) -> list[tuple[int, int]]:
        return [
            (worker.count, number)
            for number, worker in enumerate(self._workers)
            if worker.up and worker.count < worker.quota and number not in refused
        ]

    def give_back(self, worker: int) -> None:
        """An offer came to nothing, or a session ended at its own wish."""
        entry = self._workers[worker]
        entry.count = max(0, entry.count - 1)

    def report(self, worker: int, taken: int, seen: int) -> None:
        """The worker says how many sessions have a place in it, and the last offer that it saw."""
        entry = self._workers[worker]
        if entry.up:
            entry.count = taken + max(0, entry.sent - seen)
