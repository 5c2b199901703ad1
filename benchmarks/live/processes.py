"""Processor time of a process and everything it started."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

__all__ = ["TreeMeter"]


class TreeMeter:
    """Adds up the processor time of a tree of processes, those that ended in between included.

    Call `sample` at least every few seconds: what a process used after the last sample before it
    ended is not seen.

    Args:
        pid: the root of the tree.
        without: names of programs that do not count (their children do).
    """

    def __init__(self, pid: int, *, without: tuple[str, ...] = ()) -> None:
        import psutil

        self._gone = psutil.NoSuchProcess
        self._root = psutil.Process(pid)
        self._without = without
        self._last: dict[tuple[int, float], float] = {}

    def sample(self) -> float:
        """Processor seconds of the tree so far."""
        for process in self._members():
            try:
                with process.oneshot():
                    if process.name() in self._without:
                        continue
                    times = process.cpu_times()
                    key = (process.pid, process.create_time())
            except self._gone:
                continue
            self._last[key] = times.user + times.system
        return sum(self._last.values())

    def _members(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except self._gone:
            return []
