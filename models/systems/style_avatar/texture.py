"""A picture's texture, learned: the encoder and the sampler of `style_avatar`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.state import StateLayout

__all__ = ["CHANNELS", "LAYOUT", "TextureEncoder", "encoder_of", "prepared", "sampled", "scattered"]

PICTURES = 3  # textures that the encoder sees side by side
CHANNELS = 16
DOWN = (64, 128, 256, 512, 512)
UP = (512, 512, 256, 128, CHANNELS)
SIZE = 256  # of a texture; the learned one is a fourth

LAYOUT = StateLayout(
    renames={f"down{n}.conv.0": f"downs.{n - 1}" for n in range(1, len(DOWN) + 1)}
    | {f"up{n}.conv.1": f"ups.{n - 1}" for n in range(1, len(UP) + 1)}
)


def _normal(x: Tensor) -> Tensor:
    return F.leaky_relu(F.instance_norm(x), 0.2)


class TextureEncoder(nn.Module):
    """From textures f32[N, 9, 256, 256] to a neural texture f32[N, 16, 64, 64], -1 to 1.

    A U-Net with instance norm; J. Thies et al., "Deferred neural rendering: image synthesis using
    neural textures", 2019.

    Args:
        pictures: textures side by side; 1 in a network tuned to a person.
        down, up: channels of the levels; those of the published network.
    """

    def __init__(
        self, pictures: int = PICTURES, down: Sequence[int] = DOWN, up: Sequence[int] = UP
    ) -> None:
        super().__init__()
        self.pictures = pictures
        inputs = [3 * pictures, *down[:-1]]
        self.downs = nn.ModuleList(
            nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(inputs, down, strict=True)
        )
        # All but the first and the last level see what the way down had at their size.
        skips = [0, *reversed(down[1:-1]), 0]
        before = [down[-1], *up[:-1]]
        self.ups = nn.ModuleList(
            nn.Conv2d(a + b, c, 3, padding=1) for a, b, c in zip(before, skips, up, strict=True)
        )

    def forward(self, textures: Tensor) -> Tensor:
        """Return f32[N, 16, 64, 64]."""
        levels, x = [], textures
        for down in self.downs:
            x = _normal(down(x))
            levels.append(x)
        for index, up in enumerate(self.ups):
            if 0 < index < len(self.ups) - 1:
                x = torch.cat((levels[-1 - index], x), 1)
            x = up(F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False))
            if index < len(self.ups) - 1:
                x = _normal(x)
        return torch.tanh(F.avg_pool2d(x, 4, 4, 1))


def encoder_of(state: Mapping[str, Tensor]) -> TextureEncoder:
    """Return an encoder of the size of a checkpoint's, without its weights.

    Raises:
        KeyError: a tensor that tells the size is missing.
    """
    down = [len(state[f"down{n}.conv.0.weight"]) for n in range(1, len(DOWN) + 1)]
    up = [len(state[f"up{n}.conv.1.weight"]) for n in range(1, len(UP) + 1)]
    return TextureEncoder(state["down1.conv.0.weight"].shape[1] // 3, down, up)


def prepared(texture: Tensor, pictures: int = PICTURES) -> Tensor:
    """Return f32[1, 3 * pictures, 256, 256] of one texture u8[256, 256, 3], blue, green, red."""
    return (texture.float() / 128.0 - 1.0).permute(2, 0, 1)[None].repeat(1, pictures, 1, 1)


def sampled(neural: Tensor, coordinates: Tensor) -> Tensor:
    """Return the texture where a picture shows it, f32[N, 16, H, W]; 0 outside the texture.

    Args:
        neural: f32[N, 16, 64, 64].
        coordinates: f32[N, H, W, 2], 0 to 1, across and down.
    """
    return F.grid_sample(
        neural, coordinates * 2.0 - 1.0, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def scattered(picture: NDArray[np.uint8], levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture as a texture u8[256, 256, 3]: the mean of what falls on a texel, else 0.

    Args:
        picture: u8[H, W, 3].
        levels: u8[H, W, 2 or more], the texture's column and row of every pixel; see `drawing`.
    """
    texels = levels[..., 1].astype(np.int64).ravel() * SIZE + levels[..., 0].ravel()
    count = np.bincount(texels, minlength=SIZE * SIZE)
    total = np.stack(
        [
            np.bincount(texels, picture[..., c].ravel().astype(np.float64), SIZE * SIZE)
            for c in range(picture.shape[2])
        ],
        axis=1,
    )
    mean = total / np.maximum(count, 1)[:, None]
    return np.rint(mean).astype(np.uint8).reshape(SIZE, SIZE, -1)
