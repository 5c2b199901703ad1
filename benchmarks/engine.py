"""The engine alone: milliseconds of each stage, and frames a second from one core.

Ticks follow each other without a pause, in the calling thread, on the same stages that serve. Wall
time says what a session waits; processor time says what a core gives when it is shared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from visavis.benchmarks.live.machine import machine, versions
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Work
from visavis.engines.probe import probe_voice
from visavis.engines.stages import STAGE_ORDER

__all__ = ["run", "table"]


def run(
    person: Person, *, seconds: float = 10.0, sessions: Sequence[int] = (1, 2, 4)
) -> dict[str, Any]:
    """Measure.

    Args:
        person: whose stages.
        seconds: of wall time for each batch size.
        sessions: batch sizes.

    Returns:
        "machine", "versions", "person", "variants" (what was measured of each graph's variants)
        and "batches": for each size ticks, frames/s of wall and of processor time, and the median
        and 95th percentile of milliseconds a batch, in all and by stage.
    """
    started = time.perf_counter()
    pipeline = Pipeline(person)
    pipeline.warm_up(max(sessions))
    ready = time.perf_counter() - started
    return {
        "machine": machine(),
        "versions": versions(),
        "person": {"name": person.name, "id": person.id, "width": person.width},
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


def _batch(pipeline: Pipeline, size: int, seconds: float) -> dict[str, Any]:
    states = [pipeline.initial_state(seed) for seed in range(size)]
    first, *voice = probe_voice(pipeline.lookahead_ms, 501)
    pipeline.advance([Work(state, first) for state in states])
    pipeline.times.clear()
    walls: list[float] = []
    begin, processor = time.perf_counter(), time.process_time()
    while (now := time.perf_counter()) - begin < seconds:
        pcm = voice[len(walls) % len(voice)]
        pipeline.advance([Work(state, pcm) for state in states])
        walls.append(time.perf_counter() - now)
    wall, used = time.perf_counter() - begin, time.process_time() - processor
    frames = size * len(walls)
    return {
        "sessions": size,
        "ticks": len(walls),
        "frames_per_s": round(frames / wall, 1),
        "frames_per_core_s": round(frames / used, 1),
        "batch_ms": _summary([1000 * value for value in walls]),
        "stage_ms": {name: _summary(pipeline.times[name]) for name in STAGE_ORDER},
    }


def _summary(milliseconds: Sequence[float]) -> dict[str, float]:
    median, high = np.percentile(np.asarray(milliseconds), (50, 95)).tolist()
    return {"median": round(median, 3), "p95": round(high, 3)}


def table(result: dict[str, Any]) -> str:
    """Return a result of `run` as text for a terminal."""
    about, batches = result["machine"], result["batches"]
    lines = [
        f"{result['person']['name']} on {about['cpu']}, {about['cores']} cores, load "
        f"{about['load_before']} before; ready in {result['ready_s']} s",
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
    for stage in STAGE_ORDER:
        cells = [batch["stage_ms"][stage] for batch in batches]
        lines.append(stage.ljust(width) + "".join(_cell(cell) for cell in cells))
    lines.append("batch".ljust(width) + "".join(_cell(batch["batch_ms"]) for batch in batches))
    for label, key in (("frames/s", "frames_per_s"), ("... of a core", "frames_per_core_s")):
        values = "".join(f"{batch[key]:18.1f}" for batch in batches)
        lines.append(label.ljust(width) + values)
    return "\n".join(lines)


def _cell(value: dict[str, float]) -> str:
    return f"{value['median']:.2f} / {value['p95']:.2f}".rjust(18)
