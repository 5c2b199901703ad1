"""Frames of many persons in one launch: each must be what its own renderer gives."""

from __future__ import annotations

import pytest
import torch

from visavis.models.renderer import PLANES, Renderer
from visavis.models.shared_batch import frame_weights, render_together, stacked_weights

HALF = 16
WIDTHS = (8, 16, 24)


def renderers(count: int) -> list[Renderer]:
    made = []
    for seed in range(count):
        torch.manual_seed(seed)
        net = Renderer(WIDTHS).eval()
        for value in net.parameters():
            torch.nn.init.normal_(value, std=0.1)
        made.append(net)
    return made


def frames(count: int) -> torch.Tensor:
    torch.manual_seed(99)
    return torch.rand(count, PLANES, HALF, HALF) * 1.6 - 0.8


def own(nets: list[Renderer], who: list[int], planes: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([nets[p](planes[i : i + 1]) for i, p in enumerate(who)])


@pytest.mark.parametrize(
    "who",
    [[0], [0, 1, 2], [2, 0, 1, 0, 0, 2], [7, 3, 0, 5, 1, 6, 2, 4, 3]],
    ids=["one", "three", "several frames of one", "eight, shuffled"],
)
def test_each_frame_is_what_its_own_renderer_gives(who: list[int]) -> None:
    nets, planes = renderers(max(who) + 1), frames(len(who))
    stacked = stacked_weights([net.state_dict() for net in nets])
    made = render_together(stacked, torch.tensor(who), planes)
    wanted = own(nets, who, planes)
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-4)
    if len(set(who)) > 1:  # the toy that draws all with one person's weights
        toy = render_together(stacked, torch.full_like(torch.tensor(who), who[0]), planes)
        others = [i for i, p in enumerate(who) if p != who[0]]
        assert float((toy - wanted)[others].abs().amax(dim=(1, 2, 3)).min()) > 0.1


@pytest.mark.parametrize(("dtype", "off"), [(torch.bfloat16, 0.1), (torch.float16, 0.02)])
def test_half_precision_is_near(dtype: torch.dtype, off: float) -> None:
    nets, planes, who = renderers(3), frames(4), [2, 0, 1, 0]
    stacked = stacked_weights([net.state_dict() for net in nets], dtype=dtype)
    assert stacked["leave.weight"].dtype == dtype
    made = render_together(stacked, torch.tensor(who), planes)
    assert made.dtype == torch.float32
    wanted = own(nets, who, planes)
    assert float((made - wanted).abs().mean() / wanted.abs().mean()) < off


def test_weights_are_gathered_by_frame() -> None:
    nets = renderers(3)
    stacked = stacked_weights([net.state_dict() for net in nets])
    chosen = frame_weights(stacked, torch.tensor([1, 1, 0]))
    assert torch.equal(chosen["enter.bias"][0], nets[1].enter.bias)
    assert torch.equal(chosen["enter.bias"][2], nets[0].enter.bias)


def test_other_architectures_are_refused() -> None:
    with pytest.raises(ValueError, match="Renderer 1 is not of the architecture"):
        stacked_weights([renderers(1)[0].state_dict(), Renderer((8, 16)).state_dict()])
    with pytest.raises(ValueError, match="no renderer"):
        stacked_weights([])
