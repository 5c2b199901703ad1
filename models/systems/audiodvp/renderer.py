"""`audiodvp`'s renderer: a U-Net from seven drawn lower faces to a picture.

The generator of pix2pix (P. Isola et al., "Image-to-image translation with conditional adversarial
networks", 2017) with two convolutions more before every step up, as H. Kim et al. ("Deep video
portraits", 2018) refine theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.state import PARALLEL, StateLayout, StateMismatch

__all__ = ["FRAMES", "WIDTHS", "NeuralRenderer", "layout", "widths_of"]

FRAMES = 7  # the frame's own and three to each side
WIDTHS = (64, 128, 256, 512, 512, 512, 512, 512)  # channels after each step down
SLOPE = 0.2
MOST_LEVELS = 10


def _refinement(width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers)


class NeuralRenderer(nn.Module):
    """From pictures f32[N, 21, S, S] to a picture f32[N, 3, S, S], RGB, -1 to 1.

    The input is frames k-3 to k+3, the oldest first, three channels each, level / 127.5 - 1. One
    that does not exist is 0, mid grey, and not black. S is a multiple of 2 to the number of levels:
    256 as published.

    Dropout, which training uses, is not there: it is off when a picture is made.

    Args:
        widths: channels after each step down.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        last = len(widths) - 1
        inputs = [3 * FRAMES, *widths[:-1]]
        outputs = [3, *widths[:-1]]
        # Below the last step there is nothing to join.
        joined = [2 * width for width in widths[:-1]] + [widths[-1]]
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1, bias=False)
            for a, b in zip(inputs, widths, strict=True)
        )
        self.down_norm = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:last])
        self.refine = nn.ModuleList(_refinement(width) for width in joined)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=not level)
            for level, (a, b) in enumerate(zip(joined, outputs, strict=True))
        )
        self.up_norm = nn.ModuleList(nn.BatchNorm2d(width) for width in outputs[1:])

    def forward(self, frames: Tensor) -> Tensor:
        """Return f32[N, 3, S, S]."""
        last = len(self.down) - 1
        x = self.down[0](frames)
        skips = []
        for level in range(1, last + 1):
            skips.append(x)
            x = self.down[level](F.leaky_relu(x, SLOPE))
            if level < last:
                x = self.down_norm[level - 1](x)
        for level in range(last, 0, -1):
            x = self.up[level](self.refine[level](F.relu(x)))
            x = torch.cat([skips.pop(), self.up_norm[level - 1](x)], dim=1)
        picture: Tensor = torch.tanh(self.up[0](self.refine[0](F.relu(x))))
        return picture


def widths_of(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return the channels after each step down of a file's renderer, from its keys.

    Raises:
        StateMismatch: it is none, or looks at another number of frames.
    """
    prefix = PARALLEL if state and all(key.startswith(PARALLEL) for key in state) else ""
    block = f"{prefix}model.model"
    widths: list[int] = []
    first = state.get(f"{block}.0.weight")
    if first is None or first.dim() != 4:
        raise StateMismatch("it has no first convolution, model.model.0.weight")
    if first.shape[1] != 3 * FRAMES:
        raise StateMismatch(
            f"it takes {first.shape[1]} channels, and not the {3 * FRAMES} of {FRAMES} pictures"
        )
    layer: Tensor | None = first
    while layer is not None and len(widths) < MOST_LEVELS:
        widths.append(int(layer.shape[0]))
        block += ".1.model" if len(widths) == 1 else ".3.model"
        layer = state.get(f"{block}.1.weight")
    if len(widths) < 3:
        raise StateMismatch("it has fewer than three steps down")
    return tuple(widths)


def layout(levels: int = len(WIDTHS)) -> StateLayout:
    """Return what `<epoch>_net_G.pth` calls the tensors.

    The original nests its blocks, each of which is an entry of the one around it.

    Args:
        levels: steps down.
    """
    renames = {}
    block = "model.model"
    for level in range(levels):
        first, last = level == 0, level == levels - 1
        # Where in the block its parts are: activations and what is below have numbers, too.
        down, down_norm, below = (0, None, 1) if first else (1, None if last else 2, 3)
        refine = 3 if first or last else 5
        up, up_norm = refine + 1, None if first else refine + 2
        renames[f"{block}.{down}"] = f"down.{level}"
        if down_norm is not None:
            renames[f"{block}.{down_norm}"] = f"down_norm.{level - 1}"
        for part in range(2):
            for layer in range(2):
                theirs = f"{block}.{refine}.model.{part}.{layer}"
                renames[theirs] = f"refine.{level}.{3 * part + layer}"
        renames[f"{block}.{up}"] = f"up.{level}"
        if up_norm is not None:
            renames[f"{block}.{up_norm}"] = f"up_norm.{level - 1}"
        block = f"{block}.{below}.model"
    return StateLayout(renames=renames)
