"""From a person and a mouth feature to a picture: the decoder of `davs`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.state import StateLayout

__all__ = ["LAYOUT", "Decoder"]

# Channels of the convolutions of each level, from 4 x 4 to 128 x 128.
WIDTHS = ((512,) * 2, (512,) * 3, (256,) * 4, (256,) * 4, (128,) * 3, (64,) * 2)
FEATURE = 256  # numbers of an identity vector, and of a mouth feature
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
    """

    def __init__(self, *, align_corners: bool = True) -> None:
        super().__init__()
        self.align_corners = align_corners
        width = WIDTHS[0][0]
        self.enter = nn.ConvTranspose2d(2 * FEATURE, width, 4)
        self.enter_norm = nn.BatchNorm2d(width)
        self.levels = nn.ModuleList()
        for level, widths in enumerate(WIDTHS):
            inputs = [width + (MAP if level == MAP_LEVEL else 0), *widths[:-1]]
            self.levels.append(nn.Sequential(*map(_Convolution, inputs, widths)))
            width = widths[-1]
        self.leave = nn.ConvTranspose2d(width, LEAVING, 3, padding=1)
        self.leave_norm = nn.BatchNorm2d(LEAVING)
        self.paint = nn.ConvTranspose2d(LEAVING, 3, 3, padding=1)

    def forward(self, vector: Tensor, level_map: Tensor, mouth: Tensor) -> Tensor:
        """Return a picture f32[N, 3, 256, 256], red, green, blue, 0 to 1.

        Args:
            vector: f32[N, 256] and
            level_map: f32[N, 160, 32, 32], of `IdentityEncoder`.
            mouth: f32[N, 256], times `FROM_SOUND` or `FROM_VIDEO`.
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
