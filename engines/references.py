"""What the trained network itself made of a few inputs: kept in the person file, for `verify`.

A graph's entry in `person.json` may name arrays for its inputs and outputs (not for its state):

    inputs     [K, ...] float16 or float32; or int8 in 127ths. The last two axes may be coarser than
               the graph's by one whole number: every value then stands for a square of them.
    outputs    [K, ...] uint8 for bytes; float16 or float32

Of a graph with state the K rows are ticks that follow each other from a state of zeros; of any
other they have nothing to do with each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Graph
from visavis.engines.errors import PersonFileError
from visavis.engines.person import Person
from visavis.engines.person_manifest import GraphSpec, Shape
from visavis.engines.reference_parts import UNIT, coarseness

__all__ = ["UNIT", "Reference", "expanded", "reference_of", "replay"]

F32 = NDArray[np.float32]
Outputs = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Reference:
    """Inputs as a graph takes them, f32[K, ...], and what the trained network made of them."""

    inputs: Mapping[str, F32]
    outputs: Mapping[str, NDArray[np.generic]]


def reference_of(person: Person, name: str) -> Reference | None:
    """Return what the file holds for a graph; None where it holds nothing."""
    spec = person.graphs[name]
    if spec.reference is None:
        return None
    return Reference(
        {
            key: expanded(person.arrays[file], spec.inputs[key])
            for key, file in spec.reference.inputs.items()
        },
        {key: person.arrays[file] for key, file in spec.reference.outputs.items()},
    )


def replay(
    graph: Graph,
    spec: GraphSpec,
    inputs: Mapping[str, F32],
    *,
    watch: Callable[[Callable[[], Outputs]], Outputs] = lambda run: run(),
) -> Outputs:
    """Return what a graph makes of K rows, one after another, [K, ...] by output.

    Args:
        graph: ready to run.
        spec: of the graph; its states are carried from row to row, and not returned.
        inputs: f32[K, ...] by name, without states.
        watch: calls each run, to measure it.
    """
    state: dict[str, F32] = {
        name: np.zeros((1, *spec.inputs[name]), np.float32) for name, _ in spec.state
    }
    rows: list[Outputs] = []
    for k in range(len(next(iter(inputs.values())))):
        feeds = {name: array[k : k + 1] for name, array in inputs.items()} | state
        outputs = watch(lambda feeds=feeds: graph.run(feeds))  # type: ignore[misc]
        state = {name: np.asarray(outputs[after], np.float32) for name, after in spec.state}
        rows.append(outputs)
    carried = {after for _, after in spec.state}
    return {
        name: np.concatenate([row[name] for row in rows]) for name in rows[0] if name not in carried
    }


def expanded(stored: NDArray[np.generic], shape: Shape) -> F32:
    """Return an input as a graph takes it, f32[K, *shape], from how it is kept."""
    values = stored.astype(np.float32)
    if stored.dtype == np.int8:
        values /= UNIT
    times = coarseness(stored.shape[1:], shape)
    if times is None:
        raise PersonFileError(f"A reference of shape {stored.shape[1:]} is not one of {shape}.")
    if times > 1:
        values = values.repeat(times, axis=-2).repeat(times, axis=-1)
    return np.ascontiguousarray(values)
