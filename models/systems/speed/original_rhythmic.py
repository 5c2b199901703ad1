"""What `rhythmic`'s program computes for a frame: everything, from the references on.

It is the generator of `models.systems.rhythmic` with nothing kept: the references are encoded and
the weights made for every frame, and a reference and a rendered face are warped to it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visavis.models.systems.rhythmic.generator import Appearance, Generator, Source
from visavis.models.systems.rhythmic.person import PersonReferences
from visavis.models.systems.rhythmic.references import (
    ATTENDED,
    FusingEncoder,
    References,
    SeparateEncoder,
)

__all__ = ["WholeGenerator"]


class WholeGenerator(nn.Module):
    """From a sketch f32[N, 1, S, S] to a picture f32[N, 3, S, S], the references every time.

    Args:
        generator: of the newer layout.
        references: of the person.
        render: whether a rendered face is warped, too; the reference's picture stands for it.
    """

    images: Tensor
    sketches: Tensor
    hidden: Tensor
    rotations: Tensor

    def __init__(
        self, generator: Generator, references: PersonReferences, *, render: bool = True
    ) -> None:
        super().__init__()
        self.generator = generator
        self.render = render
        self.register_buffer("images", references.images)
        self.register_buffer("sketches", references.sketches)
        self.register_buffer("hidden", references.hidden)
        self.register_buffer("rotations", references.rotations)

    def forward(self, sketch: Tensor, pose: Tensor | None = None) -> Tensor:
        """Return f32[N, 3, S, S]; `pose` as `PersonGenerator` takes it."""
        count = len(sketch)
        if pose is None:
            source = Source(
                self.sketches.expand(count, -1, -1, -1), self.hidden.expand(count, -1, -1, -1)
            )
        else:
            apart = (pose[:, None, :3] - self.rotations).abs().mean(dim=2)
            nearest = torch.argmax(-apart, dim=1)
            source = Source(self.sketches[nearest], self.hidden[nearest])
        warp = self.generator.warped_reference(sketch, source)
        drawn = self.generator.warped_render(sketch, source) if self.render else None
        picture: Tensor = self.generator(self._appearance(sketch), sketch, warp, drawn)
        return picture

    def _appearance(self, sketch: Tensor) -> Appearance:
        """As `Generator.appearance` of `Generator.references`, for every frame by itself."""
        encoder = self.generator.encoder
        assert isinstance(encoder, FusingEncoder)
        frames, shots = len(sketch), encoder.shots
        # All frames' references in one batch, as a batched program would have them.
        images, sketches = (value.repeat(frames, 1, 1, 1) for value in (self.images, self.sketches))
        known = SeparateEncoder.references(encoder, images, sketches)
        image, drawn = known.images, known.sketches
        if shots > 1:
            image, drawn = self._attended(encoder, known, sketches, sketch)
        for level in range(ATTENDED, len(encoder.image_down)):
            image, drawn = encoder.image_down[level](image), encoder.sketch_down[level](drawn)
        made = self.generator.weight_maker(self.generator.combination(image, drawn))
        return Appearance(image, made)

    def _attended(
        self, encoder: FusingEncoder, known: References, sketches: Tensor, sketch: Tensor
    ) -> tuple[Tensor, Tensor]:
        frames = len(sketch)
        attention = self.generator.attention
        query: Tensor = attention.query_first(sketch)
        for step in attention.query:
            query = step(query)
        keys = _by_frame(attention.keys(sketches), frames)
        shares = torch.softmax((keys * query[:, None]).sum(2), dim=1)[:, :, None]
        fused = encoder.fusion(torch.cat([known.images, known.sketches], dim=1))
        out = []
        for features, one, everything in (
            (known.images, encoder.image_fusion, encoder.image_all),
            (known.sketches, encoder.sketch_fusion, encoder.sketch_all),
        ):
            each = _by_frame(one(torch.cat([features, fused], dim=1)), frames)
            together = everything(_by_frame(features, frames).flatten(1, 2))
            out.append((each * shares).sum(1) + together)
        return out[0], out[1]


def _by_frame(x: Tensor, frames: int) -> Tensor:
    """f32[frames * n, ...] as f32[frames, n, ...]."""
    return x.reshape(frames, -1, *x.shape[1:])
