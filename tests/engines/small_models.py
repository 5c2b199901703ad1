"""Small ONNX models, and the inputs for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node


def made(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[Any]],
    outputs: Mapping[str, tuple[int, Sequence[Any]]],
    weights: Mapping[str, Any] | None = None,
) -> bytes:
    """A model whose inputs are 32-bit floats."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in inputs.items()],
        [helper.make_tensor_value_info(k, kind, v) for k, (kind, v) in outputs.items()],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", 20)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def picture_model() -> bytes:
    """As a renderer ends: levels are rounded to bytes, and then channels are chosen."""
    random = np.random.default_rng(0)
    nodes = [
        node("Conv", ["planes", "weight", "bias"], ["sums"], pads=[1, 1, 1, 1]),
        node("Clip", ["sums", "low", "high"], ["levels"]),
        node("Round", ["levels"], ["whole"]),
        node("Cast", ["whole"], ["bytes"], to=TensorProto.UINT8),
        node("Gather", ["bytes", "first"], ["u"], axis=1),
        node("Gather", ["bytes", "second"], ["v"], axis=1),
    ]
    size = ["N", 8, 6]
    return made(
        nodes,
        {"planes": ["N", 3, 8, 6]},
        {"u": (TensorProto.UINT8, size), "v": (TensorProto.UINT8, size)},
        {
            "weight": random.normal(0, 40, (2, 3, 3, 3)).astype(np.float32),
            "bias": np.full(2, 120, np.float32),
            "low": np.float32(16),
            "high": np.float32(240),
            "first": np.int64(0),
            "second": np.int64(1),
        },
    )


def planes(batch: int, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """What `picture_model` takes."""
    random = np.random.default_rng(seed)
    return {"planes": random.uniform(0, 1, (batch, 3, 8, 6)).astype(np.float32)}
