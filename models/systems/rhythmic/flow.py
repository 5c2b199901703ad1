"""`rhythmic`'s warps: how a picture must flow to have the frame's sketch, and how far to trust it.

The flow network of T.-C. Wang et al., "Few-shot video-to-video synthesis", 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.rhythmic.blocks import SLOPE, Residual

__all__ = ["FLOW_WIDTHS", "Flow", "FlowNetwork", "resampled"]

FLOW_WIDTHS = (32, 64, 128, 256)  # channels at full size and after each step down
BLOCKS = 6
PIXELS = 20.0  # of flow for a 1 of the network
INPUTS = 1 + 1 + 3


@dataclass(frozen=True, slots=True)
class Flow:
    """Attributes:
    pixels: f32[N, 2, H, W], x and y of where a pixel's colour is, from the pixel.
    weight: f32[N, 1, H, W], 0 to 1.
    """

    pixels: Tensor
    weight: Tensor


def _layer(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
    )


class FlowNetwork(nn.Module):
    """From a frame's sketch, a picture's sketch and the picture, f32[N, 5, H, W], to a flow.

    Args:
        widths: channels at full size and after each step down.
    """

    def __init__(self, widths: Sequence[int] = FLOW_WIDTHS) -> None:
        super().__init__()
        pairs = list(zip(widths, widths[1:], strict=False))
        down: list[nn.Module] = [_layer(INPUTS, widths[0]), nn.LeakyReLU(SLOPE)]
        for a, b in pairs:
            down += [_layer(a, b, stride=2), nn.LeakyReLU(SLOPE)]
        up: list[nn.Module] = []
        for a, b in reversed(pairs):
            up += [nn.Upsample(scale_factor=2), _layer(b, a), nn.LeakyReLU(SLOPE)]
        self.down_flow = nn.Sequential(*down)
        self.res_flow = nn.Sequential(*(Residual(widths[-1], widths[-1]) for _ in range(BLOCKS)))
        self.up_flow = nn.Sequential(*up)
        self.conv_flow = nn.Sequential(nn.Conv2d(widths[0], 2, 3, padding=1))
        self.conv_w = nn.Sequential(nn.Conv2d(widths[0], 1, 3, padding=1), nn.Sigmoid())

    def forward(self, sketch: Tensor, reference_sketch: Tensor, reference: Tensor) -> Flow:
        """Return the flow.

        Args:
            sketch, reference_sketch: f32[N, 1, H, W]; reference: f32[N, 3, H, W].
        """
        x = torch.cat([sketch, reference_sketch, reference], dim=1)
        x = self.up_flow(self.res_flow(self.down_flow(x)))
        return Flow(self.conv_flow(x) * PIXELS, self.conv_w(x))


def resampled(picture: Tensor, flow: Tensor, *, align_corners: bool = False) -> Tensor:
    """Return a picture f32[N, C, H, W] as a flow f32[N, 2, H, W] in pixels moves it.

    Args:
        align_corners: how a grid from -1 to 1 is understood: from the middle of the first pixel to
            that of the last, or, as the published environment does it, from edge to edge. The grid
            is made for the former, so in the latter a flow of zero is not quite the identity.
    """
    height, width = picture.shape[2:]
    x = torch.linspace(-1.0, 1.0, width).to(flow)
    y = torch.linspace(-1.0, 1.0, height).to(flow)[:, None]
    grid = torch.stack(
        [x + flow[:, 0] / ((width - 1.0) / 2.0), y + flow[:, 1] / ((height - 1.0) / 2.0)], dim=-1
    )
    return F.grid_sample(picture, grid, padding_mode="border", align_corners=align_corners)
