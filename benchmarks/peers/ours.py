"""Our renderer as it serves: the person's own graph, each variant of it, in ONNX Runtime."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.person import Person

__all__ = ["planes_shape", "serving_runs"]

LEAST_RUNS = 3
RENDERER = "renderer"


def planes_shape(person: Person) -> list[int]:
    """The renderer's input without the batch: (planes, S/2, S/2)."""
    (shape,) = person.graphs[RENDERER].inputs.values()
    return [int(side) for side in shape]


def serving_runs(person: Person, batches: Sequence[int], seconds: float) -> list[dict[str, Any]]:
    """As `network_timing.measure`'s "runs", on one thread."""
    backend = OnnxCpuBackend()
    (name,) = person.graphs[RENDERER].inputs
    rng = np.random.default_rng(1)
    runs: list[dict[str, Any]] = []
    for variant, file in person.graphs[RENDERER].variants.items():
        graph = backend.load(file, person.parts[file])
        for batch in batches:
            planes = rng.uniform(-1, 1, (batch, *planes_shape(person))).astype(np.float32)
            graph.run({name: planes})
            taken: list[float] = []
            while len(taken) < LEAST_RUNS or sum(taken) < seconds:
                began = time.perf_counter()
                graph.run({name: planes})
                taken.append(time.perf_counter() - began)
            runs.append(
                {
                    "way": f"ONNX Runtime {variant}",
                    "batch": batch,
                    "ms_a_frame": round(1000 * float(np.median(taken)) / batch, 4),
                    "calls": len(taken),
                }
            )
    return runs
