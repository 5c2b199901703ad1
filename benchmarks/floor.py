"""The renderer against the least that its memory traffic allows."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from visavis.benchmarks.live.machine import machine, versions
from visavis.engines.errors import ConfigError

__all__ = ["run", "table"]


def run(
    *, batches: Sequence[int] = (1, 64), device: str = "cpu", size: int = 192
) -> dict[str, Any]:
    """Measure.

    Args:
        batches: frames in a call.
        device: ``cpu`` (one thread, float32) or ``cuda`` (float16, channels last, CUDA graphs).
        size: pixels of the crop.

    Returns:
        "machine", "versions", "device", and what `models.layer_floor.measure` returns.

    Raises:
        ConfigError: torch is not installed, or has no such device.
    """
    try:
        from visavis.models import layer_floor
    except ImportError as error:
        raise ConfigError(f"This needs {error.name}: pip install 'visavis[export]'.") from error
    about = layer_floor.device_name(device)
    if about is None:
        raise ConfigError("This machine has no CUDA device that torch can use; --device cpu.")
    return {
        "benchmark": "floor",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "device": about,
        **layer_floor.measure(batches, device=device, size=size),
    }


def table(result: dict[str, Any]) -> str:
    """The result as people read it."""
    lines = [
        f"{result['device']}; a copy moves {result['bytes_per_s'] / 1e9:.0f} GB/s, read and "
        f"written; crop {result['size']}x{result['size']}",
    ]
    for batch in result["batches"]:
        lines += [
            "",
            f"batch {batch['batch']}: {batch['ms']:.3f} ms, floor {batch['floor_ms']:.3f} ms, "
            f"{batch['ratio']:.1f} times it; {batch['frames_per_s']:.0f} frames/s",
            f"  {'layer':18}{'MB':>9}{'floor, us':>12}{'alone, us':>12}",
        ]
        for row in batch["layers"]:
            lines.append(
                f"  {row['name']:18}{row['bytes'] / 1e6:9.2f}{row['floor_us']:12.1f}"
                f"{row['us']:12.1f}"
            )
    return "\n".join(lines)
