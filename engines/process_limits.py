"""Bounds for a process of ours that opens what a stranger sent."""

from __future__ import annotations

import resource

__all__ = ["limit_process"]


def limit_process(memory_bytes: int, cpu_seconds: int, write_bytes: int) -> None:
    """Bound this process for good, by setrlimit (POSIX.1); it writes no core.

    Args:
        memory_bytes: of address space.
        cpu_seconds: of a processor, after which it is ended.
        write_bytes: of one file.
    """
    for limit, bound in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, write_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(limit, (bound, bound))
