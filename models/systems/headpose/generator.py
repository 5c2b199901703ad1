"""From drawn faces to a face that looks real: the generator of `headpose`.

A U-Net whose normalised maps are scaled and moved by numbers of the person (X. Huang, S. Belongie,
"Arbitrary style transfer in real-time with adaptive instance normalization", 2017), and which says
per pixel how much of the drawing stays. The published program left its dropout on; here it is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.state import StateLayout

__all__ = ["FRAMES", "LAYOUT", "Generator", "StyleNetwork", "composite", "fold", "normalised"]

FRAMES = 3  # the last three, the oldest first
WIDTHS = (64, 128, 256, 512, 512, 512, 512, 512)  # of the pictures from 128 x 128 to 1 x 1
FEATURE = 512
EPSILON = 1e-5

_COUNT = len(WIDTHS)
# The first level down is a bare convolution in the file, the others are called twice.
_CONVOLUTIONS = {"e1": "downs.0"} | {
    f"{theirs}{level}.{word}": f"{ours}.{level - 1}"
    for theirs, word, ours in (("e", "conv", "downs"), ("d", "deconv", "ups"))
    for level in range(2 if theirs == "e" else 1, _COUNT + 1)
}

LAYOUT = StateLayout(
    renames=_CONVOLUTIONS
    | {
        "d8.img_reg.0": "colour",
        "d8.attention_reg.0": "keep",
        "mlp.model.0": "style.layers.0",
        "mlp.model.2": "style.layers.1",
        "mlp.model.4": "style.layers.2",
    },
    aliases={f"{name.split('.')[0]}.body.1": name for name in _CONVOLUTIONS if "." in name},
    unused=("*.body.2.running_mean", "*.body.2.running_var"),
)


class StyleNetwork(nn.Module):
    """From an identity feature f32[N, 512] to the numbers of every normalisation, f32[N, K]."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            (nn.Linear(FEATURE, numbers), nn.Linear(numbers, numbers), nn.Linear(numbers, numbers))
        )

    def forward(self, feature: Tensor) -> Tensor:
        """Return f32[N, K]."""
        first, second, third = self.layers
        numbers: Tensor = third(F.relu(second(F.relu(first(feature)))))
        return numbers


class FixedStyle(nn.Module):
    """The numbers of one person."""

    def __init__(self, numbers: Tensor) -> None:
        super().__init__()
        self.numbers = nn.Parameter(numbers, requires_grad=False)

    def forward(self, feature: Tensor) -> Tensor:
        """Return f32[N, K], whatever the feature."""
        return self.numbers.expand(len(feature), -1)


class Generator(nn.Module):
    """From three drawn frames and a person to a picture, 256 x 256, and how much stays drawn.

    Args:
        widths: channels of the levels down; each halves the picture, the last to one pixel. The
            published network has `WIDTHS`.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        down = [3 * FRAMES, *widths]
        inner = list(reversed(widths[:-1]))
        self.downs = nn.ModuleList(
            nn.Conv2d(a, b, 4, 2, 1) for a, b in zip(down, down[1:], strict=False)
        )
        into = [widths[-1], *(2 * width for width in inner)]
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1)
            for a, b in zip(into, [*inner, widths[0]], strict=True)
        )
        self.colour = nn.Conv2d(widths[0], 3, 7, padding=3)
        self.keep = nn.Conv2d(widths[0], 1, 7, padding=3)
        # Levels without a style: the first down sees the drawing, the last down one pixel.
        self.styled = [*widths[1:-1], *inner, widths[0]]
        self.style: nn.Module = StyleNetwork(2 * sum(self.styled))

    def forward(self, frames: Tensor, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Return colours f32[N, 3, 256, 256], -1 to 1, and shares f32[N, 1, 256, 256], 0 to 1.

        Args:
            frames: f32[N, 9, 256, 256], red, green, blue of the last three drawings, the oldest
                first, -1 to 1.
            feature: f32[N, 512], unit; of `memory`.
        """
        numbers = iter(torch.split(self.style(feature), [2 * width for width in self.styled], 1))
        x = self.downs[0](frames)
        skips = [x]
        for index, down in enumerate(self.downs[1:], 2):
            x = down(F.leaky_relu(x, 0.2))
            if index < len(self.downs):
                x = _restyled(x, next(numbers))
                skips.append(x)
        for index, up in enumerate(self.ups):
            x = up(F.relu(x if index == 0 else torch.cat((x, skips.pop()), 1)))
            x = _restyled(x, next(numbers))
        x = F.relu(x)
        return torch.tanh(self.colour(x)), torch.sigmoid(self.keep(x))


def fold(generator: Generator, feature: Tensor) -> Generator:
    """Put one person's numbers in place of the network that makes them, in place.

    Four fifths of the published parameters make 9984 numbers that never change for a person whose
    feature does not; what is computed stays the same.

    Args:
        feature: f32[1, 512].
    """
    with torch.no_grad():
        generator.style = FixedStyle(generator.style(feature))
    return generator


def normalised(pictures: Tensor) -> Tensor:
    """Return u8[..., H, W, 3] pictures as f32[..., 3, H, W], -1 to 1."""
    return (pictures.float() / 127.5 - 1.0).movedim(-1, -3)


def composite(frames: Tensor, colours: Tensor, keep: Tensor) -> Tensor:
    """Return the picture f32[N, 3, H, W], -1 to 1: the newest drawing where it stays.

    Args:
        frames: as the generator takes them; colours, keep: as it gives them.
    """
    return keep * frames[:, -3:] + (1.0 - keep) * colours


def _restyled(x: Tensor, numbers: Tensor) -> Tensor:
    """Adaptive instance normalisation; written out, because exporters lose it as batch norm.

    Args:
        numbers: f32[N, 2C], what is added, then what is multiplied.
    """
    offset, scale = numbers[:, :, None, None].chunk(2, 1)
    centred = x - x.mean((2, 3), keepdim=True)
    variance = centred.square().mean((2, 3), keepdim=True)
    return centred * torch.rsqrt(variance + EPSILON) * scale + offset
