"""From a person and a mouth feature to a picture: the decoder of `davs`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.davs import FEATURE, channels
from visavis.models.systems.state import StateLayout

__all__ = ["LAYOUT", "MAP_LEVEL", "Decoder"]

# Channels of the convolutions of each level, from 4 x 4 to 128 x 128, as published.
WIDTHS = ((512,) * 2, (512,) * 3, (256,) * 4, (256,) * 4, (128,) * 3, (64,) * 2)
MAP, MAP_LEVEL = 160, 3  # channels of the identity map, and the level that it joins: 32 x 32
LEAVING = 32

LAYOUT = StateLayout(
    renames={
        "deconv1_1_new": "enter",
        "deconv1_1_bn": "enter_norm",
        "conv7_1": "leave",
        "conv7_1_bn": "leave_norm",
        "conv7_2": "paint",
    }
    | {
        f"convblock{level}.conv{level}_{index}{theirs}": f"levels.{level - 1}.{index}.{ours}"
        for level, widths in enumerate(WIDTHS, 1)
        for index in range(len(widths))
        for theirs, ours in (("", "conv"), ("_bn", "norm"))
    }
)


class _Convolution(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Decoder(nn.Module):
    """From an identity and a mouth to a picture.

    Args:
        align_corners: how pictures are doubled. The published weights are believed to need True,
            which was the only way of the torch that they were trained with (0.2); the other way
            moves pixels by up to 0.17.
        feature: F, numbers of an identity vector and of a mouth feature; all widths go with it.
    """

    def __init__(self, *, align_corners: bool = True, feature: int = FEATURE) -> None:
        super().__init__()
        self.align_corners = align_corners
        width = channels(WIDTHS[0][0], feature)
        self.enter = nn.ConvTranspose2d(2 * feature, width, 4)
        self.enter_norm = nn.BatchNorm2d(width)
        self.levels = nn.ModuleList()
        for level, published in enumerate(WIDTHS):
            widths = [channels(n, feature) for n in published]
            joined = channels(MAP, feature) if level == MAP_LEVEL else 0
            inputs = [width + joined, *widths[:-1]]
            self.levels.append(nn.Sequential(*map(_Convolution, inputs, widths)))
            width = widths[-1]
        leaving = channels(LEAVING, feature)
        self.leave = nn.ConvTranspose2d(width, leaving, 3, padding=1)
        self.leave_norm = nn.BatchNorm2d(leaving)
        self.paint = nn.ConvTranspose2d(leaving, 3, 3, padding=1)

    def forward(self, vector: Tensor, level_map: Tensor, mouth: Tensor) -> Tensor:
        """Return a picture f32[N, 3, 256, 256], red, green, blue, 0 to 1.

        Args:
            vector: f32[N, F] and
            level_map: f32[N, 160 F / 256, 32, 32], of `IdentityEncoder`.
            mouth: f32[N, F], times `FROM_SOUND` or `FROM_VIDEO`.
        """
        x = torch.cat((vector, mouth), 1)[:, :, None, None]
        x = F.relu(self.enter_norm(self.enter(x)))
        for level, convolutions in enumerate(self.levels):
            if level == MAP_LEVEL:
                x = torch.cat((level_map, x), 1)
            x = convolutions(x)
            x = F.interpolate(
                x, scale_factor=2.0, mode="bilinear", align_corners=self.align_corners
            )
        x = self.paint(F.relu(self.leave_norm(self.leave(x))))
        return (torch.tanh(x) + 1.0) / 2.0
