"""Peers and ours as one picture (SVG): what a network draws in a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visavis.benchmarks.sessions.axes import INK, MUTED, text

__all__ = ["plot"]

WIDTH, ROW, TOP, LEFT, RIGHT = 1120, 30, 128, 440, 130
OURS, THEIRS = "#3257d3", "#b9c3dd"


def plot(result: Mapping[str, Any]) -> str:
    """Draw a result of `bench peers`: one bar for the best batch of each way of each network."""
    bars: list[tuple[str, str, float | None, str]] = []
    for row in result["rows"]:
        ours = row["network"] == "ours"
        if "not_run" in row:
            bars.append((row["title"], "not run", None, THEIRS))
            continue
        for way in dict.fromkeys(run["way"] for run in row["runs"]):
            values = [
                run["mpixel_per_s"]
                for run in row["runs"]
                if run["way"] == way and "mpixel_per_s" in run
            ]
            best = max(values) if values else None
            bars.append((row["title"], way, best, OURS if ours else THEIRS))
    most = max([value for *_, value, _ in bars if value is not None] + [1e-9])
    height = TOP + ROW * len(bars) + 40
    about = result["machine"]
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img' "
        "aria-label='megapixels a second of renderers'>",
        f"<rect width='{WIDTH}' height='{height}' fill='#fff'/>",
        text(40, 44, "What the networks draw in a second", size=22, fill=INK, weight=650),
        text(40, 68, f"{result['device']} · {about['cpu']}", size=13),
        text(40, 92, "megapixels a second, the network alone, best batch of each", size=12),
    ]
    room = WIDTH - LEFT - RIGHT
    last = ""
    for index, (title, way, value, colour) in enumerate(bars):
        y = TOP + ROW * index
        if title != last:
            parts.append(text(LEFT - 160, y + 16, title, size=12, anchor="end", fill=INK))
            last = title
        parts.append(text(LEFT - 10, y + 16, way, size=12, anchor="end"))
        if value is not None:
            width = max(2.0, room * value / most)
            parts.append(
                f"<rect x='{LEFT}' y='{y + 2}' width='{width:.1f}' height='{ROW - 10}' rx='3' "
                f"fill='{colour}'/>"
            )
            words = f"{value:.2f}" if value < 10 else f"{value:.0f}"
            parts.append(text(LEFT + width + 8, y + 16, words, size=12, fill=MUTED))
    return "".join(parts) + "</svg>\n"
