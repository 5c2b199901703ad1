"""Weights made from the reference pictures, by which `rhythmic` shows one person and no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visavis.models.systems.rhythmic.blocks import ConvolutionBlock, Made, MadeModulation

__all__ = ["Combination", "MadeLevel", "WeightMaker"]


class Combination(nn.Module):
    """From features of picture and sketch to a matrix of every level: how channels go together.

    Args:
        widths: channels of the levels, the finest first.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        pairs = list(zip(widths, widths[1:], strict=False))
        self.image_up = nn.ModuleList(ConvolutionBlock(b, a) for a, b in pairs)
        self.sketch_up = nn.ModuleList(ConvolutionBlock(b, a) for a, b in pairs)

    def forward(self, image: Tensor, sketch: Tensor) -> list[Tensor]:
        """Return matrices f32[N, C, C], C the channels of each level.

        Args:
            image, sketch: f32[N, C, H, W], features of the coarsest level.
        """
        matrices = [_together(image, sketch)]
        for image_up, sketch_up in zip(
            reversed(self.image_up), reversed(self.sketch_up), strict=True
        ):
            image, sketch = image_up(image), sketch_up(sketch)
            matrices.append(_together(image, sketch))
        return matrices[::-1]


def _together(image: Tensor, sketch: Tensor) -> Tensor:
    """The sum over pixels of a picture's channel times a sketch's share, f32[N, C, C]."""
    shares = torch.softmax(sketch, dim=1)
    return image.flatten(2) @ shares.flatten(2).transpose(1, 2)


@dataclass(frozen=True, slots=True)
class MadeLevel:
    """What is made for one level of A channels, the next coarser one of B.

    With an axis in front it is made for each frame.

    Attributes:
        modulations: of its residual block.
        embedding: f32[B, A], how the map of the coarser level becomes that of this one.
        embedding_bias: f32[A].
    """

    modulations: Made
    embedding: Tensor
    embedding_bias: Tensor


def _linear(width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, outputs)
    )


class WeightMaker(nn.Module):
    """Makes weights for the finest levels: three linear layers on the rows of a matrix.

    Args:
        widths: channels of the levels, the finest first.
        levels: how many levels have made weights.

    Raises:
        ValueError: such a level has not half as many channels as the next coarser one, so the rows
            of its matrix do not make as many numbers as its weights have.
    """

    def __init__(self, widths: Sequence[int], levels: int) -> None:
        super().__init__()
        self.widths = tuple(widths)
        pairs = list(zip(widths[:levels], widths[1:], strict=False))
        for a, b in pairs:
            if b != 2 * a:
                raise ValueError(f"{a} channels, then {b}: weights are made for twice as many only")
        self.first = nn.ModuleList(_linear(b, 2 * (a + 1)) for a, b in pairs)
        self.second = nn.ModuleList(_linear(b, a + 1) for a, b in pairs)
        self.side = nn.ModuleList(_linear(b, 2 * (a + 1)) for a, b in pairs)
        self.embedding = nn.ModuleList(_linear(b, a + 1) for a, b in pairs)

    def forward(self, matrices: Sequence[Tensor]) -> list[MadeLevel]:
        """Return the weights of every level that has made ones, the finest first.

        Args:
            matrices: f32[C, C] or f32[N, C, C] of every level; a level takes that of the next
                coarser one.
        """
        made = []
        for level in range(len(self.first)):
            fine, coarse = self.widths[level], self.widths[level + 1]
            rows = matrices[level + 1]
            modulations = (
                _modulation(self.first[level](rows), coarse, fine),
                _modulation(self.second[level](rows), fine, fine),
                _modulation(self.side[level](rows), coarse, fine),
            )
            # As many biases are made as the matrix has rows; those past the outputs are not used.
            embedding, bias = _convolution(self.embedding[level](rows).flatten(-2), coarse, fine)
            made.append(MadeLevel(modulations, embedding, bias[..., :fine]))
        return made


def _modulation(values: Tensor, outputs: int, inputs: int) -> MadeModulation:
    # Biases are made, too, but the published generator does not apply them.
    (scale, _), (shift, _) = (
        _convolution(part, outputs, inputs) for part in values.flatten(-2).chunk(2, dim=-1)
    )
    return MadeModulation(scale, shift)


def _convolution(values: Tensor, outputs: int, inputs: int) -> tuple[Tensor, Tensor]:
    """A matrix f32[..., outputs, inputs] and, after it, a bias f32[..., outputs]."""
    count = outputs * inputs
    matrix = values[..., :count].reshape(*values.shape[:-1], outputs, inputs)
    return matrix, values[..., count:]
