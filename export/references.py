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

__all__ = ["add_reference", "picture_reference", "rows_reference", "ticks_reference"]

F32 = NDArray[np.float32]

TICKS = 50
PICTURES = 2
PICTURE_BYTES = 250_000  # with the ticks' 50 kB, 300 kB in all
COARSEST = 8


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


def rows_reference(
    graph: Graph, spec: GraphSpec, seen: Reference, room: int
) -> dict[str, dict[str, NDArray[np.generic]]] | None:
    """Return arrays of any network, by "inputs" and "outputs"; None where `room` is too small.

    Of planes the picture is kept as coarse as it takes, in 127ths where they are of -1 to 1; all
    else is kept as it is.

    Args:
        graph: the trained network.
        seen: what it was fed in a session, ticks from a state of zeros on where it has one, and
            outputs of the same rows, of which only the types count.
        room: bytes.
    """
    given = min(len(rows) for rows in seen.inputs.values())
    planes = {key: array for key, array in seen.inputs.items() if array.ndim == 4}
    counts = (TICKS, 20, 5) if spec.state else (PICTURES, 1) if planes else (8, 4, 1)
    sides = [side for array in planes.values() for side in array.shape[2:]]
    for count in sorted({min(count, given) for count in counts}, reverse=True):
        for times in (t for t in range(1, COARSEST + 1) if all(side % t == 0 for side in sides)):
            rows = slice(0, count) if spec.state else _spread(given, count)
            inputs: dict[str, NDArray[np.generic]] = {
                key: _coarse(array[rows], times) if key in planes else array[rows]
                for key, array in seen.inputs.items()
            }
            carried = {name for _, name in spec.state}
            size = sum(array.nbytes for array in inputs.values()) + sum(
                count * array[0].nbytes for key, array in seen.outputs.items() if key not in carried
            )
            if size <= room:
                kept = {key: expanded(array, spec.inputs[key]) for key, array in inputs.items()}
                return {"inputs": inputs, "outputs": replay(graph, spec, kept)}
            if not sides:
                break
    return None


def _spread(given: int, count: int) -> NDArray[np.int64]:
    return np.linspace(0, given - 1, count + 2).astype(np.int64)[1:-1]


def _coarse(planes: F32, times: int) -> NDArray[np.generic]:
    height, width = (side // times for side in planes.shape[2:])
    blocks: F32 = planes.reshape(*planes.shape[:2], height, times, width, times).mean(axis=(3, 5))
    if np.abs(planes).max(initial=0.0) > 1.0:
        return np.asarray(blocks, np.float16)
    return np.asarray(np.rint(blocks * UNIT), np.int8)


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
