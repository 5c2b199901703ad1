"""Looks into an ONNX model before ONNX Runtime does, and refuses what a person never needs.

A model may name files to read, carry subgraphs and functions, call operators of other domains and
declare tensors of any size. Here a model is one flat graph of standard operators with its weights
inside. Field numbers are those of `onnx.proto` (ONNX 1.19, IR version 11). Fields and attributes
that are not listed are refused: what is not understood here may be understood by the runtime.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from visavis.engines.errors import PersonFileError
from visavis.engines.protobuf import (
    WireError,
    as_bytes,
    as_number,
    as_text,
    fields,
    signed,
    varints,
)

__all__ = ["ALLOWED_OPERATORS", "MAX_OPSET", "MIN_OPSET", "check_model"]

MIN_OPSET, MAX_OPSET = 13, 23
MAX_IR_VERSION = 11
MAX_NODES = 4096
MAX_TENSOR_BYTES = 64 << 20

# Stateless arithmetic, convolutions, recurrences, shape changes and quantization. No control flow,
# no sequences or strings, nothing random, nothing whose output size depends on values.
_OPERATORS = """Abs Add And ArgMax AveragePool BatchNormalization Cast Ceil Clip Concat Constant
    ConstantOfShape Conv ConvTranspose CumSum DepthToSpace DequantizeLinear Div Dropout Einsum Elu
    Equal Erf Exp Expand Flatten Floor GRU Gather Gelu Gemm GlobalAveragePool Greater
    GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish Identity
    InstanceNormalization LSTM LayerNormalization LeakyRelu Less LessOrEqual Log MatMul Max MaxPool
    Min Mod Mul Neg Not Or PRelu Pad Pow QuantizeLinear Reciprocal ReduceMax ReduceMean ReduceMin
    ReduceSum Relu Reshape Resize Round Shape Sigmoid Sign Sin Cos Slice Softmax Softplus
    SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Unsqueeze Where"""
ALLOWED_OPERATORS = frozenset(_OPERATORS.split())
# TensorProto.DataType: bytes of one element. Strings, complex and 4-bit types are left out.
_ITEM_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
_FLOAT, _UINT8 = 1, 2

_MODEL_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 14}
_GRAPH_FIELDS = {1, 2, 5, 10, 11, 12, 13, 16}
_NODE_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 9}
_ATTRIBUTE_FIELDS = {1, 2, 3, 4, 5, 7, 8, 9, 13, 20}
_TENSOR_FIELDS = {1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16}

_T = TypeVar("_T")


@dataclass(slots=True)
class _Declared:
    """What a graph says of one input or output."""

    element: int = 0
    shape: list[int | str] = field(default_factory=list)


def check_model(
    name: str,
    data: bytes,
    inputs: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
) -> None:
    """Check one ONNX file.

    Args:
        name: the part's name, for the message.
        inputs, outputs: the shapes that the manifest declares, without the batch axis. Inputs must
            be float32, outputs float32 or uint8, and the batch axis free.

    Raises:
        PersonFileError: the model is damaged, uses what is not allowed, or has other inputs and
            outputs.
    """
    try:
        graph = _model(name, memoryview(data))
        declared_inputs, declared_outputs = _graph(name, graph)
    except (WireError, UnicodeDecodeError) as error:
        raise PersonFileError(f"{name!r} is not an ONNX model: {error}.") from None
    _compare(name, "input", inputs, declared_inputs, {_FLOAT})
    _compare(name, "output", outputs, declared_outputs, {_FLOAT, _UINT8})


def _model(name: str, data: memoryview) -> memoryview:
    """Check a ModelProto and return its GraphProto."""
    graph: memoryview | None = None
    opset = ir_version = None
    for number, value in fields(data):
        if number == 25:
            raise PersonFileError(f"{name!r} defines functions; a person's graphs are flat.")
        if number not in _MODEL_FIELDS:
            raise PersonFileError(f"{name!r} has a part that this version does not know.")
        if number == 1:
            ir_version = _once(ir_version, as_number(value))
        elif number == 7:
            graph = _once(graph, as_bytes(value))
        elif number == 8:
            domain, version = "", 0
            for key, item in fields(as_bytes(value)):
                if key == 1:
                    domain = as_text(item)
                elif key == 2:
                    version = as_number(item)
            if domain not in ("", "ai.onnx"):
                raise PersonFileError(
                    f"{name!r} uses the operators of {domain[:60]!r}; only standard ones are used."
                )
            opset = _once(opset, version)
    if graph is None or opset is None or ir_version is None:
        raise WireError("it has no graph, no version or no operator set")
    if not MIN_OPSET <= opset <= MAX_OPSET or ir_version > MAX_IR_VERSION:
        raise PersonFileError(
            f"{name!r} is of operator set {opset} and IR version {ir_version}; this version runs "
            f"sets {MIN_OPSET} to {MAX_OPSET} and IR up to {MAX_IR_VERSION}."
        )
    return graph


def _graph(name: str, data: memoryview) -> tuple[dict[str, _Declared], dict[str, _Declared]]:
    nodes = 0
    inputs: dict[str, _Declared] = {}
    outputs: dict[str, _Declared] = {}
    initializers: set[str] = set()
    for number, value in fields(data):
        if number == 15:
            raise PersonFileError(f"{name!r} has sparse tensors; a person's are dense.")
        if number not in _GRAPH_FIELDS:
            raise PersonFileError(f"{name!r} has a part that this version does not know.")
        if number == 1:
            nodes += 1
            if nodes > MAX_NODES:
                raise PersonFileError(f"{name!r} has more than {MAX_NODES} nodes.")
            _node(name, as_bytes(value))
        elif number == 5:
            initializers.add(_tensor(name, as_bytes(value)))
        elif number in (11, 12):
            key, declared = _value_info(name, as_bytes(value))
            side = inputs if number == 11 else outputs
            if key in side:
                raise PersonFileError(f"{name!r} declares {key[:60]!r} twice.")
            side[key] = declared
    if shadowed := initializers & inputs.keys():
        raise PersonFileError(f"{name!r} has a default for its input {sorted(shadowed)[0][:60]!r}.")
    return inputs, outputs


def _node(name: str, data: memoryview) -> None:
    operator: str | None = None
    domain = ""
    for number, value in fields(data):
        if number not in _NODE_FIELDS:
            raise PersonFileError(f"{name!r} has a node that this version does not know.")
        if number == 4:
            operator = _once(operator, as_text(value))
        elif number == 7:
            domain = as_text(value)
        elif number == 5:
            _attribute(name, as_bytes(value))
    if domain not in ("", "ai.onnx"):
        raise PersonFileError(
            f"{name!r} uses the operators of {domain[:60]!r}; only standard ones are used."
        )
    if operator in ("If", "Loop", "Scan", "SequenceMap"):
        raise PersonFileError(
            f"{name!r} has control flow ({operator}); a person's graphs are flat."
        )
    if operator not in ALLOWED_OPERATORS:
        raise PersonFileError(
            f"{name!r} uses the operator {str(operator)[:60]!r}, which is not on the list of "
            "operators that a person's graphs may use."
        )


def _attribute(name: str, data: memoryview) -> None:
    for number, value in fields(data):
        if number in (6, 11):
            raise PersonFileError(f"{name!r} has subgraphs; a person's graphs are flat.")
        if number not in _ATTRIBUTE_FIELDS:
            raise PersonFileError(f"{name!r} has an attribute that this version does not know.")
        if number == 5:
            _tensor(name, as_bytes(value))


def _tensor(name: str, data: memoryview) -> str:
    """Check a TensorProto and return its name."""
    shape: list[int] = []
    element: int | None = None
    raw: memoryview | None = None
    typed = 0
    label = ""
    for number, value in fields(data):
        if number == 13 or (number == 14 and as_number(value) != 0):
            raise PersonFileError(f"{name!r} keeps weights in another file; they belong inside.")
        if number not in _TENSOR_FIELDS:
            raise PersonFileError(f"{name!r} has a tensor that this version does not know.")
        if number == 1:
            shape += [signed(size) for size in varints(value)]
        elif number == 2:
            element = _once(element, as_number(value))
        elif number == 8:
            label = as_text(value)
        elif number == 9:
            raw = _once(raw, as_bytes(value))
        elif number in (4, 5, 7, 10, 11):
            typed += 1 if isinstance(value, int) else len(value)
    if element not in _ITEM_BYTES:
        raise PersonFileError(f"{name!r} has a tensor of a type that is not used here.")
    if any(size < 0 for size in shape) or len(shape) > 8:
        raise PersonFileError(f"{name!r} has a tensor with an impossible shape.")
    size = math.prod(shape) * _ITEM_BYTES[element]
    if size > MAX_TENSOR_BYTES or typed > MAX_TENSOR_BYTES:
        raise PersonFileError(f"{name!r} has a tensor larger than {MAX_TENSOR_BYTES >> 20} MiB.")
    if raw is not None and (len(raw) != size or typed):
        raise PersonFileError(f"{name!r} has a tensor whose data and shape differ.")
    if raw is None and typed < math.prod(shape):
        # Every element takes at least one byte in any of the typed encodings.
        raise PersonFileError(f"{name!r} has a tensor whose data and shape differ.")
    return label


def _value_info(name: str, data: memoryview) -> tuple[str, _Declared]:
    label: str | None = None
    declared = _Declared()
    for number, value in fields(data):
        if number == 1:
            label = _once(label, as_text(value))
        elif number == 2:
            for kind, inner in fields(as_bytes(value)):
                if kind == 1:
                    declared = _tensor_type(as_bytes(inner))
                elif kind != 6:
                    raise PersonFileError(f"{name!r} takes or gives something that is no tensor.")
    if label is None:
        raise WireError("an input or output has no name")
    return label, declared


def _tensor_type(data: memoryview) -> _Declared:
    declared = _Declared()
    for number, value in fields(data):
        if number == 1:
            declared.element = as_number(value)
        elif number == 2:
            for key, dimension in fields(as_bytes(value)):
                if key != 1:
                    continue
                size: int | str = ""
                for choice, item in fields(as_bytes(dimension)):
                    if choice == 1:
                        size = signed(as_number(item))
                    elif choice == 2:
                        size = as_text(item)
                declared.shape.append(size)
    return declared


def _compare(
    name: str,
    side: str,
    wanted: Mapping[str, tuple[int, ...]],
    declared: Mapping[str, _Declared],
    elements: set[int],
) -> None:
    if differing := wanted.keys() ^ declared.keys():
        raise PersonFileError(
            f"{name!r} and person.json differ in the {side} {sorted(differing)[0][:60]!r}."
        )
    for key, shape in wanted.items():
        found = declared[key]
        if found.element not in elements:
            raise PersonFileError(f"{name!r}: the {side} {key!r} is of a type not used here.")
        if not found.shape or not isinstance(found.shape[0], str):
            raise PersonFileError(f"{name!r}: the {side} {key!r} does not leave the batch free.")
        if tuple(found.shape[1:]) != shape:
            raise PersonFileError(
                f"{name!r}: the {side} {key!r} has shape {found.shape[1:]} after the batch, "
                f"person.json says {list(shape)}."
            )


def _once(before: _T | None, value: _T) -> _T:
    # A parser that takes the first and one that takes the last would see different models.
    if before is not None:
        raise WireError("a single field appears twice")
    return value
