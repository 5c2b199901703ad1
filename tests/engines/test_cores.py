"""Cores by affinity and by control group, both versions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from visavis.engines.cores import available_cores, quota_cores, thread_count


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def v2(root: Path, group: str, limits: dict[str, str]) -> None:
    put(root, "proc/self/cgroup", f"0::{group}\n")
    put(root, "sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
    for folder, limit in limits.items():
        put(root, f"sys/fs/cgroup/{folder}/cpu.max", limit)


def v1(root: Path, group: str, limits: dict[str, tuple[int, int]]) -> None:
    put(root, "proc/self/cgroup", f"5:memory:/x\n4:cpu,cpuacct:{group}\n")
    for folder, (quota, period) in limits.items():
        put(root, f"sys/fs/cgroup/cpu/{folder}/cpu.cfs_quota_us", f"{quota}\n")
        put(root, f"sys/fs/cgroup/cpu/{folder}/cpu.cfs_period_us", f"{period}\n")


@pytest.mark.parametrize(
    ("group", "limits", "cores"),
    [
        ("/a/b", {"a/b": "150000 100000\n"}, 1.5),
        ("/a/b", {"a/b": "max 100000\n"}, None),
        ("/a/b", {"a/b": "max 100000\n", "a": "50000 100000\n"}, 0.5),
        ("/a/b", {"a/b": "400000 100000\n", "a": "300000 100000\n"}, 3.0),
        ("/", {".": "200000 100000\n"}, 2.0),
        ("/not/here", {".": "200000 100000\n"}, 2.0),
        ("/a", {"a": "nonsense\n"}, None),
        ("/../../x", {".": "200000 100000\n"}, 2.0),
    ],
)
def test_version_2(tmp_path: Path, group: str, limits: dict[str, str], cores: float | None) -> None:
    v2(tmp_path, group, limits)
    assert quota_cores(tmp_path) == cores


@pytest.mark.parametrize(
    ("limits", "cores"),
    [
        ({"a": (250000, 100000)}, 2.5),
        ({"a": (-1, 100000)}, None),
        ({"a": (-1, 100000), ".": (100000, 100000)}, 1.0),
        ({}, None),
    ],
)
def test_version_1(tmp_path: Path, limits: dict[str, tuple[int, int]], cores: float | None) -> None:
    v1(tmp_path, "/a", limits)
    assert quota_cores(tmp_path) == cores


def test_without_control_groups(tmp_path: Path) -> None:
    assert quota_cores(tmp_path) is None
    assert available_cores(tmp_path) == len(os.sched_getaffinity(0))


def test_a_quota_below_a_core_still_gives_a_thread(tmp_path: Path) -> None:
    v2(tmp_path, "/", {".": "30000 100000\n"})
    assert available_cores(tmp_path) == 0.3
    assert thread_count(tmp_path) == 1


def test_affinity_bounds_a_generous_quota(tmp_path: Path) -> None:
    v2(tmp_path, "/", {".": "99900000 100000\n"})
    assert available_cores(tmp_path) == len(os.sched_getaffinity(0))
