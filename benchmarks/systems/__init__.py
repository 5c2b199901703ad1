"""The networks of the published systems: as their own programs run them, and as they run here."""

from __future__ import annotations

import datetime
import gc
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from visavis.benchmarks.live.machine import machine, versions
from visavis.benchmarks.systems.report import table
from visavis.engines import memory
from visavis.engines.errors import ConfigError, PersonFileError

if TYPE_CHECKING:
    from visavis.models.systems.speed import Workload

__all__ = ["NOT_MADE", "Exporter", "run", "table"]

Exporter = Callable[..., bytes]
"""`export.torch_onnx.export_module`: what makes an ONNX file of a network."""

RUNTIME = "ONNX Runtime float32"
NOT_MADE: Mapping[str, Mapping[str, str]] = {
    "cpu": {
        "float16": "processors compute it in float32; --half of visavis import only stores it",
        "8 bits": "no variant of these networks in 8-bit integers is made",
    },
    "cuda": {"8 bits": "no variant of these networks in 8-bit integers is made"},
}
"""Ways that somebody may look for, and why they are not there."""


def run(
    export: Exporter,
    *,
    systems: Sequence[str] | None = None,
    batches: Sequence[int] = (1, 16),
    seconds: float = 3.0,
    device: str = "cpu",
    threads: int = 1,
    scale: int = 1,
    parts: Sequence[str] = ("motion", "picture"),
) -> dict[str, Any]:
    """Measure one system after the other.

    Args:
        export: makes ONNX files; see `Exporter`.
        systems: names; all by default.
        batches: frames in a call.
        seconds: of each way and batch.
        device: ``cpu`` or ``cuda``.
        threads: of a call on a CPU.
        scale: 1 for the published networks, 2, 4 or 8 for reduced ones.
        parts: of a frame.

    Returns:
        What `table` prints, JSON throughout. What could not be measured has "not_run".

    Raises:
        ConfigError: torch or the device is missing, or a name or a scale does not exist.
    """
    try:
        from visavis.models.systems import speed
    except ImportError as error:
        raise ConfigError(f"This needs {error.name}: pip install 'visavis[export]'.") from error
    about = speed.about_device(device, threads)
    if about is None:
        raise ConfigError("This machine has no CUDA device that torch can use; --device cpu.")
    names = list(systems or speed.SYSTEMS)
    if unknown := [name for name in names if name not in speed.SYSTEMS]:
        raise ConfigError(
            f"{unknown[0]!r} is no system here; there are {', '.join(speed.SYSTEMS)}."
        )
    if scale not in (1, 2, 4, 8):
        raise ConfigError(f"A scale is 1, 2, 4 or 8, not {scale}.")
    result: dict[str, Any] = {
        "benchmark": "systems",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "device": about,
        "scale": scale,
        "seconds": seconds,
        "rows": [],
        "not_made": dict(NOT_MADE[device]),
    }
    ordered = sorted(set(batches))
    for name in names:
        result["rows"] += _system(name, export, ordered, seconds, device, threads, scale, parts)
        gc.collect()
        memory.give_back()
    result["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    return result


def _system(
    name: str,
    export: Exporter,
    batches: Sequence[int],
    seconds: float,
    device: str,
    threads: int,
    scale: int,
    parts: Sequence[str],
) -> list[dict[str, Any]]:
    from visavis.models.systems import speed

    # On a CPU an ONNX file besides, while it is made and while it is loaded.
    needed = speed.needed_bytes(name, scale, batches[-1], copies=4 if device == "cpu" else 1)
    free = memory.available_bytes()
    if free is not None and free < needed:
        why = f"it needs about {needed / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} are free"
        return [{"system": name, "not_run": why}]
    rows = []
    for work in speed.workloads(name, scale):
        if work.part not in parts:
            continue
        runners: dict[str, Any] = {}
        refused: str | None = None
        if device == "cpu":
            try:
                runners = {RUNTIME: _runtime(work, export, threads)}
            except PersonFileError as error:
                refused = str(error)
        row = speed.measure(
            work, batches, device=device, seconds=seconds, threads=threads, runners=runners
        )
        if refused is not None:
            row["runs"].append({"way": RUNTIME, "batch": batches[0], "not_run": refused})
        rows.append({"system": name, **row})
    return rows


def _runtime(work: Workload, export: Exporter, threads: int) -> Any:
    from visavis.engines.onnx_cpu import OnnxCpuBackend
    from visavis.models.systems.speed.workload import examples

    model = export(
        work.ours,
        list(examples(work.inputs, 2).values()),
        list(work.inputs),
        list(work.outputs),
        what=f"The network of {work.part}",
    )
    return OnnxCpuBackend(threads=threads).load(work.part, model).run
