"""The table of `bench sessions` that people read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visavis.benchmarks.figures import at, number

__all__ = ["table"]

COLUMNS = (
    ("sessions", 8, ("sessions",), 1.0, 0),
    ("frames/s", 10, ("least_fps",), 1.0, 2),
    ("median", 8, ("median_fps",), 1.0, 2),
    ("skipped %", 10, ("most_skipped",), 100.0, 2),
    ("late p95", 10, ("worst_late_p95_ms",), 1.0, 1),
    ("delay", 8, ("server", "server_delay_ms", "median"), 1.0, 0),
    ("drawn", 8, ("server", "render_ms", "median"), 1.0, 1),
    ("encode", 8, ("server", "encode_ms", "median"), 1.0, 2),
    ("cores", 8, ("cores", "server"), 1.0, 2),
    ("a session", 10, ("cores", "per_session"), 1.0, 3),
    ("visitors", 9, ("cores", "visitors"), 1.0, 2),
)


def table(result: Mapping[str, Any]) -> str:
    """The result as people read it."""
    about = result["machine"]
    lines = [
        f"{result['name']} {result['size'][0]}x{result['size'][1]}, {result['codec']}, on "
        f"{about['cpu']}, {about['cores']} cores (load {about['load_before']:.1f} before); "
        f"{result['seconds']:g} s each",
        "the server says that it carries: "
        + ", ".join(_said(name, value) for name, value in result["promised"].items()),
    ]
    for curve in result["curves"]:
        who = f"{curve['persons']} person(s)"
        if curve["copies"]:
            who += ", the same one under as many names, each loaded by itself"
        lines += [
            "",
            f"{who}: carries {curve['knee']}",
            "".join(head.rjust(width) for head, width, *_ in COLUMNS),
        ]
        for step in curve["steps"]:
            cells = []
            for _, width, path, scale, digits in COLUMNS:
                value = at(step, *path)
                cells.append(number(None if value is None else value * scale, digits).rjust(width))
            lines.append("".join(cells) + ("" if step["carried"] else "   not carried"))
            lines += [" " * 12 + reason for reason in step["why_not"]]
            if step.get("first_try") and step["carried"]:
                lines.append(" " * 12 + f"not at first: {'; '.join(step['first_try'])}")
            lines += [" " * 12 + f"answered: {answer}" for answer in step["refused"][:3]]
    if result["parts"]:
        lines += ["", "alone, in real time:"]
    for part, made in result["parts"].items():
        best = next((s for s in made["steps"] if s["sessions"] == made["knee"]), None)
        cores = at(best, "cores", "per_session") if best else None
        more = all(step["carried"] for step in made["steps"])
        lines.append(
            f"  {part:8} carries {'at least ' if more else ''}{made['knee']}"
            f", {number(cores, 3)} cores a session"
        )
    if result["limit"]:
        lines.append(f"the least of them: {result['limit']['part']}")
    known = {name: value for name, value in result["costs"].items() if value is not None}
    if known:
        lines += ["", "a session takes, of a core, of memory, of the network:"]
        lines += [f"  {name:22}{value:10.3f}" for name, value in known.items()]
    if result["sizing"]:
        lines += ["", "by the server's own rule, on a processor like this one:"]
        lines += [
            f"  {row['cores']:3.0f} cores{row['sessions']:6.0f} sessions"
            f"{row['mbit_per_s']:9.1f} Mbit/s"
            for row in result["sizing"]
        ]
    return "\n".join(lines)


def _said(name: str, value: float) -> str:
    """A capacity metric for people; a flag by its name alone."""
    short = name.removeprefix("visavis_capacity_").replace("_", " ").replace(".", " ")
    return short if short.startswith("limit ") else f"{short} {value:g}"
