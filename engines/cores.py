"""How many processor cores this process may use: its affinity, and its control group's quota.

A container sees every core of its host and is stopped for the rest of each period once its quota is
used up, so a thread count taken from the host makes everything late. Quotas: cgroup v2 `cpu.max`
(Linux admin guide, cgroup-v2), v1 `cpu.cfs_quota_us` and `cpu.cfs_period_us`; the least of a group
and its ancestors holds.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["available_cores", "quota_cores", "thread_count"]


def available_cores(root: Path = Path("/")) -> float:
    """Return the cores' worth of time this process may use; never more than its affinity.

    Args:
        root: where `proc` and `sys` lie.
    """
    cores = float(len(os.sched_getaffinity(0)))
    quota = quota_cores(root)
    return cores if quota is None else min(cores, quota)


def thread_count(root: Path = Path("/")) -> int:
    """Return how many threads can run at once, at least 1."""
    return max(1, int(available_cores(root)))


def quota_cores(root: Path = Path("/")) -> float | None:
    """Return the quota in cores, or None where there is none."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            mount, read = root / "sys/fs/cgroup", _quota_v2
            if not (mount / "cgroup.controllers").exists():
                mount = mount / "unified"
        elif "cpu" in controllers.split(","):
            mount, read = root / "sys/fs/cgroup/cpu", _quota_v1
        else:
            continue
        # Inside a container the path can be the host's: then only the mount itself is there.
        group = mount / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(mount):
                break
            if (quota := read(folder)) is not None:
                quotas.append(quota)
    return min(quotas, default=None)


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
