"""The renderer as ONNX files: in floats with 16-bit weights, in 16-bit floats, in 8-bit integers.

The graph takes planes and gives bytes: weights, clamp, colour and rounding are inside. There is no
normalisation to fold, as the network has none.
"""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from visavis.export.torch_onnx import export_module, model_bytes
from visavis.models.renderer import PLANES, Renderer, RendererGraph

__all__ = [
    "SMALLEST_HALVED",
    "export_renderer",
    "has_half_weights",
    "quantize_renderer",
    "renderer_graph",
    "with_half_weights",
]

F32 = NDArray[np.float32]

SMALLEST_HALVED = 64  # values of a tensor below which 16-bit storage is not worth a node


class _Half(torch.nn.Module):
    """A renderer that computes in 16-bit floats between 32-bit planes and 32-bit levels."""

    def __init__(self, renderer: Renderer) -> None:
        super().__init__()
        self.renderer = copy.deepcopy(renderer).half()

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        levels: torch.Tensor = self.renderer(planes.half())
        return levels.float()


def export_renderer(renderer: Renderer, size: int, *, half: bool = False) -> bytes:
    """Return the network as ONNX, weights inside, batch dimension free.

    Args:
        renderer: trained.
        size: S, pixels of the crop.
        half: compute in 16-bit floats, for GPUs; inputs and outputs stay what they are.

    Returns:
        the file. Input `planes` f32[N, 38, S/2, S/2]; outputs `y` uint8[N, S, S], `u`, `v`
        uint8[N, S/2, S/2].

    Raises:
        PersonFileError: the exporter cannot express the network.
    """
    graph = RendererGraph(_Half(renderer) if half else renderer)
    planes = torch.zeros(2, PLANES, size // 2, size // 2)
    return export_module(graph, [planes], ["planes"], ["y", "u", "v"], what="The renderer")


def with_half_weights(model: bytes) -> bytes:
    """Return the same model with weights stored in 16 bits and cast when it is loaded."""
    proto = onnx.load_model_from_string(model)
    graph = proto.graph
    casts = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALLEST_HALVED:
            continue
        graph.initializer.remove(tensor)
        stored = f"{tensor.name}.half"
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model_bytes(proto)


def has_half_weights(model: bytes) -> bool:
    """Return whether weights of a model are stored in 16 bits."""
    stored = onnx.load_model_from_string(model).graph.initializer
    return any(tensor.data_type == TensorProto.FLOAT16 for tensor in stored)


def quantize_renderer(model: bytes, calibration: F32) -> bytes:
    """Return the model with convolutions in 8-bit integers (static QDQ, weights per channel).

    Args:
        model: from `export_renderer`.
        calibration: f32[K, 38, S/2, S/2], planes of frames that stand for all.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rows = iter(calibration[:, None])

        def get_next(self) -> dict[str, F32] | None:
            row = next(self._rows, None)
            return None if row is None else {"planes": row}

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # It advises a preparation that this graph, exported with shapes, does not need.
        logging.getLogger().addFilter(_not_preprocessed)
        try:
            source, target = Path(folder) / "source.onnx", Path(folder) / "target.onnx"
            source.write_bytes(model)
            quantize_static(
                source,
                target,
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
            return model_bytes(onnx.load_model(target))
        finally:
            logging.getLogger().removeFilter(_not_preprocessed)


def renderer_graph(size: int, variants: dict[str, str]) -> dict[str, Any]:
    """Return the entry under `graphs` in person.json."""
    half = size // 2
    return {
        "inputs": {"planes": ["N", PLANES, half, half]},
        "outputs": {"y": ["N", size, size], "u": ["N", half, half], "v": ["N", half, half]},
        "variants": variants,
    }


def _not_preprocessed(record: logging.LogRecord) -> bool:
    return "pre-processing" not in record.getMessage()
