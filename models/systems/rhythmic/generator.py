"""`rhythmic`'s generator: a few pictures of somebody and a sketch of landmarks to a picture.

The paper calls it hybrid embedding and non-linear composition: what the person looks like comes
from the references by made weights, where things are comes from the sketch, and the finest levels
also see a reference and a rendered face that were warped to fit the sketch.

The second picture that training makes, without the warps, is not made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.rhythmic.blocks import SLOPE, FusedResidual, ModulatedResidual
from visavis.models.systems.rhythmic.embedding import PictureEmbedding, SketchEmbedding
from visavis.models.systems.rhythmic.flow import (
    FLOW_WIDTHS,
    Flow,
    FlowNetwork,
    resampled,
)
from visavis.models.systems.rhythmic.made_weights import Combination, MadeLevel, WeightMaker
from visavis.models.systems.rhythmic.references import (
    Attention,
    FusingEncoder,
    References,
    SeparateEncoder,
)

__all__ = [
    "FUSED",
    "MADE",
    "SOURCES",
    "WIDTHS",
    "Appearance",
    "Generator",
    "Source",
    "Warp",
]

WIDTHS = (32, 64, 128, 256, 512, 1024)  # channels at full size and after each step down
MADE = 4  # the finest levels, whose modulations are made from the references
FUSED = 2  # the finest levels, which also see the warped pictures
SOURCES = 4  # of maps: sketch, reference, render, and the frame before, which is never used


@dataclass(frozen=True, slots=True)
class Appearance:
    """What the references say of a person. With one reference it holds for every frame.

    Attributes:
        start: f32[N, 1024, S/32, S/32], what the picture grows from; an N of 1 is for every frame.
        levels: the made weights, the finest level first.
    """

    start: Tensor
    levels: Sequence[MadeLevel]


@dataclass(frozen=True, slots=True)
class Source:
    """A picture to warp.

    Attributes:
        sketch: f32[N, 1, S, S], 0 or 1.
        image: f32[N, 3, S, S], RGB, -1 to 1; the boxes of eyes and mouth are -1.
    """

    sketch: Tensor
    image: Tensor


@dataclass(frozen=True, slots=True)
class Warp:
    """A picture that was warped to fit a frame's sketch.

    Attributes:
        flow: how it was.
        image: f32[N, 3, S, S], what came out.
    """

    flow: Flow
    image: Tensor


class Generator(nn.Module):
    """From references, a sketch and warped pictures to a picture f32[N, 3, S, S], RGB, -1 to 1.

    S is a multiple of 32; 256 as published.

    Args:
        shots: how many references the weights are for, in the newer layout; None for the older
            one, which takes any number.
        widths: channels at full size and after each step down; they double over the made levels.
        flow_widths: of the networks that warp; see `flow.FlowNetwork`.
        align_corners: see `flow.resampled`.
    """

    def __init__(
        self,
        shots: int | None,
        widths: Sequence[int] = WIDTHS,
        *,
        flow_widths: Sequence[int] = FLOW_WIDTHS,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.attention = Attention(widths)
        self.encoder = SeparateEncoder(widths) if shots is None else FusingEncoder(widths, shots)
        self.combination = Combination(widths)
        self.weight_maker = WeightMaker(widths, MADE)
        self.sketch_embedding = SketchEmbedding(widths, MADE)
        self.reference_flow, self.render_flow = FlowNetwork(flow_widths), FlowNetwork(flow_widths)
        self.reference_embedding = PictureEmbedding(3 + 1, widths)
        self.render_embedding = PictureEmbedding(3 + 1, widths)
        self.up = nn.ModuleList(
            _block(widths, level, fuses=shots is not None) for level in range(len(widths))
        )
        self.to_picture = nn.Conv2d(widths[0], 3, 3, padding=1)

    def references(self, images: Tensor, sketches: Tensor) -> References:
        """Return what is known of the references whatever the frame.

        Args:
            images: f32[n, 3, S, S], RGB, -1 to 1; sketches: f32[n, 1, S, S], 0 or 1.

        Raises:
            ValueError: the weights are for another number of references.
        """
        found: References = self.encoder.references(images, sketches)
        return found if len(images) == 1 else replace(found, keys=self.attention.keys(sketches))

    def attended(self, references: References, sketch: Tensor) -> Tensor | None:
        """Return shares f32[N, n, S/4, S/4] of the references in frames; None for one reference.

        Args:
            references: of `references`.
            sketch: f32[N, 1, S, S], of the frames.
        """
        if references.keys is None:
            return None
        shares: Tensor = self.attention(references.keys, sketch)
        return shares

    def appearance(self, references: References, attention: Tensor | None) -> Appearance:
        """Return what the references say of the person.

        Args:
            references: of `references`; attention: of `attended`.
        """
        image, sketch = self.encoder(references, attention)
        return Appearance(image, self.weight_maker(self.combination(image, sketch)))

    def warped_reference(self, sketch: Tensor, source: Source) -> Warp:
        """Return a reference warped to the sketch f32[N, 1, S, S] of a frame."""
        return self._warped(self.reference_flow, sketch, source)

    def warped_render(self, sketch: Tensor, source: Source) -> Warp:
        """Return a rendered face warped to the sketch f32[N, 1, S, S] of a frame."""
        return self._warped(self.render_flow, sketch, source)

    def forward(
        self,
        appearance: Appearance,
        sketch: Tensor,
        reference: Warp | None = None,
        render: Warp | None = None,
    ) -> Tensor:
        """Return pictures f32[N, 3, S, S].

        Args:
            appearance: of the person.
            sketch: f32[N, 1, S, S], of the frames.
            reference, render: warped to them. One that is not there is left out of the averages.
        """
        maps = self.sketch_embedding(sketch, appearance.levels)
        reference_maps = _maps(self.reference_embedding, reference)
        render_maps = _maps(self.render_embedding, render)
        x = appearance.start.expand(sketch.shape[0], -1, -1, -1)
        for level in reversed(range(len(self.up))):
            made = appearance.levels[level].modulations if level < MADE else None
            labels = [maps[level]]
            if level < FUSED:
                labels += [reference_maps[level], render_maps[level], None]
            x = self.up[level](x, labels, made)
            if level:
                x = F.interpolate(x, scale_factor=2.0)
        return torch.tanh(self.to_picture(F.leaky_relu(x, SLOPE)))

    def _warped(self, network: FlowNetwork, sketch: Tensor, source: Source) -> Warp:
        flow = network(sketch, source.sketch, source.image)
        image = resampled(source.image, flow.pixels, align_corners=self.align_corners)
        return Warp(flow, image)


def _block(widths: Sequence[int], level: int, *, fuses: bool) -> nn.Module:
    """The residual block of a level."""
    width, coarser = widths[level], widths[min(level + 1, len(widths) - 1)]
    if level >= FUSED:
        learnt = () if level < MADE else (1,)
        return ModulatedResidual(coarser, width, width, learnt)
    if fuses:
        return FusedResidual(coarser, width, width, SOURCES)
    return ModulatedResidual(coarser, width, width, range(2, SOURCES + 1))


def _maps(embedding: PictureEmbedding, warp: Warp | None) -> Sequence[Tensor | None]:
    """Maps of the finest levels of a warped picture, and of how far to trust it."""
    if warp is None:
        return [None] * FUSED
    maps: list[Tensor] = embedding(torch.cat([warp.image, warp.flow.weight], dim=1), FUSED)
    return maps
