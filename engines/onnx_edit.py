"""Rewrites an ONNX model for a runtime that has bytes only at its edges.

TensorRT turns floats into `uint8` where a network ends and computes nothing with it: it takes a
cast that is followed by a choice of channels for an error. What only moves values may as well move
floats, so such casts are put behind it; the numbers stay the same to the last bit.
https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/data-format-desc.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from visavis.engines.errors import PersonFileError
from visavis.engines.onnx_model import UINT8, Node, read_node
from visavis.engines.protobuf import WireError, as_bytes, as_text, encode_field, fields

__all__ = ["bytes_last"]

# Operators that choose, move or split values of their first input, and look at none.
MOVES = {
    "DepthToSpace", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
}  # fmt: skip
_MAX_ROUNDS = 64

_NODE, _OUTPUT, _VALUE_INFO, _GRAPH = 1, 12, 13, 7


@dataclass(frozen=True, slots=True)
class _Written:
    """A node as it is and as it was written."""

    node: Node
    raw: bytes

    def renamed(self, inputs: Sequence[str], outputs: Sequence[str]) -> _Written:
        """Return the same operation between other tensors."""
        kept = b"".join(
            encode_field(number, bytes(as_bytes(value)))
            for number, value in fields(memoryview(self.raw))
            if number not in (1, 2, 3)  # a copy needs no name, and must not have the same
        )
        names = b"".join(encode_field(1, name.encode()) for name in inputs)
        names += b"".join(encode_field(2, name.encode()) for name in outputs)
        node = replace(self.node, inputs=tuple(inputs), outputs=tuple(outputs))
        return _Written(node, names + kept)


def bytes_last(name: str, model: bytes) -> bytes:
    """Return a model that computes the same and turns into `uint8` as late as it can.

    Args:
        name: the part's name, for the message.
        model: an ONNX file.

    Raises:
        PersonFileError: it is damaged.
    """
    try:
        parts = list(fields(memoryview(model)))
        return b"".join(
            encode_field(number, _graph(as_bytes(value)) if number == _GRAPH else value)
            for number, value in parts
        )
    except (WireError, UnicodeDecodeError) as error:
        raise PersonFileError(f"{name!r} is not an ONNX model: {error}.") from None


def _graph(data: memoryview) -> bytes:
    parts = list(fields(data))
    nodes = [
        _Written(read_node(as_bytes(value)), bytes(as_bytes(value)))
        for number, value in parts
        if number == _NODE
    ]
    ends = {_label(value) for number, value in parts if number == _OUTPUT}
    gone: set[str] = set()
    for _ in range(_MAX_ROUNDS):
        if (found := _next(nodes, ends)) is None:
            break
        gone.add(found.node.outputs[0])
        nodes = _sunk(nodes, found)
    written = b"".join(encode_field(_NODE, node.raw) for node in nodes)
    return written + b"".join(
        encode_field(number, value)
        for number, value in parts
        if number != _NODE and not (number == _VALUE_INFO and _label(value) in gone)
    )


def _next(nodes: Sequence[_Written], ends: set[str]) -> _Written | None:
    """Return a cast to bytes that only operators that move values follow."""
    for cast in nodes:
        if cast.node.operator != "Cast" or cast.node.attributes.get("to") != UINT8:
            continue
        target = cast.node.outputs[0]
        takers = [other.node for other in nodes if target in other.node.inputs]
        if takers and target not in ends and all(_moves(node, target) for node in takers):
            return cast
    return None


def _moves(node: Node, target: str) -> bool:
    return node.operator in MOVES and node.inputs[0] == target and target not in node.inputs[1:]


def _sunk(nodes: Sequence[_Written], cast: _Written) -> list[_Written]:
    source, target = cast.node.inputs[0], cast.node.outputs[0]
    changed: list[_Written] = []
    for item in nodes:
        if item is cast:
            continue
        if target not in item.node.inputs:
            changed.append(item)
            continue
        before = [f"{name}/before_bytes" if name else "" for name in item.node.outputs]
        changed.append(item.renamed((source, *item.node.inputs[1:]), before))
        changed += [
            cast.renamed((early,), (late,))
            for early, late in zip(before, item.node.outputs, strict=True)
            if late
        ]
    return changed


def _label(value: int | memoryview) -> str:
    return as_text(dict(fields(as_bytes(value))).get(1, memoryview(b"")))
