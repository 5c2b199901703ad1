"""What memory is left: of the machine, and of control groups of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from visavis.engines.memory import available_bytes, resident_set_bytes

MIB = 1 << 20


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    return write(tmp_path, proc__meminfo="MemTotal: 4096 kB\nMemAvailable:   2048 kB\n")


def test_the_machine_alone(machine: Path) -> None:
    assert available_bytes(machine) == 2 * MIB
    (machine / "proc/meminfo").write_text("MemAvailable: much\n")
    assert available_bytes(machine) is None
    assert available_bytes(machine / "nowhere") is None


def test_the_least_of_a_group_and_its_ancestors_v2(machine: Path) -> None:
    group = "sys__fs__cgroup__a__"
    write(
        machine,
        proc__self__cgroup="0::/a/b\n",
        **{
            "sys__fs__cgroup__cgroup_DOT_controllers": "memory",
            group + "memory_DOT_max": str(MIB),
            group + "memory_DOT_current": str(MIB // 4),
            group + "b__memory_DOT_max": "max",
            group + "b__memory_DOT_current": "7",
        },
    )
    assert available_bytes(machine) == MIB * 3 // 4
    # More in use than the limit, for a moment: nothing is left, not less than nothing.
    (machine / "sys/fs/cgroup/a/memory.current").write_text(str(2 * MIB))
    assert available_bytes(machine) == 0


def test_a_group_of_v1(machine: Path) -> None:
    group = "sys__fs__cgroup__memory__memory_DOT_"
    write(
        machine,
        proc__self__cgroup="5:memory:/docker/x\n4:cpu:/\n",
        **{group + "limit_in_bytes": str(MIB), group + "usage_in_bytes": "0"},
    )
    assert available_bytes(machine) == MIB
    (machine / "sys/fs/cgroup/memory/memory.limit_in_bytes").write_text(str((1 << 63) - 4096))
    assert available_bytes(machine) == 2 * MIB


def test_this_process_and_machine() -> None:
    held, left = resident_set_bytes(), available_bytes()
    assert held > 10 * MIB and left is not None and left > 0
