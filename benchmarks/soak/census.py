"""How much a tree of processes holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

__all__ = ["Census", "Held"]


@dataclass(frozen=True, slots=True)
class Held:
    """What a tree of processes holds at one moment.

    Attributes:
        memory_mib: resident, pages shared between its processes counted in each.
        handles: open files and sockets.
        threads: of all its processes.
    """

    memory_mib: float
    handles: int
    threads: int


class Census:
    """Counts what a process and everything it started hold.

    Args:
        pid: the root of the tree.
    """

    def __init__(self, pid: int) -> None:
        import psutil

        self._gone = psutil.NoSuchProcess
        self._root = psutil.Process(pid)

    def take(self) -> Held:
        """Count now; processes that end meanwhile hold nothing."""
        memory, handles, threads = 0.0, 0, 0
        for process in self._members():
            try:
                with process.oneshot():
                    here = process.memory_info().rss, process.num_fds(), process.num_threads()
            except self._gone:
                continue
            memory += here[0] / 2**20
            handles += here[1]
            threads += here[2]
        return Held(memory, handles, threads)

    def _members(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except self._gone:
            return []
