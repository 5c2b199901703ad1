"""How much memory this process may still take: the machine's, and its control group's.

Linux: `/proc/meminfo`'s MemAvailable; cgroup v2 `memory.max` and `memory.current`, v1
`memory.limit_in_bytes` and `memory.usage_in_bytes` (admin guides cgroup-v2 and cgroup-v1/memory);
the least of a group and its ancestors holds.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

__all__ = ["available_bytes", "give_back", "resident_set_bytes"]

_UNLIMITED = 1 << 60  # v1 says "none" by a number close to 2**63


def available_bytes(root: Path = Path("/")) -> int | None:
    """Return the bytes that can be had without swapping, or None where nothing says so.

    Args:
        root: where `proc` and `sys` lie.
    """
    found = [_machine(root), *_groups(root)]
    return min((value for value in found if value is not None), default=None)


def resident_set_bytes(root: Path = Path("/")) -> int:
    """Return the memory that this process holds now; 0 where nothing says so."""
    return _field(root / "proc/self/status", "VmRSS:") or 0


def give_back() -> None:
    """Return freed memory to the system; what was loaded and let go otherwise stays with malloc.

    glibc's `malloc_trim(0)`; another C library does that by itself or not at all.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _machine(root: Path) -> int | None:
    return _field(root / "proc/meminfo", "MemAvailable:")


def _field(path: Path, name: str) -> int | None:
    """Return a field of a file of lines such as "MemAvailable:  1024 kB", in bytes."""
    try:
        for line in path.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _groups(root: Path) -> list[int | None]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found: list[int | None] = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            mount, limit, usage = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
            limit, usage = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # Inside a container the path can be the host's: then only the mount itself is there.
        group = mount / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(mount):
                break
            found.append(_left(folder / limit, folder / usage))
    return found


def _left(limit: Path, usage: Path) -> int | None:
    try:
        most = int(limit.read_text())
        return None if most >= _UNLIMITED else max(0, most - int(usage.read_text()))
    except (OSError, ValueError):  # "max" is no number
        return None
