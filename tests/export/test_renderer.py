"""The renderer's files compute what the network does, and are what a person file may hold."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from visavis.engines.onnx_check import check_model
from visavis.export.renderer import (
    export_renderer,
    has_half_weights,
    quantize_renderer,
    renderer_graph,
    with_half_weights,
)
from visavis.models.renderer import PLANES, Renderer, RendererGraph

SIZE = 64
Outputs = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def net() -> Renderer:
    """Weights that make a lively picture: an untrained network would add nothing."""
    torch.manual_seed(3)
    made = Renderer((16, 32))
    torch.nn.init.normal_(made.leave.weight, std=0.05)
    for block in [made.middle, *made.after]:
        torch.nn.init.normal_(block.second.weight, std=0.03)
    return made.eval()


@pytest.fixture(scope="module")
def model(net: Renderer) -> bytes:
    return export_renderer(net, SIZE)


@pytest.fixture(scope="module")
def planes() -> NDArray[np.float32]:
    random = np.random.default_rng(0)
    smooth = random.uniform(-0.7, 0.7, (6, PLANES, 4, 4)).astype(np.float32)
    return smooth.repeat(SIZE // 8, axis=2).repeat(SIZE // 8, axis=3)


def run(model: bytes, planes: NDArray[np.float32]) -> Outputs:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return [np.asarray(out) for out in session.run(["y", "u", "v"], {"planes": planes})]


def levels(a: Outputs, b: Outputs) -> float:
    return max(float(np.abs(x.astype(int) - y).max()) for x, y in zip(a, b, strict=True))


def test_the_graph_computes_what_the_network_does(
    net: Renderer, model: bytes, planes: NDArray[np.float32]
) -> None:
    with torch.no_grad():
        wanted = [out.numpy() for out in RendererGraph(net)(torch.from_numpy(planes))]
        drawn = [out.numpy() for out in RendererGraph(Renderer((16, 32)))(torch.from_numpy(planes))]
    assert levels(run(model, planes), wanted) <= 1
    assert levels(wanted, drawn) > 20  # the network does something


def test_any_batch(model: bytes, planes: NDArray[np.float32]) -> None:
    together = run(model, planes)
    for row in range(3):
        alone = run(model, planes[row : row + 1])
        assert levels([out[row : row + 1] for out in together], alone) <= 1


def test_half_weights_take_half_the_room(model: bytes, planes: NDArray[np.float32]) -> None:
    small = with_half_weights(model)
    assert has_half_weights(small) and not has_half_weights(model)
    assert len(small) < 0.6 * len(model)
    assert levels(run(small, planes), run(model, planes)) <= 1


def test_integers_are_near_and_really_integers(model: bytes, planes: NDArray[np.float32]) -> None:
    small = quantize_renderer(model, planes)
    assert len(small) < 0.45 * len(model)
    exact, near = run(model, planes), run(small, planes)
    squares = [np.square(a.astype(float) - b).mean() for a, b in zip(exact, near, strict=True)]
    assert np.sqrt(np.mean(squares)) < 2.0
    proto = onnx.load_model_from_string(small)
    producers = {out: node.op_type for node in proto.graph.node for out in node.output}
    convolutions = [node for node in proto.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 9
    for node in convolutions:
        assert producers[node.input[0]] == producers[node.input[1]] == "DequantizeLinear"


def test_the_files_may_stand_in_a_person_file(model: bytes, planes: NDArray[np.float32]) -> None:
    entry = renderer_graph(SIZE, {})
    inputs = {name: tuple(shape[1:]) for name, shape in entry["inputs"].items()}
    outputs = {name: tuple(shape[1:]) for name, shape in entry["outputs"].items()}
    for made in (with_half_weights(model), quantize_renderer(model, planes)):
        check_model("renderer.onnx", made, inputs, outputs)
        assert b"site-packages" not in made  # nor where it was made
