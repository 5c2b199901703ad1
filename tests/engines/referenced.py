"""The tiny person with references: what its own fp32 networks make of a few inputs."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.engines.tiny_person import FEATURES, HALF, PLANES, tiny_person
from visavis.engines.npy import dump_array
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.person import Person, read_person, write_person
from visavis.engines.references import replay

Arrays = dict[str, dict[str, NDArray[Any]]]  # by side and tensor


@functools.cache
def arrays() -> dict[str, Arrays]:
    """By graph: ten ticks for the motion, three pictures for the renderer."""
    person, random = tiny_person(), np.random.default_rng(0)
    coarse = random.integers(-90, 90, (3, PLANES, HALF // 4, HALF // 4)).astype(np.int8)
    planes = (coarse / np.float32(127)).repeat(4, 2).repeat(4, 3).astype(np.float32)
    features = random.normal(size=(10, 4, FEATURES)).astype(np.float16)
    fed = {"renderer": planes, "motion": features.astype(np.float32)}
    kept = {"renderer": ("planes", coarse), "motion": ("features", features)}
    made = {}
    for name, spec in person.graphs.items():
        graph = OnnxCpuBackend().load(name, person.parts[spec.variants["fp32"]])
        key, stored = kept[name]
        made[name] = {
            "inputs": {key: stored},
            "outputs": replay(graph, spec, {key: fed[name]}),
        }
    return made


def person_with(references: dict[str, Arrays], **changed: bytes) -> Person:
    """The tiny person with other references, and with changed parts."""
    tiny = tiny_person()
    manifest = {key: value for key, value in tiny.manifest.items() if key != "parts"}
    parts = {**tiny.parts, **{name.replace("__", "."): part for name, part in changed.items()}}
    graphs = {}
    for name, graph in manifest["graphs"].items():
        entry: dict[str, dict[str, str]] = {}
        for side, tensors in references.get(name, {}).items():
            entry[side] = {key: f"reference/{name}.{side}.{key}.npy" for key in tensors}
            for key, file in entry[side].items():
                parts[file] = dump_array(tensors[key])
        graphs[name] = {**graph, "reference": entry} if entry else graph
    return read_person(write_person({**manifest, "graphs": graphs}, parts))
