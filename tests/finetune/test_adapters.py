"""Learning less than all weights: what is trained, what stays, and where it begins."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from tests.finetune.test_renderer_training import HALF, Small
from visavis.finetune.renderer import train as training
from visavis.finetune.renderer.adapters import low_rank, own_parameters, scales
from visavis.models.renderer import PLANES, Renderer


def renderer() -> Renderer:
    torch.manual_seed(4)
    net = Renderer((4, 8))
    torch.nn.init.normal_(net.leave.weight, std=0.1)
    return net


@pytest.mark.parametrize("adapt", [low_rank, scales])
def test_it_begins_as_the_generic_renderer(adapt: object) -> None:
    net, planes = renderer(), torch.rand(2, PLANES, HALF, HALF) - 0.5
    wanted = net(planes)
    adapted = adapt(copy.deepcopy(net))  # type: ignore[operator]
    assert torch.equal(adapted(planes), wanted)


def test_what_is_the_person_s_own_is_counted() -> None:
    convolutions = [m for m in renderer().modules() if isinstance(m, torch.nn.Conv2d)]
    biases = sum(m.out_channels for m in convolutions)
    own = own_parameters(renderer())
    assert own == sum(value.numel() for value in renderer().parameters())
    assert own_parameters(scales(renderer())) == 2 * biases
    threes = [m for m in convolutions if m.kernel_size == (3, 3)]
    added = sum(2 * (m.out_channels + 9 * m.in_channels) for m in threes)
    assert own_parameters(low_rank(renderer(), 2)) == biases + added


@pytest.mark.parametrize("adapt", [low_rank, scales])
def test_training_leaves_the_trunk_alone(adapt: object, tmp_path: Path) -> None:
    start = adapt(renderer())  # type: ignore[operator]
    made = training.train(Small(), tmp_path, training.Plan(3, rate=0.05), start=start)
    trunk = {n: v for n, v in made.named_parameters() if n.endswith("original")}
    before = dict(start.named_parameters())
    assert trunk and all(torch.equal(value, before[name]) for name, value in trunk.items())
    planes = torch.rand(2, PLANES, HALF, HALF) - 0.5
    assert not torch.equal(made(planes), renderer()(planes))
