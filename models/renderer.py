"""The native renderer: a small U-Net from planes to a picture of the lower face.

Only dense 3x3 and 1x1 convolutions, ReLU, additions and nearest-neighbour upsampling, which all
stay cheap as 8-bit integers on a CPU; no normalisation, so nothing depends on the batch or on the
picture's statistics (O. Ronneberger et al., "U-Net", 2015, with additive skips; K. He et al.,
"Deep residual learning", 2016).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PLANES", "WIDTHS", "Renderer", "RendererGraph", "drawn"]

# The layout of `engines/planes.py`.
PLANES = 38
TEXTURE, TEETH, FRAME = slice(0, 6), slice(6, 12), slice(18, 24)
HIDDEN, LIPS, APPEARANCE = slice(24, 25), slice(25, 29), slice(32, 38)
WIDTHS = (32, 64, 96, 128)


def drawn(planes: Tensor) -> Tensor:
    """Return what the planes show already, f32[N, 6, S/2, S/2].

    That is the frame where it stays, elsewhere what the appearance model shows: the picture to
    beat, and what a network adds to.
    """
    return planes[:, FRAME] + planes[:, APPEARANCE] * planes[:, HIDDEN]


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


class Renderer(nn.Module):
    """From planes f32[N, 38, S/2, S/2] to a crop f32[N, 6, S/2, S/2]: Y pixel-unshuffled, U, V.

    Levels are (value - 128) / 128. The network adds to what is `drawn`.

    Args:
        widths: channels at S/2, S/4, S/8 and so on.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.enter = nn.Conv2d(PLANES, widths[0], 3, padding=1)
        self.before = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in widths[:-1])
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1)
            for a, b in zip(widths, widths[1:], strict=False)
        )
        self.middle = _Residual(widths[-1])
        self.up = nn.ModuleList(
            nn.Conv2d(b, a, 1) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.after = nn.ModuleList(_Residual(w) for w in widths[:-1])
        self.leave = nn.Conv2d(widths[0], 6, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for block in [self.middle, *self.after]:
            nn.init.zeros_(block.second.weight)
        nn.init.zeros_(self.leave.weight)

    def forward(self, planes: Tensor) -> Tensor:
        """Return f32[N, 6, S/2, S/2]."""
        return drawn(planes) + self.added(planes)

    def added(self, planes: Tensor) -> Tensor:
        """Return what the network adds to what is drawn, f32[N, 6, S/2, S/2]."""
        x = F.relu(self.enter(planes))
        skips = []
        for before, down in zip(self.before, self.down, strict=True):
            x = F.relu(before(x))
            skips.append(x)
            x = F.relu(down(x))
        x = self.middle(x)
        for up, after, skip in zip(
            reversed(self.up), reversed(self.after), reversed(skips), strict=True
        ):
            x = F.relu(F.interpolate(up(x), scale_factor=2.0, mode="nearest") + skip)
            x = after(x)
        more: Tensor = self.leave(x)
        return more


class RendererGraph(nn.Module):
    """What is exported: a renderer with levels as bytes.

    Args:
        renderer: the trained network, or what computes the same.
    """

    def __init__(self, renderer: nn.Module) -> None:
        super().__init__()
        self.renderer = renderer

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return y uint8[N, S, S], u and v uint8[N, S/2, S/2], BT.601 limited range."""
        levels = self.renderer(planes) * 128.0 + 128.0
        luma = F.pixel_shuffle(levels[:, :4], 2)[:, 0]
        y = torch.round(torch.clamp(luma, 16.0, 235.0)).to(torch.uint8)
        chroma = torch.round(torch.clamp(levels[:, 4:], 16.0, 240.0)).to(torch.uint8)
        return y, chroma[:, 0], chroma[:, 1]
