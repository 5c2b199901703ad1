"""Work shared over processes, its results in order."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any, TypeVar

__all__ = ["in_order", "workers"]

Result = TypeVar("Result")

# Jobs that may wait or be done ahead of the one that is asked for.
_AHEAD = 6


@contextlib.contextmanager
def workers(count: int) -> Iterator[Executor | None]:
    """A pool of processes, or None for one worker: the caller's own process does the work."""
    if count <= 1:
        yield None
        return
    # Spawned: a fork would copy the synthesiser's library in whatever state it is.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        yield pool


def in_order(
    work: Callable[..., Result], jobs: Iterable[tuple[Any, ...]], pool: Executor | None
) -> Iterator[Result]:
    """Does every job; gives the results in the order of the jobs.

    Args:
        work: a function of a module, called with the members of a job.
        jobs: may be endless; a few more are begun than are asked for.
        pool: of `workers`.
    """
    if pool is None:
        for job in jobs:
            yield work(*job)
        return
    waiting: deque[Future[Result]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(work, *job))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
