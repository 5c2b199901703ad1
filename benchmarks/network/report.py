"""The targets that bad paths are held against, and the table that people read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visavis.benchmarks.figures import at, number, verdict

__all__ = ["judge", "table"]

BACK_S = 5.0
LOSS_COSTS_MS = 60.0
LEAST_FOUND = 0.5
OWN = "visavis"


def _over(leg: Mapping[str, Any], figure: str) -> float | None:
    """How much more the median is during the trouble than before it."""
    before = at(leg, "before", figure, "median_ms")
    during = at(leg, "during", figure, "median_ms")
    return None if before is None or during is None else round(during - before, 1)


def judge(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Hold our figures against the targets. What could not be measured has not passed."""
    rows: list[dict[str, Any]] = []

    def row(what: str, measured: float | None, limit: float, trusted: bool) -> None:
        rows.append(
            {
                "what": what,
                "measured": measured,
                "limit": limit,
                "trusted": trusted,
                "passed": trusted and measured is not None and measured <= limit,
            }
        )

    for name, legs in result["scenarios"].items():
        own = legs.get(OWN)
        trusted = own is not None and own["found_in_microphone"] >= LEAST_FOUND
        back = at(own or {}, "back_s", "to_the_browser")
        row(f"{name}: delay up to the browser back, s", back, BACK_S, trusted)
        if name == "loss-5":
            for figure in ("pixel", "ear"):
                over = _over(own or {}, figure)
                row(f"{name}: to the {figure}, over clean, ms", over, LOSS_COSTS_MS, trusted)
    return rows


def table(result: Mapping[str, Any]) -> str:
    """The result as people read it; before / during / after where there are three numbers."""
    machine = result["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores (load {machine['load_before']:.1f} before, "
        f"{machine['load_after']:.1f} after), Chromium {result['versions']['chromium']}",
        "ms unless said otherwise; before / during / after the trouble",
        "",
        f"{'trouble':11}{'stack':9}{'to pixel':>15}{'p95':>15}{'to ear':>15}"
        f"{'to browser':>15}{'back s':>8}{'freezes':>9}{'longest':>9}{'concealed':>11}{'keys':>6}",
    ]

    def three(leg: Mapping[str, Any], *path: str) -> str:
        names = ("before", "during", "after")
        return "/".join(number(at(leg, name, *path)) for name in names)

    def both(leg: Mapping[str, Any], *path: str) -> float:
        return sum(at(leg, name, *path) or 0.0 for name in ("during", "after"))

    for name, legs in result["scenarios"].items():
        for stack, leg in legs.items():
            waits = [at(leg, phase, "longest_wait_ms") for phase in ("during", "after")]
            longest = max((wait for wait in waits if wait is not None), default=None)
            samples = both(leg, "browser", "totalSamplesReceived")
            concealed = both(leg, "browser", "concealedSamples")
            share = 100 * concealed / samples if samples else None
            lines.append(
                f"{name:11}{stack:9}{three(leg, 'pixel', 'median_ms'):>15}"
                f"{three(leg, 'pixel', 'p95_ms'):>15}{three(leg, 'ear', 'median_ms'):>15}"
                f"{three(leg, 'to_the_browser', 'median_ms'):>15}"
                f"{number(at(leg, 'back_s', 'to_the_browser'), 1):>8}"
                f"{both(leg, 'freezes'):>9.0f}{number(longest):>9}{number(share, 1):>10}%"
                f"{both(leg, 'browser', 'keyFramesDecoded'):>6.0f}"
            )
    lines.append("")
    for row in result["targets"]:
        lines.append(
            f"{row['what']:48}{number(row['measured'], 1):>8}"
            f"  limit {number(row['limit'], 0):>4}  {verdict(row)}"
        )
    return "\n".join(lines)
