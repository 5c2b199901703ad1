"""The renderer: what it is before training, and what its graph gives."""

from __future__ import annotations

import numpy as np
import torch

from visavis.engines.planes import PLANES as ENGINE_PLANES
from visavis.models.renderer import PLANES, Renderer, RendererGraph, drawn

HALF = 32


def planes(count: int = 2) -> torch.Tensor:
    torch.manual_seed(0)
    made = torch.rand(count, PLANES, HALF, HALF) * 1.6 - 0.8
    made[:, 24] = 0.0
    made[:, 24, 8:24, 8:24] = 1.0
    made[:, 18:24, 8:24, 8:24] = 0.0
    return made


def test_layout_is_the_engine_s() -> None:
    assert PLANES == ENGINE_PLANES


def test_untrained_it_shows_what_is_drawn() -> None:
    given = planes()
    assert torch.equal(Renderer((8, 16))(given), drawn(given))


def test_drawn_is_the_frame_and_where_it_is_hidden_the_appearance() -> None:
    given = planes()
    made = drawn(given)
    assert torch.equal(made[:, :, :8], given[:, 18:24, :8])
    assert torch.equal(made[:, :, 24:], given[:, 18:24, 24:])
    assert torch.equal(made[:, :, 8:24, 8:24], given[:, 32:38, 8:24, 8:24])
    given[:, :18], given[:, 25:32] = 0.0, 0.0  # neither texture nor teeth nor lips matter
    assert torch.equal(drawn(given), made)


def test_every_input_can_change_the_picture() -> None:
    torch.manual_seed(1)
    net = Renderer((8, 16))
    torch.nn.init.normal_(net.leave.weight)
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=0.2)
    given = planes(1)
    given.requires_grad_(True)
    net(given).square().sum().backward()
    assert given.grad is not None
    assert (given.grad.abs().amax(dim=(0, 2, 3)) > 0).all()


def test_the_graph_gives_bytes_in_limited_range() -> None:
    net = Renderer((8, 16))
    torch.nn.init.constant_(net.leave.bias, 5.0)
    y, u, v = RendererGraph(net)(planes())
    assert y.shape == (2, 2 * HALF, 2 * HALF) and u.shape == v.shape == (2, HALF, HALF)
    assert y.dtype == torch.uint8 and y.min() == y.max() == 235 and u.min() == v.max() == 240
    torch.nn.init.constant_(net.leave.bias, -5.0)
    assert all(plane.max() == 16 for plane in RendererGraph(net)(planes()))


def test_unshuffled_rows_and_columns_come_back_in_place() -> None:
    net = Renderer((8, 16))
    picture = torch.arange(16, 16 + 64).reshape(8, 8).float()
    given = torch.zeros(1, PLANES, 4, 4)
    for i in range(4):
        given[0, 18 + i] = (picture[i // 2 :: 2, i % 2 :: 2] - 128) / 128
    y, _, _ = RendererGraph(net)(given)
    assert np.array_equal(y[0].numpy(), picture.numpy())
