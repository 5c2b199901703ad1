"""References for a person file: what `visavis verify` compares with where there is no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Graph
from visavis.engines.npy import dump_array
from visavis.engines.person_manifest import GraphSpec
from visavis.engines.references import UNIT, Reference, expanded, replay

__all__ = ["add_reference", "picture_reference", "ticks_reference"]

F32 = NDArray[np.float32]

TICKS = 50
PICTURES = 2
PICTURE_BYTES = 250_000  # with the ticks' 50 kB, 300 kB in all


def ticks_reference(graph: Graph, spec: GraphSpec, seen: Reference) -> dict[str, dict[str, Any]]:
    """Return arrays of a network with state, by "inputs" and "outputs".

    Args:
        graph: the trained network.
        seen: ticks from a state of zeros on.
    """
    inputs = {name: rows[:TICKS].astype(np.float16) for name, rows in seen.inputs.items()}
    outputs = replay(graph, spec, {name: rows.astype(np.float32) for name, rows in inputs.items()})
    return {"inputs": inputs, "outputs": outputs}


def picture_reference(
    graph: Graph, spec: GraphSpec, planes: F32
) -> dict[str, dict[str, NDArray[np.generic]]]:
    """Return arrays of the renderer, by "inputs" and "outputs".

    Planes are kept as coarse as it takes to stay within `PICTURE_BYTES`: the network does not mind,
    and what it makes of them is computed from what is kept.

    Args:
        graph: the trained network.
        planes: f32[K, P, S/2, S/2], of which two are kept, or one where they are large.
    """
    half = planes.shape[-1]
    for count in (min(PICTURES, len(planes)), 1):
        for times in (t for t in range(1, half // 4 + 1) if half % t == 0):
            size = planes.shape[1] * (half // times) ** 2 + 6 * half**2
            if count * size <= PICTURE_BYTES:
                return _picture(graph, spec, planes, count, times)
    return _picture(graph, spec, planes, 1, max(t for t in (1, 2, 4, 8) if half % t == 0))


def _picture(
    graph: Graph, spec: GraphSpec, planes: F32, count: int, times: int
) -> dict[str, dict[str, NDArray[np.generic]]]:
    rows = np.linspace(0, len(planes) - 1, count + 2).astype(np.int64)[1:-1]
    chosen, half = planes[rows], planes.shape[-1]
    blocks = chosen.reshape(*chosen.shape[:2], half // times, times, half // times, times)
    levels = np.rint(blocks.mean(axis=(3, 5)) * UNIT)
    stored = np.clip(levels, -UNIT, UNIT).astype(np.int8)
    outputs = replay(graph, spec, {"planes": expanded(stored, spec.inputs["planes"])})
    return {"inputs": {"planes": stored}, "outputs": outputs}


def add_reference(
    name: str,
    arrays: Mapping[str, Mapping[str, NDArray[np.generic]]],
    manifest: dict[str, Any],
    parts: dict[str, bytes],
) -> None:
    """Put a graph's reference into what `write_person` takes, in place."""
    entry: dict[str, dict[str, str]] = {}
    for side, by_key in arrays.items():
        entry[side] = {key: f"reference/{name}.{key}.npy" for key in sorted(by_key)}
        for key, file in entry[side].items():
            parts[file] = dump_array(by_key[key])
    graphs = manifest["graphs"]
    manifest["graphs"] = {**graphs, name: {**graphs[name], "reference": entry}}
