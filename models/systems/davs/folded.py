"""One person's decoder of `davs`: what does not change from frame to frame is a number in it.

The identity enters the decoder twice, both times through a linear layer, so its share is a constant
that is added; batch norm after a convolution is part of the convolution.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.davs.decoder import MAP_LEVEL, Decoder

__all__ = ["FoldedDecoder"]

START = 4  # pixels of the first picture's side


class FoldedDecoder(nn.Module):
    """From mouth features f32[N, F] to pictures f32[N, 3, 256, 256], red, green, blue, 0 to 1.

    Args:
        decoder: in evaluation; it is not changed.
        vector: f32[1, F] and
        level_map: f32[1, M, 32, 32], of one person.
    """

    joined: Tensor

    def __init__(self, decoder: Decoder, vector: Tensor, level_map: Tensor) -> None:
        super().__init__()
        self.align_corners = decoder.align_corners
        self.enter = _entering(decoder, vector)
        self.levels = nn.ModuleList()
        for level, convolutions in enumerate(decoder.levels):
            folded = []
            for place, layer in enumerate(cast(nn.Sequential, convolutions)):
                convolution = _normalised(
                    cast(nn.Conv2d, layer.conv), cast(nn.BatchNorm2d, layer.norm)
                )
                if (level, place) == (MAP_LEVEL, 0):
                    convolution, joined = _joining(convolution, level_map)
                    self.register_buffer("joined", joined)
                folded.append(convolution)
            self.levels.append(nn.ModuleList(folded))
        self.leave = _normalised(_turned(decoder.leave), decoder.leave_norm)
        self.paint = _turned(decoder.paint)
        self.eval().requires_grad_(False)

    def forward(self, mouth: Tensor) -> Tensor:
        """Return the pictures; `mouth` is what the whole decoder takes."""
        width = self.enter.out_features // START**2
        x = F.relu(self.enter(mouth)).reshape(-1, width, START, START)
        for level, convolutions in enumerate(self.levels):
            for place, convolution in enumerate(cast(nn.ModuleList, convolutions)):
                x = convolution(x)
                if (level, place) == (MAP_LEVEL, 0):
                    x = x + self.joined
                x = F.relu(x)
            x = F.interpolate(
                x, scale_factor=2.0, mode="bilinear", align_corners=self.align_corners
            )
        x = self.paint(F.relu(self.leave(x)))
        return (torch.tanh(x) + 1.0) / 2.0


def _entering(decoder: Decoder, vector: Tensor) -> nn.Linear:
    """The first layer as a matrix; a transposed convolution of one pixel is nothing else."""
    scale, shift = _affine(decoder.enter_norm)
    kernel = decoder.enter.weight.detach().double() * scale[:, None, None]
    bias = _bias(decoder.enter) * scale + shift
    matrix = kernel.reshape(len(kernel), -1)
    who = vector.shape[1]
    layer = nn.Linear(len(matrix) - who, matrix.shape[1])
    layer.weight = _parameter(matrix[who:].T)
    layer.bias = _parameter(vector[0].double() @ matrix[:who] + bias.repeat_interleave(START**2))
    return layer


def _joining(convolution: nn.Conv2d, level_map: Tensor) -> tuple[nn.Conv2d, Tensor]:
    """The convolution of what follows the map in the channels, and what the map adds to it."""
    known = level_map.shape[1]
    weight = convolution.weight.detach().double()
    added = F.conv2d(level_map.double(), weight[:, :known], _bias(convolution), padding=1)
    rest = nn.Conv2d(weight.shape[1] - known, weight.shape[0], 3, padding=1, bias=False)
    rest.weight = _parameter(weight[:, known:])
    return rest, added.float()


def _normalised(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A convolution that does what batch norm does after it, too."""
    scale, shift = _affine(norm)
    folded = nn.Conv2d(convolution.in_channels, convolution.out_channels, 3, padding=1)
    folded.weight = _parameter(convolution.weight.detach().double() * scale[:, None, None, None])
    folded.bias = _parameter(_bias(convolution) * scale + shift)
    return folded


def _turned(transposed: nn.ConvTranspose2d) -> nn.Conv2d:
    """A transposed convolution that does not stride, as a convolution with its kernel turned."""
    plain = nn.Conv2d(transposed.in_channels, transposed.out_channels, 3, padding=1)
    plain.weight = _parameter(transposed.weight.detach().flip((2, 3)).transpose(0, 1))
    plain.bias = _parameter(_bias(transposed))
    return plain


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What batch norm multiplies with and adds in evaluation, f64[channels] each."""
    mean, variance = (cast(Tensor, v).double() for v in (norm.running_mean, norm.running_var))
    scale = norm.weight.detach().double() / torch.sqrt(variance + norm.eps)
    return scale, norm.bias.detach().double() - mean * scale


def _bias(layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    return cast(Tensor, layer.bias).detach().double()


def _parameter(value: Tensor) -> nn.Parameter:
    # A copy: the whole network's memory can go.
    return nn.Parameter(value.float().contiguous().clone(), requires_grad=False)
