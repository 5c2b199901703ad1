"""`rhythmic`'s reference pictures: what they look like, and which of them a frame attends to.

There are two layouts. The newer fuses a picture with its sketch and adds what all pictures together
give, so its weights are for one number of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visavis.models.systems.rhythmic.blocks import ConvolutionBlock, Residual

__all__ = ["Attention", "FusingEncoder", "References", "SeparateEncoder"]

ATTENDED = 2  # steps down after which the pictures are joined


@dataclass(frozen=True, slots=True)
class References:
    """What is known of n reference pictures whatever the frame, at a quarter of their size.

    Attributes:
        images, sketches: f32[n, C, S/4, S/4], features to choose from.
        images_all, sketches_all: f32[1, C, S/4, S/4], what is added to the choice; or None.
        keys: f32[n, C, S/4, S/4], what a frame's sketch is compared with; None for one picture.
    """

    images: Tensor
    sketches: Tensor
    images_all: Tensor | None = None
    sketches_all: Tensor | None = None
    keys: Tensor | None = None


def _steps(widths: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(
        ConvolutionBlock(a, b, stride=2) for a, b in zip(widths, widths[1:], strict=False)
    )


def _chosen(features: Tensor, everything: Tensor | None, attention: Tensor | None) -> Tensor:
    """Features f32[N, C, H, W] of those of n pictures, as frames attend to them."""
    if attention is None:
        if len(features) != 1:
            raise ValueError(f"{len(features)} reference pictures need attention")
        chosen = features
    else:
        # One picture after another: together they would be n times as large.
        chosen = features[0] * attention[:, :1]
        for k in range(1, len(features)):
            chosen = chosen + features[k] * attention[:, k : k + 1]
    return chosen if everything is None else chosen + everything


class Attention(nn.Module):
    """How much a frame takes of each picture, place by place.

    Args:
        widths: channels at full size and after each of two steps down.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.query_first = ConvolutionBlock(1, widths[0])
        self.key_first = ConvolutionBlock(1, widths[0])
        self.query = _steps(widths[: ATTENDED + 1])
        self.key = _steps(widths[: ATTENDED + 1])

    def keys(self, sketches: Tensor) -> Tensor:
        """Return what frames are compared with f32[n, C, S/4, S/4], of sketches f32[n, 1, S, S]."""
        keys: Tensor = self.key_first(sketches)
        for step in self.key:
            keys = step(keys)
        return keys

    def forward(self, keys: Tensor, sketch: Tensor) -> Tensor:
        """Return shares f32[N, n, S/4, S/4], which add up to 1, for frames f32[N, 1, S, S]."""
        query: Tensor = self.query_first(sketch)
        for step in self.query:
            query = step(query)
        likeness = [(key * query).sum(dim=1, keepdim=True) for key in keys]
        return torch.softmax(torch.cat(likeness, dim=1), dim=1)


class SeparateEncoder(nn.Module):
    """The older layout: pictures and sketches each by themselves.

    Args:
        widths: channels at full size and after each step down.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.image_first = ConvolutionBlock(3, widths[0])
        self.sketch_first = ConvolutionBlock(1, widths[0])
        self.image_down = _steps(widths)
        self.sketch_down = _steps(widths)

    def references(self, images: Tensor, sketches: Tensor) -> References:
        """Return what does not depend on the frame.

        Args:
            images: f32[n, 3, S, S], RGB, -1 to 1; sketches: f32[n, 1, S, S], 0 or 1.
        """
        image, sketch = self.image_first(images), self.sketch_first(sketches)
        for level in range(ATTENDED):
            image, sketch = self.image_down[level](image), self.sketch_down[level](sketch)
        return References(image, sketch)

    def forward(
        self, references: References, attention: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return features of the picture and of the sketch, f32[N, C, S/32, S/32].

        Args:
            references: of `references`.
            attention: f32[N, n, S/4, S/4]; one picture needs none, and has an N of 1.
        """
        image = _chosen(references.images, references.images_all, attention)
        sketch = _chosen(references.sketches, references.sketches_all, attention)
        for level in range(ATTENDED, len(self.image_down)):
            image, sketch = self.image_down[level](image), self.sketch_down[level](sketch)
        return image, sketch


class FusingEncoder(SeparateEncoder):
    """The newer layout: pictures and sketches know of each other, and of the other pictures.

    Args:
        widths: channels at full size and after each step down.
        shots: how many pictures. With one there is nothing to fuse.
    """

    def __init__(self, widths: Sequence[int], shots: int) -> None:
        super().__init__(widths)
        width = widths[ATTENDED]
        self.shots = shots
        if shots > 1:
            self.fusion = Residual(2 * width, width)
            self.image_fusion = ConvolutionBlock(2 * width, width)
            self.sketch_fusion = ConvolutionBlock(2 * width, width)
            self.image_all = ConvolutionBlock(shots * width, width)
            self.sketch_all = ConvolutionBlock(shots * width, width)

    def references(self, images: Tensor, sketches: Tensor) -> References:
        """Return what does not depend on the frame.

        Args:
            images: f32[n, 3, S, S], RGB, -1 to 1; sketches: f32[n, 1, S, S], 0 or 1.
        """
        apart = super().references(images, sketches)
        if len(images) != self.shots:
            raise ValueError(f"{len(images)} reference pictures; the weights are for {self.shots}")
        if self.shots == 1:
            return apart
        fused = self.fusion(torch.cat([apart.images, apart.sketches], dim=1))
        image = self.image_fusion(torch.cat([apart.images, fused], dim=1))
        sketch = self.sketch_fusion(torch.cat([apart.sketches, fused], dim=1))
        image_all = self.image_all(apart.images.flatten(0, 1)[None])
        sketch_all = self.sketch_all(apart.sketches.flatten(0, 1)[None])
        return References(image, sketch, image_all, sketch_all)
