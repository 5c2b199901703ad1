"""From a picture to its mouth feature: the video encoder of `davs`, for a face driven by a video.

A face alignment network of one stage (A. Bulat, G. Tzimiropoulos, "How far are we from solving the
2D & 3D face alignment problem?", 2017) finds 68 heat maps; a convolution and a matrix read the
mouth from them.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.davs import FEATURE, channels
from visavis.models.systems.state import StateLayout

__all__ = ["LAYOUT", "MouthEncoder"]

WIDTH = 256
POINTS = 68
DEPTH = 4  # halvings of the hourglass: 64 x 64 to 4 x 4

LAYOUT = StateLayout(
    renames={
        "model.conv1": "enter",
        "model.bn1": "enter_norm",
        "model.conv2": "first",
        "model.conv3": "second",
        "model.conv4": "third",
        "model.top_m_0": "top",
        "model.conv_last0": "last",
        "model.bn_end0": "last_norm",
        "model.l0": "heat",
        "bn1": "heat_norm",
        "conv6": "reduce",
        "model.m0.b2_plus_1": "hourglass.bottom",
    }
    | {
        f"model.m0.b{branch}_{depth}": f"hourglass.{ours}.{DEPTH - depth}"
        for depth in range(1, DEPTH + 1)
        for branch, ours in ((1, "skips"), (2, "downs"), (3, "ups"))
    },
    # What the alignment network had behind its maps for another use.
    unused=("model.conv5.*", "model.conv6.*", "model.fc.*"),
)


class _Block(nn.Module):
    """Three convolutions, each of the one before, side by side, added to what came in."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs // 2)
        self.conv2 = nn.Conv2d(outputs // 2, outputs // 4, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs // 4)
        self.conv3 = nn.Conv2d(outputs // 4, outputs // 4, 3, padding=1, bias=False)
        self.downsample: nn.Module | None = None
        if inputs != outputs:
            self.downsample = nn.Sequential(
                nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False)
            )

    def forward(self, x: Tensor) -> Tensor:
        a = self.conv1(F.relu(self.bn1(x)))
        b = self.conv2(F.relu(self.bn2(a)))
        c = self.conv3(F.relu(self.bn3(b)))
        stay = x if self.downsample is None else self.downsample(x)
        return torch.cat((a, b, c), 1) + cast(Tensor, stay)


class _Hourglass(nn.Module):
    def __init__(self, width: int, *, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.skips = nn.ModuleList(_Block(width, width) for _ in range(DEPTH))
        self.downs = nn.ModuleList(_Block(width, width) for _ in range(DEPTH))
        self.bottom = _Block(width, width)
        self.ups = nn.ModuleList(_Block(width, width) for _ in range(DEPTH))

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for skip, down in zip(self.skips, self.downs, strict=True):
            skips.append(skip(x))
            x = down(F.max_pool2d(x, 2))
        x = self.bottom(x)
        for up in reversed(self.ups):
            x = F.interpolate(
                up(x), scale_factor=2.0, mode="bilinear", align_corners=self.align_corners
            )
            x = x + skips.pop()
        return x


class MouthEncoder(nn.Module):
    """From pictures f32[N, 3, 256, 256], red, green, blue, 0 to 1, to mouth features f32[N, F].

    Args:
        align_corners: how maps are doubled; see `decoder.Decoder`.
        feature: F; the alignment network's widths go with it.
    """

    def __init__(self, *, align_corners: bool = True, feature: int = FEATURE) -> None:
        super().__init__()
        narrow, middle, width = (channels(n, feature) for n in (64, 128, WIDTH))
        self.enter = nn.Conv2d(3, narrow, 7, 2, 3)
        self.enter_norm = nn.BatchNorm2d(narrow)
        self.first = _Block(narrow, middle)
        self.second = _Block(middle, middle)
        self.third = _Block(middle, width)
        self.hourglass = _Hourglass(width, align_corners=align_corners)
        self.top = _Block(width, width)
        self.last = nn.Conv2d(width, width, 1)
        self.last_norm = nn.BatchNorm2d(width)
        self.heat = nn.Conv2d(width, POINTS, 1)
        self.heat_norm = nn.BatchNorm2d(POINTS)
        self.reduce = nn.Conv2d(POINTS, 1, 3, 2, 1)
        self.fc = nn.Linear(1024, feature)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return f32[N, F]; times `FROM_VIDEO` it is what the decoder takes."""
        x = F.relu(self.enter_norm(self.enter(pictures)))
        x = F.max_pool2d(self.first(x), 2)
        x = self.top(self.hourglass(self.third(self.second(x))))
        maps = self.heat(F.relu(self.last_norm(self.last(x))))
        mouth = self.reduce(F.relu(self.heat_norm(maps)))
        features: Tensor = self.fc(F.relu(mouth.flatten(1)))
        return features
