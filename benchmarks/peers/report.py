"""The table of `bench peers` that people read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["table"]


def table(result: Mapping[str, Any]) -> str:
    """The result as people read it."""
    about = result["machine"]
    lines = [
        f"{result['device']}; {about['cpu']}, {about['cores']} cores, load "
        f"{about['load_before']} before",
        "the networks alone, with random weights; a frame is what a network gives, of its own size",
        "",
        f"{'':24}{'batch':>6}{'ms a frame':>12}{'frames/s':>10}{'Mpixel/s':>10}",
    ]
    for row in result["rows"]:
        width, height = row["pixels"]
        head = f"{row['title']}, {width}x{height}"
        if "not_run" in row:
            lines += [head, f"    not run: {row['not_run']}"]
            continue
        lines.append(
            f"{head}, {row['parameters'] / 1e6:.1f} M parameters, {row['gflop']:.2f} GFLOP"
        )
        if row.get("notes"):
            lines.append(f"    ({row['notes']})")
        for one in row["runs"]:
            name = f"    {one['way']}".ljust(24)
            if "not_run" in one:
                lines.append(f"{name}{one['batch']:6}  not run: {one['not_run']}")
            else:
                lines.append(
                    f"{name}{one['batch']:6}{one['ms_a_frame']:12.2f}"
                    f"{one['frames_per_s']:10.1f}{one['mpixel_per_s']:10.2f}"
                )
    lines += ["", "published by others, on their machines, of other classes of models too:"]
    for one in result["published"]:
        lines.append(f"  {one['system']}: {one['says']} ({one['hardware']}; {one['source']})")
    return "\n".join(lines)
