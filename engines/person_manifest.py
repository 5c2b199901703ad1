"""`person.json`: what a person is made of. Types and cross-references, no content of parts.

`docs/person-file.md` describes every field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from visavis.engines.consent import consent_of
from visavis.engines.errors import PersonFileError
from visavis.engines.fields import (
    SHA256,
    as_integer,
    as_list,
    as_match,
    as_multiple,
    as_object,
    as_text,
    check_keys,
)
from visavis.engines.look import LookSpec, look_of
from visavis.engines.person_zip import check_name
from visavis.engines.provenance import check_made_by

__all__ = [
    "FORMAT",
    "NOTHING",
    "OPERATIONS",
    "STAGES",
    "GraphSpec",
    "Manifest",
    "PartSpec",
    "ReferenceSpec",
    "Shape",
    "StageSpec",
    "parse_manifest",
]

FORMAT = 1
STAGES = ("audio", "motion", "geometry", "raster", "render", "composite", "background")
OPERATIONS: Mapping[str, str] = {
    "logmel@1": "audio",
    "cepstra@1": "audio",
    "tract@2": "motion",
    "windowed@1": "motion",
    "linear@1": "geometry",
    "mesh@1": "geometry",
    "planes@2": "raster",
    "attributes@1": "raster",
    "sketch@1": "raster",
    "graph@1": "render",
    "graph@2": "render",
    "feather@1": "composite",
    "paste@1": "composite",
    "walk@2": "background",
    "footage@1": "background",
}
# A place of a person's stages that has nothing to do.
NOTHING: Mapping[str, frozenset[str]] = {
    "none@1": frozenset({"geometry", "raster"}),
}
VARIANTS = ("fp32", "fp16", "int8")
BATCH = "N"
MAX_GRAPHS = 8
MAX_LOOKAHEADS = 16
MAX_TENSORS = 64
MAX_TENSOR_ELEMENTS = 1 << 24
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_TENSOR = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,99}")

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage: an operation, its parameters, and the parts it reads by role."""

    op: str
    params: Mapping[str, Any]
    parts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReferenceSpec:
    """Files of inputs, and of what the trained network made of them; see `references`."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """A network: shapes without the leading batch axis, state as (input, output), files."""

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    state: tuple[tuple[str, str], ...]
    variants: Mapping[str, str]
    reference: ReferenceSpec | None = None


@dataclass(frozen=True, slots=True)
class PartSpec:
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The checked content of `person.json`."""

    name: str
    display_name: str
    system: str
    fps: int
    width: int
    height: int
    sample_rate: int
    lookahead_ms: int
    lookaheads_ms: tuple[int, ...]
    stages: Mapping[str, StageSpec]
    graphs: Mapping[str, GraphSpec]
    poster: str
    preview: str | None
    look: LookSpec
    contains_licensed: bool
    parts: Mapping[str, PartSpec]


def parse_manifest(value: Mapping[str, Any]) -> Manifest:
    """Check the object of `person.json`.

    Raises:
        PersonFileError: a field is missing, unknown, of the wrong type, out of range, or refers
            to something that is not there.
    """
    if value.get("format") != FORMAT or isinstance(value.get("format"), bool):
        raise PersonFileError(
            f"The file has format {str(value.get('format'))[:20]!r}; this version reads {FORMAT}."
        )
    check_keys("person.json", value, _REQUIRED, _OPTIONAL)
    requires = [as_text("requires", item) for item in as_list("requires", value["requires"])]
    for operation in requires:
        if operation not in OPERATIONS and operation not in NOTHING:
            raise PersonFileError(
                f"The file requires {operation!r}, which this version does not know; "
                "a newer visavis may."
            )
    parts = _parts(as_object("parts", value["parts"]))
    graphs = _graphs(as_object("graphs", value["graphs"]), parts)
    stages = _stages(as_object("stages", value["stages"]), parts, graphs)
    lookahead_ms = _lookahead("lookahead_ms", value["lookahead_ms"])
    lookaheads_ms = _lookaheads(stages["motion"])
    if lookahead_ms not in lookaheads_ms:
        raise PersonFileError("'lookahead_ms' must be one of the motion's 'lookaheads'.")
    if sorted({stage.op for stage in stages.values()}) != sorted(requires):
        raise PersonFileError("'requires' must list exactly the operations of 'stages'.")
    consent_of(value)
    check_made_by(value["made_by"])
    for key in ("licence", "notices"):
        as_text(key, value[key], 65536)
    if not isinstance(value["contains_licensed"], bool):
        raise PersonFileError("'contains_licensed' must be true or false.")
    preview = value.get("preview")
    return Manifest(
        name=as_match("name", value["name"], _NAME),
        display_name=as_text("display_name", value["display_name"], 80),
        system=as_match("system", value["system"], _NAME),
        fps=as_integer("fps", value["fps"], 25, 25),
        width=_even("width", value["width"]),
        height=_even("height", value["height"]),
        sample_rate=as_integer("sample_rate", value["sample_rate"], 16000, 16000),
        lookahead_ms=lookahead_ms,
        lookaheads_ms=lookaheads_ms,
        stages=stages,
        graphs=graphs,
        poster=_part("poster", value["poster"], (".jpg",), parts),
        preview=None if preview is None else _part("preview", preview, (".mp4",), parts),
        look=look_of(value.get("look"), partial(_part, parts=parts)),
        contains_licensed=value["contains_licensed"],
        parts=parts,
    )


_FIELDS = (
    "format name display_name system fps width height sample_rate lookahead_ms requires stages "
    "graphs poster consent licence notices contains_licensed made_by parts"
)
_REQUIRED = frozenset(_FIELDS.split())
_OPTIONAL = frozenset({"preview", "controls", "look"})
_SUFFIXES = (".npy", ".onnx", ".mp4", ".jpg", ".json", ".txt")


def _parts(value: Mapping[str, Any]) -> dict[str, PartSpec]:
    result = {}
    for name, entry in value.items():
        check_name(name)
        if not name.endswith(_SUFFIXES):
            raise PersonFileError(f"The part {name!r} is of no kind that a person file holds.")
        entry = as_object(f"parts: {name}", entry)
        check_keys(f"parts: {name}", entry, frozenset({"sha256", "size"}), frozenset())
        result[name] = PartSpec(
            as_match(f"{name}: sha256", entry["sha256"], SHA256),
            as_integer(f"{name}: size", entry["size"], 0, 1 << 40),
        )
    return result


def _graphs(value: Mapping[str, Any], parts: Mapping[str, PartSpec]) -> dict[str, GraphSpec]:
    if len(value) > MAX_GRAPHS:
        raise PersonFileError(f"A person has at most {MAX_GRAPHS} graphs.")
    result = {}
    for name, entry in value.items():
        where = f"graphs: {as_match('graphs', name, _NAME)}"
        entry = as_object(where, entry)
        check_keys(
            where,
            entry,
            frozenset({"inputs", "outputs", "variants"}),
            frozenset({"state", "reference"}),
        )
        inputs = _tensors(f"{where}: inputs", entry["inputs"])
        outputs = _tensors(f"{where}: outputs", entry["outputs"])
        state = []
        for pair in as_list(f"{where}: state", entry.get("state", [])):
            names = [as_text(f"{where}: state", item) for item in as_list(f"{where}: state", pair)]
            if (
                len(names) != 2
                or names[0] not in inputs
                or names[1] not in outputs
                or inputs[names[0]] != outputs[names[1]]
            ):
                raise PersonFileError(
                    f"{where}: state must pair an input with an output of the same shape."
                )
            state.append((names[0], names[1]))
        if any(len({pair[side] for pair in state}) != len(state) for side in (0, 1)):
            raise PersonFileError(f"{where}: state names a tensor twice.")
        variants = as_object(f"{where}: variants", entry["variants"])
        if "fp32" not in variants or not set(variants) <= set(VARIANTS):
            raise PersonFileError(f"{where}: variants must hold fp32, and besides fp16 or int8.")
        files = {
            key: _part(f"{where}: {key}", file, (".onnx",), parts) for key, file in variants.items()
        }
        result[name] = GraphSpec(inputs, outputs, tuple(state), files)
        if "reference" in entry:
            reference = _reference(f"{where}: reference", entry["reference"], result[name], parts)
            result[name] = replace(result[name], reference=reference)
    return result


def _reference(
    where: str, value: Any, graph: GraphSpec, parts: Mapping[str, PartSpec]
) -> ReferenceSpec:
    entry = as_object(where, value)
    check_keys(where, entry, frozenset({"inputs", "outputs"}), frozenset())
    inputs, outputs = (
        {
            key: _part(f"{where}: {key}", file, (".npy",), parts)
            for key, file in as_object(f"{where}: {side}", entry[side]).items()
        }
        for side in ("inputs", "outputs")
    )
    if inputs.keys() != graph.inputs.keys() - {name for name, _ in graph.state}:
        raise PersonFileError(f"{where} must hold every input of the graph but its state.")
    if not outputs or outputs.keys() - (graph.outputs.keys() - {name for _, name in graph.state}):
        raise PersonFileError(f"{where} must hold outputs of the graph other than its state.")
    return ReferenceSpec(inputs, outputs)


def _tensors(where: str, value: Any) -> dict[str, Shape]:
    tensors = {}
    for name, dimensions in as_object(where, value).items():
        as_match(where, name, _TENSOR)
        shape = as_list(f"{where}: {name}", dimensions)
        if not shape or shape[0] != BATCH:
            raise PersonFileError(f"{where}: the shape of {name!r} must begin with {BATCH!r}.")
        sizes = tuple(as_integer(f"{where}: {name}", size, 1, 1 << 20) for size in shape[1:])
        elements = 1
        for size in sizes:
            elements *= size
        if elements > MAX_TENSOR_ELEMENTS or len(sizes) > 5:
            raise PersonFileError(f"{where}: {name!r} is larger than a tensor may be.")
        tensors[name] = sizes
    if not 0 < len(tensors) <= MAX_TENSORS:
        raise PersonFileError(f"{where}: there must be between 1 and {MAX_TENSORS} tensors.")
    return tensors


def _stages(
    value: Mapping[str, Any], parts: Mapping[str, PartSpec], graphs: Mapping[str, GraphSpec]
) -> dict[str, StageSpec]:
    check_keys("stages", value, frozenset(STAGES), frozenset())
    result = {}
    for name in STAGES:
        where = f"stages: {name}"
        entry = as_object(where, value[name])
        check_keys(where, entry, frozenset({"op"}), frozenset({"params", "parts"}))
        op = as_text(f"{where}: op", entry["op"])
        if OPERATIONS.get(op) != name and name not in NOTHING.get(op, ()):
            raise PersonFileError(
                f"The operation {op!r} of the stage {name!r} is not known to this version; "
                "a newer visavis may know it."
            )
        params = as_object(f"{where}: params", entry.get("params", {}))
        if "graph" in params and as_text(f"{where}: graph", params["graph"]) not in graphs:
            raise PersonFileError(f"{where}: there is no graph {params['graph']!r}.")
        files = {
            as_match(where, role, _NAME): _part(f"{where}: {role}", file, _SUFFIXES, parts)
            for role, file in as_object(f"{where}: parts", entry.get("parts", {})).items()
        }
        result[name] = StageSpec(op, params, files)
    return result


def _lookaheads(motion: StageSpec) -> tuple[int, ...]:
    where = "stages: motion: lookaheads"
    given = as_list(where, motion.params.get("lookaheads"))
    lookaheads = tuple(_lookahead(where, ms) for ms in given)
    if not 1 <= len(lookaheads) <= MAX_LOOKAHEADS or list(lookaheads) != sorted(set(lookaheads)):
        raise PersonFileError(
            f"{where} must be 1 to {MAX_LOOKAHEADS} different numbers in rising order."
        )
    return lookaheads


def _lookahead(where: str, value: Any) -> int:
    # A multiple of a feature's 10 ms, at least one tick: see docs/engine.md.
    return as_multiple(where, value, 40, 2000, 10)


def _part(where: str, value: Any, suffixes: tuple[str, ...], parts: Mapping[str, PartSpec]) -> str:
    name = as_text(where, value, 200)
    if name not in parts:
        raise PersonFileError(f"{where} refers to {name!r}, which is not among the parts.")
    if not name.endswith(suffixes):
        raise PersonFileError(f"{where} refers to {name!r}, which is not a {suffixes[0]} file.")
    return name


def _even(where: str, value: Any) -> int:
    return as_multiple(where, value, 64, 2048, 2)
