"""The blocks that `rhythmic`'s generator is made of.

A modulation scales and shifts what was normalised, pixel by pixel, by what a map says (T. Park et
al., "Semantic image synthesis with spatially-adaptive normalization", 2019). Its two 1x1
convolutions are either learnt or made from the reference pictures (T.-C. Wang et al., "Few-shot
video-to-video synthesis", 2019).

Spectral norm is folded before weights are loaded, so every convolution here is a plain one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "SLOPE",
    "ConvolutionBlock",
    "FusedResidual",
    "Made",
    "MadeModulation",
    "ModulatedResidual",
    "Modulation",
    "Residual",
]

SLOPE = 0.2


def _active(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


class ConvolutionBlock(nn.Module):
    """Convolution, batch norm, leaky ReLU: f32[N, A, H, W] to f32[N, B, H/stride, W/stride]."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return f32[N, B, H/stride, W/stride]."""
        return _active(self.bn(self.conv(x)))


class Residual(nn.Module):
    """A residual block that normalises first: f32[N, A, H, W] to f32[N, B, H, W]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        width = min(inputs, outputs)
        self.conv_0 = nn.Conv2d(inputs, width, 3, padding=1)
        self.conv_1 = nn.Conv2d(width, outputs, 3, padding=1)
        self.bn_0 = nn.BatchNorm2d(inputs)
        self.bn_1 = nn.BatchNorm2d(width)
        self.widens = inputs != outputs
        if self.widens:
            self.conv_s = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.bn_s = nn.BatchNorm2d(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return f32[N, B, H, W]."""
        change: Tensor = self.conv_0(_active(self.bn_0(x)))
        change = self.conv_1(_active(self.bn_1(change)))
        return change + (self.conv_s(self.bn_s(x)) if self.widens else x)


@dataclass(frozen=True, slots=True)
class MadeModulation:
    """The two 1x1 convolutions of a modulation, made from the reference pictures.

    Attributes:
        scale, shift: f32[B, A], from A channels of a map to B; or f32[N, B, A], of each frame.
    """

    scale: Tensor
    shift: Tensor

    def __call__(self, x: Tensor, label: Tensor) -> Tensor:
        """Return x f32[N, B, H, W], scaled and shifted by a map f32[N, A, H, W]."""
        # A product of matrices: a convolution whose weights are no constants exports badly.
        flat = label.flatten(2)
        scale, shift = (self.scale @ flat).reshape(x.shape), (self.shift @ flat).reshape(x.shape)
        return x * (1.0 + scale) + shift


class Modulation(nn.Module):
    """Batch norm without a scale of its own, and one modulation after another.

    Args:
        width: channels of what is modulated.
        maps: channels of the map.
        learnt: which of the modulations have learnt convolutions, counted from 1. The first may be
            given with its map instead.
    """

    def __init__(self, width: int, maps: int, learnt: Sequence[int]) -> None:
        super().__init__()
        self.batch_norm = nn.BatchNorm2d(width, affine=False)
        self.learnt = tuple(learnt)
        for number in learnt:
            for name in ("mlp_gamma", "mlp_beta"):
                setattr(self, name + _suffix(number), nn.Conv2d(maps, width, 1))

    def forward(
        self, x: Tensor, labels: Sequence[Tensor | None], made: MadeModulation | None = None
    ) -> Tensor:
        """Return f32[N, B, H, W].

        Args:
            x: f32[N, B, H, W].
            labels: maps f32[N, A, H, W], None for one that there is not.
            made: the modulation by the first map, where it is not learnt.
        """
        x = self.batch_norm(x)
        for number, label in enumerate(labels, 1):
            if label is None:
                continue
            if number in self.learnt:
                scale = getattr(self, "mlp_gamma" + _suffix(number))(label)
                x = x * (1.0 + scale) + getattr(self, "mlp_beta" + _suffix(number))(label)
            elif made is None or number > 1:
                raise ValueError(f"modulation {number} is neither learnt nor given")
            else:
                x = made(x, label)
        return x


def _suffix(number: int) -> str:
    return "" if number == 1 else str(number)


# The modulations of a block that are made: before its first and second convolution, on its side.
Made = tuple[MadeModulation, MadeModulation, MadeModulation]


class ModulatedResidual(nn.Module):
    """A residual block under maps: f32[N, A, H, W] to f32[N, B, H, W].

    Args:
        inputs, outputs: A and B.
        maps: channels of the maps.
        learnt: see `Modulation`.
    """

    def __init__(self, inputs: int, outputs: int, maps: int, learnt: Sequence[int]) -> None:
        super().__init__()
        width = min(inputs, outputs)
        self.conv_0 = nn.Conv2d(inputs, width, 3, padding=1)
        self.conv_1 = nn.Conv2d(width, outputs, 3, padding=1)
        self.bn_0 = Modulation(inputs, maps, learnt)
        self.bn_1 = Modulation(width, maps, learnt)
        self.widens = inputs != outputs
        if self.widens:
            self.conv_s = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.bn_s = Modulation(inputs, maps, learnt)

    def forward(
        self, x: Tensor, labels: Sequence[Tensor | None], made: Made | None = None
    ) -> Tensor:
        """Return f32[N, B, H, W]."""
        first, second, side = made or (None, None, None)
        change: Tensor = self.conv_0(_active(self.bn_0(x, labels, first)))
        change = self.conv_1(_active(self.bn_1(change, labels, second)))
        return change + (self.conv_s(self.bn_s(x, labels, side)) if self.widens else x)


class FusedResidual(nn.Module):
    """A residual block whose branches, one for each map, are averaged before each convolution.

    The paper's non-linear composition. On its side the maps modulate one after another.

    Args:
        inputs, outputs: channels, not equal.
        maps: channels of the maps; the modulation by the first is made.
        sources: how many maps there can be.
    """

    def __init__(self, inputs: int, outputs: int, maps: int, sources: int) -> None:
        super().__init__()
        width = min(inputs, outputs)
        self.conv_0 = nn.Conv2d(inputs, width, 3, padding=1)
        self.conv_1 = nn.Conv2d(width, outputs, 3, padding=1)
        self.conv_s = nn.Conv2d(inputs, outputs, 1, bias=False)
        learnt = [() if not source else (1,) for source in range(sources)]
        self.bn_0 = nn.ModuleList(Modulation(inputs, maps, numbers) for numbers in learnt)
        self.bn_1 = nn.ModuleList(Modulation(width, maps, numbers) for numbers in learnt)
        self.bn_s = Modulation(inputs, maps, range(2, sources + 1))

    def forward(
        self, x: Tensor, labels: Sequence[Tensor | None], made: Made | None = None
    ) -> Tensor:
        """Return f32[N, B, H, W]. The first map is there always."""
        first, second, side = made or (None, None, None)
        change: Tensor = self.conv_0(_averaged(self.bn_0, x, labels, first))
        change = self.conv_1(_averaged(self.bn_1, change, labels, second))
        beside: Tensor = self.conv_s(self.bn_s(x, labels, side))
        return change + beside


def _averaged(
    branches: nn.ModuleList,
    x: Tensor,
    labels: Sequence[Tensor | None],
    made: MadeModulation | None,
) -> Tensor:
    """The mean of the branches whose maps are there."""
    there = [
        _active(branch(x, [label], made))
        for branch, label in zip(branches, labels, strict=True)
        if label is not None
    ]
    return torch.stack(there).mean(dim=0)
