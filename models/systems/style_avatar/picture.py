"""The picture of `style_avatar`: a learned texture where a face is drawn, into the person's frame.

The original shows the face before grey; here what is not the head is the person's own picture. A
tuned person has a second generator, which joins the two.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.style_avatar.generator import Generator
from visavis.models.systems.style_avatar.texture import sampled

__all__ = ["PLANES", "Picture", "around"]

PLANES = 6  # u, v, outside of the head, then red, green, blue of the frame
ERODED, BELOW = 19, 168 / 224  # the original leaves so much room to jaw and neck, so far down
SHRUNK, BLURRED = 5, 7  # pixels; the edge of an untuned head


class Picture(nn.Module):
    """From planes to a picture f32[N, 3, S, S], red, green, blue, 0 to 1.

    Args:
        texture: f32[1, 16, 64, 64], of the encoder or tuned.
        generator: from the sampled texture to a face.
        blender: of a tuned person, from face and frame to a picture.
    """

    texture: Tensor

    def __init__(
        self, texture: Tensor, generator: Generator, blender: Generator | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("texture", texture)
        self.generator, self.blender = generator, blender

    def forward(self, planes: Tensor) -> Tensor:
        """Return the picture.

        Args:
            planes: f32[N, 6, S, S]: place in the texture, 0 to 1, across and down; 1 where the head
                is not (an open mouth is of the head); the frame, 0 to 1.
        """
        coordinates = planes[:, :2].permute(0, 2, 3, 1)
        outside, frame = planes[:, 2:3], planes[:, 3:]
        texture = self.texture.expand(planes.shape[0], -1, -1, -1)
        face: Tensor = self.generator(sampled(texture, coordinates)) * (1.0 - outside)
        if self.blender is None:
            share = _soft(1.0 - outside)
            return _seen(face) * share + frame * (1.0 - share)
        room = around(outside)
        behind = frame.flip(1) * (255.0 / 128.0) - 1.0
        joined: Tensor = self.blender(face + behind * room)
        return _seen(joined * (1.0 - room) + behind * room)


def around(outside: Tensor) -> Tensor:
    """Return f32[N, 1, S, S], what the blender may not touch: `outside`, less in the lower quarter.

    There it is eroded by a square of 19 pixels, so that a jaw may move.
    """
    eroded = -F.max_pool2d(-outside, ERODED, 1, ERODED // 2)
    size = outside.shape[2]
    low = torch.arange(size) >= round(BELOW * size)
    return torch.where(low[:, None].to(outside.device), eroded, outside)


def _soft(inside: Tensor) -> Tensor:
    """Return f32[N, 1, S, S]: 1 well inside the head, 0 outside, no step between."""
    shrunk = -F.max_pool2d(-inside, SHRUNK, 1, SHRUNK // 2)
    return F.avg_pool2d(shrunk, BLURRED, 1, BLURRED // 2)


def _seen(picture: Tensor) -> Tensor:
    """Return red, green, blue, 0 to 1, of blue, green, red, -1 to 1."""
    return ((picture.flip(1) + 1.0) / 2.0).clamp(0.0, 1.0)
