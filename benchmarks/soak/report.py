"""What long use must not do, and the table that people read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from visavis.benchmarks.soak.regression import Slope

__all__ = ["judge", "rounded", "table"]

DRIFT_MS_PER_MINUTE = 1.0
MEMORY_MIB_PER_MINUTE = 0.5
MEMORY_KIB_PER_CYCLE = 4.0
MORE_HANDLES = 2  # what the process opens late and once, for good
MORE_THREADS = 2

UNITS = {
    "memory": "MiB a minute",
    "handles": "handles a minute",
    "threads": "threads a minute",
    "offset": "ms a minute",
    "delay": "ms a minute",
    "server_delay": "ms a minute",
    "memory_per_cycle": "KiB a cycle",
    "handles_per_cycle": "handles a cycle",
    "threads_per_cycle": "threads a cycle",
}
LIMITS = {
    "memory": (MEMORY_MIB_PER_MINUTE, True),
    "offset": (DRIFT_MS_PER_MINUTE, False),
    "delay": (DRIFT_MS_PER_MINUTE, False),
    "memory_per_cycle": (MEMORY_KIB_PER_CYCLE, True),
}  # of the interval's ends, and whether a fall is as good as none


def rounded(slope: Slope | None) -> dict[str, float] | None:
    """A slope as the result holds it."""
    if slope is None:
        return None
    return {name: round(value, 4) for name, value in asdict(slope).items()}


def judge(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Hold a result against the targets; the whole interval must lie within the limit."""
    rows: list[dict[str, Any]] = []
    for name, (limit, falls_are_fine) in LIMITS.items():
        if name not in result["slopes"]:
            continue
        slope = result["slopes"][name]
        passed = slope is not None and slope["high"] <= limit
        if slope is not None and not falls_are_fine:
            passed = passed and slope["low"] >= -limit
        worst = None if slope is None else slope["high"]
        if slope is not None and not falls_are_fine:
            worst = max(slope["high"], slope["low"], key=abs)
        what = f"{name}, {UNITS[name]}, far end of the interval"
        rows.append({"what": what, "measured": worst, "limit": limit, "passed": passed})
    before, after = result["before"], result["after"]
    for name, limit in (("handles", MORE_HANDLES), ("threads", MORE_THREADS)):
        more = after[name] - before[name]
        what = f"{name} more than before, with nobody there"
        rows.append({"what": what, "measured": more, "limit": limit, "passed": more <= limit})
    failed = len(result["failures"])
    rows.append(
        {
            "what": f"visits that failed, of {result['visits']}",
            "measured": failed,
            "limit": 0,
            "passed": failed == 0 and result["visits"] > 0,
        }
    )
    return rows


def table(result: Mapping[str, Any]) -> str:
    """The result as people read it."""
    machine = result["machine"]
    before, after = result["before"], result["after"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores (load {machine['load_before']:.1f} before, "
        f"{machine['load_after']:.1f} after), {result['leg']}, {result['visits']} visits in "
        f"{result['seconds']:.0f} s",
        f"with nobody there, before and after: {before['memory_mib']:.1f} and "
        f"{after['memory_mib']:.1f} MiB, {before['handles']} and {after['handles']} handles, "
        f"{before['threads']} and {after['threads']} threads",
        "",
        f"{'slope':20}{'':18}{'value':>10}{'95 % interval':>24}{'samples':>9}",
    ]
    for name, slope in result["slopes"].items():
        if slope is None:
            lines.append(f"{name:20}{UNITS[name]:18}{'-':>10}{'too few samples':>24}")
            continue
        interval = f"{slope['low']:.3f} to {slope['high']:.3f}"
        lines.append(
            f"{name:20}{UNITS[name]:18}{slope['value']:>10.3f}{interval:>24}{slope['samples']:>9.0f}"
        )
    lines.append("")
    for row in result["targets"]:
        measured = "-" if row["measured"] is None else f"{row['measured']:.3f}"
        verdict = "pass" if row["passed"] else "FAIL"
        lines.append(f"{row['what']:56}{measured:>9}  limit {row['limit']:>4}  {verdict}")
    lines += [f"failed: {failure}" for failure in result["failures"][:5]]
    return "\n".join(lines)
