"""From a sampled neural texture to a face: the generator of `style_avatar`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.state import StateLayout

__all__ = ["LAYOUT", "Generator", "generator_of", "masked"]

WIDTH = 64
HALVINGS, COARSE_BLOCKS, FINE_BLOCKS = 3, 9, 3

# Where the layers with weights stand among the layers of the file's sequences.
_COARSE_DOWN = tuple(1 + 3 * n for n in range(HALVINGS + 1))
_COARSE_UP = (24, 29, 34)

LAYOUT = StateLayout(
    renames={f"model.{n}": f"coarse.downs.{i}.1" for i, n in enumerate(_COARSE_DOWN) if i == 0}
    | {f"model.{n}": f"coarse.downs.{i}.0" for i, n in enumerate(_COARSE_DOWN) if i}
    | {f"model.{n}": f"coarse.ups.{i}.2" for i, n in enumerate(_COARSE_UP)}
    | {
        f"{theirs}.conv_block.{n}": f"{ours}.{name}.1"
        for theirs, ours in [
            *((f"model.{13 + i}", f"coarse.blocks.{i}") for i in range(COARSE_BLOCKS)),
            *((f"model1_2.{i}", f"blocks.{i}") for i in range(FINE_BLOCKS)),
        ]
        for n, name in ((1, "first"), (5, "second"))
    }
    | {
        "model1_1.1": "enter.1",
        "model1_1.4": "down.0",
        "model1_2.5": "up.2",
        "model1_2.9": "leave.1",
    }
)


def _seven(inputs: int, outputs: int, *after: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(inputs, outputs, 7), *after)


def _three(width: int, *after: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width), *after
    )


def _down(inputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, 2 * inputs, 3, 2, 1), nn.InstanceNorm2d(2 * inputs), nn.ReLU()
    )


def _up(inputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2.0),
        nn.ReflectionPad2d(1),
        nn.Conv2d(inputs, inputs // 2, 3),
        nn.InstanceNorm2d(inputs // 2),
        nn.ReLU(),
    )


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _three(width, nn.ReLU())
        self.second = _three(width)

    def forward(self, x: Tensor) -> Tensor:
        moved: Tensor = self.second(self.first(x))
        return x + moved


class _Coarse(nn.Module):
    """Maps of half the picture, from half the picture."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.downs = nn.ModuleList([_seven(channels, width, nn.InstanceNorm2d(width), nn.ReLU())])
        for _ in range(HALVINGS):
            self.downs.append(_down(width))
            width *= 2
        self.blocks = nn.Sequential(*(_Block(width) for _ in range(COARSE_BLOCKS)))
        self.ups = nn.ModuleList()
        for _ in range(HALVINGS):
            self.ups.append(_up(width))
            width //= 2

    def forward(self, x: Tensor) -> Tensor:
        for down in self.downs:
            x = down(x)
        x = self.blocks(x)
        for up in self.ups:
            x = up(x)
        return x


class Generator(nn.Module):
    """From f32[N, 16, 224, 224] to a picture f32[N, 3, 224, 224], blue, green, red, -1 to 1.

    T.-C. Wang et al., "High-resolution image synthesis and semantic manipulation with conditional
    GANs" (pix2pixHD), 2018: a generator for the half-size picture, and around it one that adds
    detail. Normalisation is by the picture's own mean and deviation (D. Ulyanov et al., "Instance
    normalization", 2016), nothing is learned in it.

    Args:
        channels: of what is sampled.
        width: channels at full size; the published network has 64, which makes 183 million
            parameters.
    """

    def __init__(self, channels: int = 16, width: int = WIDTH) -> None:
        super().__init__()
        self.coarse = _Coarse(channels, 2 * width)
        self.enter = _seven(channels, width, nn.InstanceNorm2d(width), nn.ReLU())
        self.down = _down(width)
        self.blocks = nn.Sequential(*(_Block(2 * width) for _ in range(FINE_BLOCKS)))
        self.up = _up(2 * width)
        self.leave = _seven(width, 3, nn.Tanh())

    def forward(self, texture: Tensor) -> Tensor:
        """Return f32[N, 3, H, W]; H and W are multiples of 16."""
        # What is padded does not count in the mean.
        half = F.avg_pool2d(texture, 3, 2, 1, count_include_pad=False)
        x = self.down(self.enter(texture)) + self.coarse(half)
        picture: Tensor = self.leave(self.up(self.blocks(x)))
        return picture


def generator_of(state: Mapping[str, Tensor]) -> Generator:
    """Return a generator of the size of a checkpoint's, without its weights.

    Raises:
        KeyError: the tensor that tells the size is missing.
    """
    width, channels = state["model1_1.1.weight"].shape[:2]
    return Generator(channels, width)


def masked(pictures: Tensor, background: Tensor) -> Tensor:
    """Return pictures f32[N, 3, H, W] with mid grey where `background`, bool[H, W], is."""
    return pictures * (~background).to(pictures)
