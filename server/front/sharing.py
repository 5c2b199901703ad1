"""How many media workers there are, and how many sessions each may hold. Pure."""

from __future__ import annotations

__all__ = ["ONE_PROCESS_CORES", "WORKER_SESSIONS", "quotas", "worker_count", "wants_workers"]

WORKER_SESSIONS = 20
"""Sessions that one process is for. Its packets pass through one interpreter, which is full near
thirty; and a process that dies takes its own sessions with it."""
ONE_PROCESS_CORES = 8
"""With so many cores or fewer, an engine on the processor carries fewer sessions than one process
can send."""


def wants_workers(cores: float, asked: int | None) -> bool:
    """Whether a server is better split into several processes.

    It is not where few cores are there, nor where one process can hold all sessions that were asked
    for: one process needs less memory, and starts sooner.

    Args:
        cores: that may be used.
        asked: at most so many sessions; None for as many as fit.
    """
    return cores > ONE_PROCESS_CORES and (asked is None or asked > WORKER_SESSIONS)


def worker_count(sessions: int, cores: float) -> int:
    """How many workers that many sessions want, one core at least for each; at least one.

    Args:
        sessions: what the engine carries, or what was asked for.
        cores: that may be used.
    """
    return max(1, min(-(-sessions // WORKER_SESSIONS), int(cores)))


def quotas(sessions: int, workers: int) -> list[int]:
    """Divide the places among the workers: equal but for one, and together exactly `sessions`.

    A worker lets in no more than its own, so no race between them can overbook the machine.
    """
    least, more = divmod(sessions, workers)
    return [least + (number < more) for number in range(workers)]
