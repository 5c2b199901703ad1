"""What each process of the server took and holds, by what it is there for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

__all__ = ["Census", "Taken", "role_of", "spent"]


@dataclass(frozen=True, slots=True)
class Taken:
    """One moment of a tree of processes.

    Attributes:
        seconds: processor time by (role, pid).
        memory_mib: proportional set size by role: a page that several share counts once.
    """

    seconds: dict[tuple[str, int], float] = field(default_factory=dict)
    memory_mib: dict[str, float] = field(default_factory=dict)


def role_of(arguments: list[str], *, root: bool, alone: bool) -> str:
    """What a process of the server is there for, by its command line.

    Args:
        arguments: of the process.
        root: it is the one that was started.
        alone: it has no children.
    """
    if root:
        return "server" if alone else "front"
    words = " ".join(arguments)
    if "remote.serving" in words or "engine_process" in words or "engine-process" in words:
        return "engine"
    if "worker" in words:
        return "media"
    return "other"


class Census:
    """Looks at a process and everything it started.

    Args:
        pid: the root of the tree.
    """

    def __init__(self, pid: int) -> None:
        import psutil

        self._gone = (psutil.NoSuchProcess, psutil.ZombieProcess)
        self._root = psutil.Process(pid)

    def take(self) -> Taken:
        """Look now; processes that end meanwhile have taken nothing."""
        taken = Taken()
        members = self._members()
        for process in members:
            try:
                with process.oneshot():
                    role = role_of(
                        process.cmdline(),
                        root=process.pid == self._root.pid,
                        alone=len(members) == 1,
                    )
                    times = process.cpu_times()
                    memory = process.memory_full_info()
            except self._gone:
                continue
            taken.seconds[role, process.pid] = times.user + times.system
            held = getattr(memory, "pss", memory.rss) / 2**20
            taken.memory_mib[role] = taken.memory_mib.get(role, 0.0) + held
        return taken

    def _members(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except self._gone:
            return []


def spent(before: Taken, after: Taken, seconds: float) -> dict[str, Any]:
    """Cores by role between two moments; a process that was not there before began at 0."""
    cores: dict[str, float] = {}
    for (role, pid), used in after.seconds.items():
        began = max(
            (value for (_, other), value in before.seconds.items() if other == pid), default=0.0
        )
        cores[role] = cores.get(role, 0.0) + (used - began) / seconds
    return {role: round(value, 4) for role, value in sorted(cores.items())}
