"""Two persons' renderers differ in stored weights alone, so an engine can lift them to inputs."""

from __future__ import annotations

import onnx
import torch

from visavis.export.renderer import export_renderer, with_half_weights
from visavis.models.renderer import Renderer


def taken_apart(seed: int, widths: tuple[int, ...] = (4, 8)) -> tuple[bytes, list[object]]:
    """The graph without its weights; names, types and shapes of these."""
    torch.manual_seed(seed)
    net = Renderer(widths)
    for value in net.parameters():
        torch.nn.init.normal_(value, std=0.1)
    proto = onnx.load_model_from_string(with_half_weights(export_renderer(net, 32)))
    stored = proto.graph.initializer
    about: list[object] = [(w.name, w.data_type, tuple(w.dims)) for w in stored]
    del stored[:]
    return proto.SerializeToString(deterministic=True), about


def test_two_persons_differ_in_stored_weights_alone() -> None:
    one, other = taken_apart(1), taken_apart(2)
    assert one == other and one[1]
    assert taken_apart(1, (4, 12)) != one  # another architecture is told
