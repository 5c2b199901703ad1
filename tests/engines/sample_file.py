"""A small valid person file whose stages are never run: for tests of the format."""

from __future__ import annotations

import copy
import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from visavis.engines.npy import dump_array

SIZE = 64


def model(inputs: dict[str, list[Any]], outputs: dict[str, list[Any]]) -> onnx.ModelProto:
    """A model that multiplies its inputs by a stored 1 and gives them as its outputs."""
    one = numpy_helper.from_array(np.ones(1, np.float32), "one")
    nodes = [
        helper.make_node("Mul", [source, "one"], [target])
        for source, target in zip(inputs, outputs, strict=True)
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in inputs.items()],
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in outputs.items()],
        [one],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10, producer_name="test"
    )


def video(width: int = SIZE, height: int = SIZE, frames: int = 3, codec: str = "libx264") -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(
                np.full((height * 3 // 2, width), 60 + index, np.uint8), "yuv420p"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def jpeg() -> bytes:
    context = av.CodecContext.create("mjpeg", "w")
    context.width = context.height = SIZE
    context.pix_fmt = "yuvj420p"
    context.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((SIZE * 3 // 2, SIZE), 90, np.uint8), "yuvj420p")
    packets = [*context.encode(frame), *context.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


_MOTION = model(
    {"features": ["N", 4, 66], "state_0": ["N", 8]}, {"tract": ["N", 4, 66], "next_0": ["N", 8]}
)
PARTS: dict[str, bytes] = {
    "motion.fp32.onnx": _MOTION.SerializeToString(),
    "motion/rest.npy": dump_array(np.zeros(6, np.float32)),
    "background.mp4": video(),
    "poster.jpg": jpeg(),
}
MANIFEST: dict[str, Any] = {
    "format": 1,
    "name": "sample",
    "display_name": "Sample",
    "system": "native",
    "fps": 25,
    "width": SIZE,
    "height": SIZE,
    "sample_rate": 16000,
    "lookahead_ms": 100,
    "requires": [
        "logmel@1",
        "tract@2",
        "linear@1",
        "planes@2",
        "graph@1",
        "feather@1",
        "walk@2",
    ],
    "stages": {
        "audio": {"op": "logmel@1"},
        "motion": {
            "op": "tract@2",
            "params": {"graph": "motion", "lookaheads": [40, 100, 200]},
            "parts": {"rest": "motion/rest.npy"},
        },
        "geometry": {"op": "linear@1"},
        "raster": {"op": "planes@2"},
        "render": {"op": "graph@1", "params": {"graph": "motion"}},
        "composite": {"op": "feather@1"},
        "background": {"op": "walk@2", "parts": {"video": "background.mp4"}},
    },
    "graphs": {
        "motion": {
            "inputs": {"features": ["N", 4, 66], "state_0": ["N", 8]},
            "outputs": {"tract": ["N", 4, 66], "next_0": ["N", 8]},
            "state": [["state_0", "next_0"]],
            "variants": {"fp32": "motion.fp32.onnx"},
        }
    },
    "poster": "poster.jpg",
    "consent": {"by": "nobody", "on": "2026-01-01"},
    "licence": "CC0-1.0",
    "notices": "A drawing of nothing.",
    "contains_licensed": False,
    "made_by": {"tool": "tests"},
}


def manifest() -> dict[str, Any]:
    return copy.deepcopy(MANIFEST)


def parts() -> dict[str, bytes]:
    return dict(PARTS)
