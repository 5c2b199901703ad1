"""Reads an ONNX model into plain values, for a backend that is no ONNX runtime.

Nodes with their attributes, weights as arrays, names of inputs and outputs. Sizes are bounded as
in `onnx_check`, which a person's parts have passed before; this may be given any bytes. Field
numbers are those of `onnx.proto` (ONNX 1.19).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.engines.onnx_check import MAX_NODES, MAX_TENSOR_BYTES
from visavis.engines.protobuf import (
    WireError,
    as_bytes,
    as_number,
    as_text,
    fields,
    signed,
    varints,
)

__all__ = ["FLOAT16", "UINT8", "Attribute", "Model", "Node", "read_model", "read_node"]

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | NDArray[np.generic]

# TensorProto.DataType
UINT8, FLOAT16 = 2, 10
DTYPES: Mapping[int, np.dtype[np.generic]] = {
    key: np.dtype(name)
    for key, name in {
        1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2",
        11: "<f8", 12: "<u4", 13: "<u8",
    }.items()
}  # fmt: skip
MAX_TENSORS = 4 * MAX_NODES


@dataclass(frozen=True, slots=True)
class Node:
    """One operation.

    Attributes:
        operator: its name in the standard domain.
        inputs: names of what it takes; "" for an optional one that is left out.
        outputs: names of what it gives.
        attributes: by name.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class Model:
    """A flat graph.

    Attributes:
        opset: version of the standard operators.
        nodes: in an order in which they can run.
        weights: by name.
        inputs, outputs: names, in order.
    """

    opset: int
    nodes: tuple[Node, ...]
    weights: Mapping[str, NDArray[np.generic]]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_model(name: str, data: bytes) -> Model:
    """Read a model.

    Args:
        name: the part's name, for the message.
        data: an ONNX file.

    Raises:
        PersonFileError: it is cut off, no ONNX, or holds what is not read here.
    """
    try:
        return _model(memoryview(data))
    except (WireError, UnicodeDecodeError, ValueError) as error:
        raise PersonFileError(f"{name!r} is not an ONNX model: {error}.") from None


def _model(data: memoryview) -> Model:
    graph: memoryview | None = None
    opset = 0
    for key, value in fields(data):
        if key == 7:
            graph = as_bytes(value)
        elif key == 8:
            items = dict(fields(as_bytes(value)))
            if as_text(items.get(1, memoryview(b""))) in ("", "ai.onnx"):
                opset = as_number(items.get(2, 0))
    if graph is None or not opset:
        raise WireError("it has no graph or no operator set")
    nodes: list[Node] = []
    weights: dict[str, NDArray[np.generic]] = {}
    inputs: list[str] = []
    outputs: list[str] = []
    for key, value in fields(graph):
        if key == 1:
            nodes.append(read_node(as_bytes(value)))
        elif key == 5:
            label, array = _tensor(as_bytes(value))
            weights[label] = array
        elif key in (11, 12):
            label = as_text(dict(fields(as_bytes(value))).get(1, memoryview(b"")))
            (inputs if key == 11 else outputs).append(label)
        if len(nodes) > MAX_NODES or len(weights) > MAX_TENSORS:
            raise WireError("it has too many nodes or tensors")
    return Model(opset, tuple(nodes), weights, tuple(inputs), tuple(outputs))


def read_node(data: memoryview) -> Node:
    """Read a NodeProto.

    Raises:
        WireError: it is damaged, or holds what is not read here.
    """
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: dict[str, Attribute] = {}
    operator = domain = ""
    for key, value in fields(data):
        if key == 1:
            inputs.append(as_text(value))
        elif key == 2:
            outputs.append(as_text(value))
        elif key == 4:
            operator = as_text(value)
        elif key == 5:
            label, attribute = _attribute(as_bytes(value))
            attributes[label] = attribute
        elif key == 7:
            domain = as_text(value)
    if domain not in ("", "ai.onnx"):
        raise WireError(f"it uses the operators of {domain[:60]!r}")
    return Node(operator, tuple(inputs), tuple(outputs), attributes)


def _attribute(data: memoryview) -> tuple[str, Attribute]:
    label, kind = "", 0
    scalar: Attribute | None = None
    floats: list[float] = []
    ints: list[int] = []
    for key, value in fields(data):
        if key == 1:
            label = as_text(value)
        elif key == 20:
            kind = as_number(value)
        elif key == 2:
            scalar = struct.unpack("<f", as_bytes(value))[0]
        elif key == 3:
            scalar = signed(as_number(value))
        elif key == 4:
            scalar = as_text(value)
        elif key == 5:
            scalar = _tensor(as_bytes(value))[1]
        elif key == 7:
            packed = as_bytes(value)
            floats += struct.unpack(f"<{len(packed) // 4}f", packed)
        elif key == 8:
            ints += [signed(item) for item in varints(value)]
    if kind == 6:
        return label, tuple(floats)
    if kind == 7:
        return label, tuple(ints)
    if scalar is None:
        # A writer may leave out what is zero.
        zeros: dict[int, Attribute] = {1: 0.0, 2: 0, 3: ""}
        scalar = zeros.get(kind)
    if scalar is None:
        raise WireError("an attribute is of a kind that is not read here")
    return label, scalar


def _tensor(data: memoryview) -> tuple[str, NDArray[np.generic]]:
    shape: list[int] = []
    element, label = 0, ""
    raw: memoryview | None = None
    packed = bytearray()
    numbers: list[int] = []
    for key, value in fields(data):
        if key == 1:
            shape += [signed(size) for size in varints(value)]
        elif key == 2:
            element = as_number(value)
        elif key == 8:
            label = as_text(value)
        elif key == 9:
            raw = as_bytes(value)
        elif key in (4, 10):
            packed += as_bytes(value)
        elif key in (5, 7, 11):
            numbers += [signed(item) for item in varints(value)]
        elif key == 13:
            raise WireError("it keeps weights in another file")
        if len(numbers) * 8 > MAX_TENSOR_BYTES or len(packed) > MAX_TENSOR_BYTES:
            raise WireError("it has a tensor that is too large")
    if (dtype := DTYPES.get(element)) is None:
        raise WireError("it has a tensor of a type that is not read here")
    if len(shape) > 8 or any(size < 0 for size in shape):
        raise WireError("it has a tensor with an impossible shape")
    count = math.prod(shape)
    if count * dtype.itemsize > MAX_TENSOR_BYTES:
        raise WireError("it has a tensor that is too large")
    if raw is not None:
        array: NDArray[np.generic] = np.frombuffer(raw, dtype)
    elif numbers and element == FLOAT16:
        # The bits of a half, in an integer field.
        array = np.array(numbers, np.int64).astype(np.uint16).view(np.float16)
    elif numbers:
        array = np.array(numbers, np.int64).astype(dtype)
    else:
        array = np.frombuffer(bytes(packed), dtype)
    if array.size != count:
        raise WireError("it has a tensor whose data and shape differ")
    return label, array.reshape(shape)
