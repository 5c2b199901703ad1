"""Whether so many sessions were carried, and which number to try next. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["CRITERIA", "knee", "next_count", "reasons", "search"]

CRITERIA = {
    "least_fps": 24.5,
    "most_skipped": 0.01,
    "most_late_p95_ms": 40.0,
    "most_budget_ms": 80.0,
}
"""Of every session: complete frames a second; share of skipped frames; 95th percentile of how much
later than its own pace a frame came, one frame's length; what the server gave itself for drawing
and encoding, two of them: a server that falls behind widens this before it skips anything."""


def reasons(step: Mapping[str, Any]) -> list[str]:
    """Why a step was not carried; nothing if it was.

    Args:
        step: "sessions" (asked for), "opened", and of all sessions "least_fps", "most_skipped",
            "worst_late_p95_ms" (None: nothing came) and, where a server was part of it,
            "most_budget_ms".
    """
    found = []
    if step["opened"] < step["sessions"]:
        found.append(f"{step['sessions'] - step['opened']} of {step['sessions']} were not let in")
    if not step["opened"]:
        return found
    if step["least_fps"] < CRITERIA["least_fps"]:
        found.append(f"a session got {step['least_fps']:.2f} frames/s")
    if step["most_skipped"] > CRITERIA["most_skipped"]:
        found.append(f"a session missed {100 * step['most_skipped']:.1f} % of its frames")
    late = step["worst_late_p95_ms"]
    if late is None or late > CRITERIA["most_late_p95_ms"]:
        what = "never" if late is None else f"{late:.0f} ms late"
        found.append(f"a session's frames came {what} (95th percentile)")
    budget = step.get("most_budget_ms")
    if budget is not None and budget > CRITERIA["most_budget_ms"]:
        found.append(f"a session's pictures were given {budget:.0f} ms to be made")
    return found


def knee(carried: Mapping[int, bool]) -> int:
    """The largest number that was carried with every smaller one that was tried; 0 if none was."""
    found = 0
    for count in sorted(carried):
        if not carried[count]:
            break
        found = count
    return found


def next_count(carried: Mapping[int, bool], most: int, first: int = 1) -> int | None:
    """Which number to try next: doubling until one is not carried, then halving the gap.

    Args:
        carried: what was tried, and whether it was carried.
        most: never more than so many.
        first: with how many to begin.

    Returns:
        the number, or None when the knee is known (to 1 in 16 of it).
    """
    if not carried:
        return min(first, most)
    low = knee(carried)
    failed = [count for count, good in carried.items() if not good]
    if not failed:
        return None if low >= most else min(2 * low, most)
    high = min(failed)
    if high - low <= max(1, low // 16):
        return None
    return (low + high) // 2


def search(step: Callable[[int], dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Steps up to the knee, in the order in which they were tried."""
    steps: list[dict[str, Any]] = []
    carried: dict[int, bool] = {}
    while (count := next_count(carried, most)) is not None:
        made = step(count)
        steps.append(made)
        carried[count] = made["carried"]
    return steps
