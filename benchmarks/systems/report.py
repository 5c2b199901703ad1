"""The table of `bench systems` that people read."""

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
        "the networks alone, with random weights; one call of each way after the other, medians",
    ]
    if result["scale"] != 1:
        lines.append(f"REDUCED: the published numbers of channels divided by {result['scale']}")
    head = f"{'':34}{'batch':>6}{'ms a frame':>12}{'frames/s':>10}{'times':>8}{'deviation':>11}"
    for row in result["rows"]:
        lines.append("")
        if "not_run" in row:
            lines.append(f"{row['system']}: not run: {row['not_run']}")
            continue
        sizes, costs = row["parameters"], row["gflop"]
        lines.append(
            f"{row['system']}, {row['part']}: {costs['original']:.2f} GFLOP a frame and "
            f"{sizes['original'] / 1e6:.1f} M parameters in the original, {costs['ours']:.2f} and "
            f"{sizes['ours'] / 1e6:.1f} M here"
        )
        if row["note"]:
            lines.append(f"    ({row['note']})")
        lines.append(head)
        lines += [_line(one) for one in row["runs"]]
    lines += ["", "not measured, as there is no such thing:"]
    lines += [f"    {way}: {why}" for way, why in result["not_made"].items()]
    return "\n".join(lines)


def _line(run: Mapping[str, Any]) -> str:
    start = f"    {run['way']}".ljust(34) + f"{run['batch']:6}"
    if "not_run" in run:
        return f"{start}  not run: {run['not_run']}"
    ms, ratio, deviation = run["ms_a_frame"], run["ratio"], run.get("deviation")
    return (
        f"{start}{ms:12.3f}{1000.0 / ms:10.2f}"
        + (f"{ratio:8.2f}" if ratio is not None else f"{'-':>8}")
        + (f"{deviation:11.1e}" if deviation is not None else f"{'-':>11}")
    )
