"""Renderers of many persons in one launch: weights are inputs, one set for each frame.

All native persons have one architecture and nothing else in common. So a batch of frames of many
persons is what a batch of one person is, with every convolution in groups: one group a frame, with
the weights of the frame's own person. Each frame is what its person's own renderer gives. Weights
of a batch are gathered once, when sessions come or go, and not in every tick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.renderer import Renderer, drawn

__all__ = [
    "SharedBatch",
    "Weights",
    "frame_weights",
    "render_together",
    "stacked_weights",
]

Weights = Mapping[str, Tensor]


def stacked_weights(
    persons: Sequence[Weights],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Weights:
    """Return the weights of P renderers as one set, each tensor [P, ...].

    Args:
        persons: state dicts of P renderers of one architecture, one at least.
        dtype: float32, bfloat16 or float16, of the weights and of what they are used in.
        device: where they lie.

    Raises:
        ValueError: there are none, or they are not of one architecture.
    """
    if not persons:
        raise ValueError("There is no renderer to stack.")
    shapes = [{name: tuple(value.shape) for name, value in each.items()} for each in persons]
    for number, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(f"Renderer {number} is not of the architecture of renderer 0.")
    return {
        name: torch.stack([each[name].detach().to(device, dtype) for each in persons])
        for name in persons[0]
    }


def frame_weights(stacked: Weights, who: Tensor) -> Weights:
    """Return the weights of each of N frames, each tensor [N, ...].

    Args:
        stacked: of P persons, see `stacked_weights`.
        who: int64[N], whose each frame is, 0 to P - 1.
    """
    return {name: value.index_select(0, who) for name, value in stacked.items()}


class _Grouped(nn.Module):
    """A convolution of N pictures, each with its own weights.

    Args:
        like: whose stride and padding it has.
        weight: [N, out, in, k, k]; bias: [N, out].
    """

    def __init__(self, like: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self._groups = len(weight)
        self._weight, self._bias = weight.flatten(0, 1), bias.flatten()
        self._stride, self._padding = like.stride, like.padding

    def forward(self, x: Tensor) -> Tensor:
        """Return [1, N out, h, w] of [1, N in, H, W]."""
        return F.conv2d(
            x, self._weight, self._bias, self._stride, self._padding, groups=self._groups
        )


class SharedBatch:
    """Draws N frames, each with its own weights.

    Args:
        weights: of N frames, see `frame_weights`; they are not copied.
    """

    def __init__(self, weights: Weights) -> None:
        # The network itself, its convolutions replaced: what it does is written in one place.
        with torch.device("meta"):
            self._net = Renderer(_widths(weights)).eval()
        for name, module in list(self._net.named_modules()):
            if isinstance(module, nn.Conv2d):
                own = _Grouped(module, weights[f"{name}.weight"], weights[f"{name}.bias"])
                self._net.set_submodule(name, own)
        self._dtype = weights["enter.weight"].dtype

    @torch.no_grad()
    def render(self, planes: Tensor) -> Tensor:
        """Return f32[N, 6, S/2, S/2], as `Renderer` does, of planes f32[N, 38, S/2, S/2]."""
        given = planes.to(self._dtype)
        added = self._net.added(given.flatten(0, 1)[None])
        return (drawn(given) + added.view(len(planes), -1, *planes.shape[2:])).float()


def render_together(stacked: Weights, who: Tensor, planes: Tensor) -> Tensor:
    """Draw frames of many persons in one launch.

    Args:
        stacked: of P persons, see `stacked_weights`.
        who: int64[N], whose each frame is.
        planes: f32[N, 38, S/2, S/2].

    Returns:
        f32[N, 6, S/2, S/2], each as its person's own renderer gives it.
    """
    return SharedBatch(frame_weights(stacked, who)).render(planes)


def _widths(weights: Weights) -> tuple[int, ...]:
    """Return the channels at each size, read from the shapes [N, out, in, 3, 3]."""
    downs = sorted(name for name in weights if name.startswith("down.") and "weight" in name)
    return tuple(weights[name].shape[1] for name in ("enter.weight", *downs))
