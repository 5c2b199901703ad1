"""The engine alone: milliseconds of each stage, and frames a second from one core.

Ticks follow each other without a pause, in the calling thread, on the same stages that serve. Wall
time says what a session waits; processor time says what a core gives when it is shared.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from visavis.benchmarks.engines_of import runner_maker
from visavis.benchmarks.live.machine import machine, versions
from visavis.engines.backend import VariantReport
from visavis.engines.person import Person
from visavis.engines.pipeline import Runner, Work
from visavis.engines.probe import probe_voice
from visavis.engines.stages import STAGE_ORDER

__all__ = ["run", "table"]

ROOM = 64  # frames in a batch


def run(
    person: Person,
    *,
    seconds: float = 10.0,
    sessions: Sequence[int] = (1, 2, 4),
    device: str = "cpu",
    backend: str | None = None,
) -> dict[str, Any]:
    """Measure.

    Args:
        person: whose stages.
        seconds: of wall time for each batch size.
        sessions: batch sizes; on a GPU more than `ROOM` are as many batches as it takes.
        device, backend: see `engines_of.runner_maker`.

    Returns:
        "machine", "versions", "person", "device", "variants" (what was measured of each graph's
        variants) and "batches": for each size ticks, frames/s of wall and of processor time, and
        the median and 95th percentile of milliseconds a batch, in all and by stage.

    Raises:
        ConfigError, BackendUnavailable: see `engines_of.runner_maker`.
    """
    started = time.perf_counter()
    make = runner_maker(device, backend, room=ROOM)
    pipeline = make(person)
    assert isinstance(pipeline, Measured)
    pipeline.warm_up(min(ROOM, max(sessions)))
    ready = time.perf_counter() - started
    return {
        "machine": machine(),
        "versions": versions(),
        "person": {"name": person.name, "id": person.id, "width": person.width},
        "device": getattr(make, "name", "the processor"),
        "ready_s": round(ready, 2),
        "variants": {
            name: [
                {
                    "variant": report.variant,
                    "ms": round(report.milliseconds, 3),
                    "deviation": report.deviation,
                    "accepted": report.accepted,
                    "chosen": report.chosen,
                }
                for report in reports
            ]
            for name, reports in pipeline.variants.items()
        },
        "batches": [_batch(pipeline, size, seconds) for size in sessions],
    }


@runtime_checkable
class Measured(Runner, Protocol):
    """A runner that says what its stages took, and what came of its variants."""

    lookahead_ms: int
    variants: dict[str, tuple[VariantReport, ...]]

    @property
    def times(self) -> dict[str, deque[float]]:
        """Milliseconds of each stage."""


def _batch(pipeline: Measured, size: int, seconds: float) -> dict[str, Any]:
    states = [pipeline.initial_state(seed) for seed in range(size)]
    first, *voice = probe_voice(pipeline.lookahead_ms, 501)
    groups = [states[n : n + ROOM] for n in range(0, size, ROOM)]
    for group in groups:
        pipeline.advance([Work(state, first) for state in group])
    for values in pipeline.times.values():
        values.clear()
    walls: list[float] = []
    begin, processor = time.perf_counter(), time.process_time()
    while (now := time.perf_counter()) - begin < seconds:
        pcm = voice[len(walls) % len(voice)]
        for group in groups:
            work = [Work(state, pcm) for state in group]
            pipeline.advance(work)
            for item in work:
                if item.error is not None:
                    raise item.error
        walls.append(time.perf_counter() - now)
    wall, used = time.perf_counter() - begin, time.process_time() - processor
    frames = size * len(walls)
    return {
        "sessions": size,
        "ticks": len(walls),
        "frames_per_s": round(frames / wall, 1),
        "frames_per_core_s": round(frames / used, 1),
        "batch_ms": _summary([1000 * value for value in walls]),
        "stage_ms": {
            name: _summary(pipeline.times[name])
            for name in _stages(pipeline.times)
            if pipeline.times[name]
        },
    }


def _stages(known: Mapping[str, object]) -> list[str]:
    """Names of stages, those that everybody knows in their own order."""
    ordered = [name for name in STAGE_ORDER if name in known]
    return ordered + [name for name in known if name not in STAGE_ORDER]


def _summary(milliseconds: Sequence[float]) -> dict[str, float]:
    median, high = np.percentile(np.asarray(milliseconds), (50, 95)).tolist()
    return {"median": round(median, 3), "p95": round(high, 3)}


def table(result: dict[str, Any]) -> str:
    """Return a result of `run` as text for a terminal."""
    about, batches = result["machine"], result["batches"]
    lines = [
        f"{result['person']['name']} on {result['device']}; {about['cpu']}, {about['cores']} "
        f"cores, load {about['load_before']} before; ready in {result['ready_s']} s",
    ]
    for name, reports in result["variants"].items():
        for report in reports:
            state = "runs" if report["chosen"] else "not chosen"
            state = state if report["accepted"] else "refused"
            deviation = f", {report['deviation']}" if report["deviation"] else ""
            lines.append(f"  {name} {report['variant']}: {report['ms']:.2f} ms, {state}{deviation}")
    width = 16
    heads = [f"{batch['sessions']} session(s)" for batch in batches]
    lines += ["", "ms, median / p95".ljust(width) + "".join(head.rjust(18) for head in heads)]
    for stage in _stages(batches[0]["stage_ms"]):
        cells = [batch["stage_ms"].get(stage) for batch in batches]
        lines.append(stage.ljust(width) + "".join(_cell(cell) for cell in cells))
    lines.append("batch".ljust(width) + "".join(_cell(batch["batch_ms"]) for batch in batches))
    for label, key in (("frames/s", "frames_per_s"), ("... of a core", "frames_per_core_s")):
        values = "".join(f"{batch[key]:18.1f}" for batch in batches)
        lines.append(label.ljust(width) + values)
    return "\n".join(lines)


def _cell(value: dict[str, float] | None) -> str:
    if value is None:
        return "-".rjust(18)
    return f"{value['median']:.2f} / {value['p95']:.2f}".rjust(18)
