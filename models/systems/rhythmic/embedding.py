"""Maps of every size, which modulate `rhythmic`'s picture: of a sketch, or of a warped picture."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.rhythmic.blocks import SLOPE
from visavis.models.systems.rhythmic.made_weights import MadeLevel

__all__ = ["PictureEmbedding", "SketchEmbedding"]


def _step(inputs: int, outputs: int, stride: int = 2) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.LeakyReLU(SLOPE)
    )


class PictureEmbedding(nn.Module):
    """From a picture f32[N, A, S, S] to maps f32[N, C, S/2^k, S/2^k], the finest first.

    Args:
        inputs: A.
        widths: channels of the maps.
    """

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.first = _step(inputs, widths[0], stride=1)
        self.down = nn.ModuleList(_step(a, b) for a, b in zip(widths, widths[1:], strict=False))

    def forward(self, picture: Tensor, levels: int | None = None) -> list[Tensor]:
        """Return maps; of all levels, or of the `levels` finest."""
        maps = [self.first(picture)]
        for down in self.down if levels is None else self.down[: levels - 1]:
            maps.append(down(maps[-1]))
        return maps


class SketchEmbedding(nn.Module):
    """From a sketch f32[N, 1, S, S] down to the coarsest map, and back to maps of every level.

    On the way back the finest levels use made weights, and no activation.

    Args:
        widths: channels of the maps.
        made: how many levels have made weights.
    """

    def __init__(self, widths: Sequence[int], made: int) -> None:
        super().__init__()
        self.encoder = PictureEmbedding(1, widths)
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(b, a, 3, stride=2, padding=1, output_padding=1),
                nn.LeakyReLU(SLOPE),
            )
            for a, b in list(zip(widths, widths[1:], strict=False))[made:]
        )

    def forward(self, sketch: Tensor, made: Sequence[MadeLevel]) -> list[Tensor]:
        """Return maps f32[N, C, S/2^k, S/2^k], the finest first."""
        maps = [self.encoder(sketch)[-1]]
        for up in reversed(self.up):
            maps.append(up(maps[-1]))
        for level in reversed(made):
            maps.append(_spread(maps[-1], level))
        return maps[::-1]


def _spread(label: Tensor, level: MadeLevel) -> Tensor:
    """A map f32[N, A, 2H, 2W] of the coarser f32[N, B, H, W]: in every other row and column.

    It is a transposed convolution of one pixel and stride 2, so between those there is the bias.
    """
    batch, _, height, width = label.shape
    small = level.embedding.transpose(-1, -2) @ label.flatten(2)
    apart = F.pad(small.reshape(batch, -1, height, 1, width, 1), (0, 1, 0, 0, 0, 1))
    bias = level.embedding_bias[..., None, None]
    return apart.reshape(batch, -1, 2 * height, 2 * width) + bias
