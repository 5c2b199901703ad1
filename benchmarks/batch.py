"""Frames of many persons in one batch: what it costs that each has its own renderer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from visavis.benchmarks.live.machine import machine, versions
from visavis.engines.errors import ConfigError

__all__ = ["run", "table"]

SIZES = (192, 256, 384)  # pixels of the crop


def run(
    *, persons: Sequence[int] = (1, 8, 64), frames: int = 16, device: str = "cpu", repeats: int = 5
) -> dict[str, Any]:
    """Measure.

    Args:
        persons: how many share a batch, one measurement for each.
        frames: of a batch; of more persons one each.
        device: ``cpu`` (one thread, float32) or ``cuda`` (float16, CUDA graphs).
        repeats: of every way; medians count.

    Returns:
        "machine", "versions", "device", "gflop" of a frame by the crop's size, and "batches", see
        `models.batch_timing.measure`.

    Raises:
        ConfigError: torch is not installed, or has no such device.
    """
    try:
        from visavis.models import batch_timing
    except ImportError as error:
        raise ConfigError(f"This needs {error.name}: pip install 'visavis[export]'.") from error
    about = batch_timing.device_name(device)
    if about is None:
        raise ConfigError("This machine has no CUDA device that torch can use; --device cpu.")
    return {
        "machine": machine(),
        "versions": versions(),
        "device": about,
        "repeats": repeats,
        "gflop": {str(size): batch_timing.gflop(size) for size in SIZES},
        "batches": [
            batch_timing.measure(count, frames, device=device, repeats=repeats) for count in persons
        ],
    }


def table(result: dict[str, Any]) -> str:
    """Return a result of `run` as text for a terminal."""
    about = result["machine"]
    lines = [
        f"{result['device']}; {about['cpu']}, {about['cores']} cores, load "
        f"{about['load_before']} before; medians of {result['repeats']}",
        "GFLOP a frame, by the crop: "
        + ", ".join(f"{size}: {value:.2f}" for size, value in result["gflop"].items()),
        "",
        f"{'persons':>8}{'frames':>8}  {'':20}{'ms a frame':>12}{'ratio':>8}{'weights, MiB':>14}",
    ]
    for batch in result["batches"]:
        head = f"{batch['persons']:8}{batch['frames']:8}"
        for name, way in batch["ways"].items():
            lines.append(
                f"{head}  {name:20}{way['ms_a_frame']:12.3f}{way['ratio']:8.2f}"
                f"{way['weight_bytes'] / 2**20:14.1f}"
            )
            head = " " * len(head)
        lines.append(f"{head}  the first two differ by {batch['deviation']:.3f} levels at most")
    return "\n".join(lines)
