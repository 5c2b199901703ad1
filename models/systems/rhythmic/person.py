"""`rhythmic`'s generator with one person's references inside: from a sketch to a picture.

What does not depend on the frame is computed once. With one reference that is all that the
references say, and what is left is the sketch's way and one warp. With several it is their features
and keys; what a frame attends to, and the weights that are made of it, are the frame's own.

The published generator may warp a rendered face besides; there is none here, which is one of its
own options.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visavis.models.systems.rhythmic.blocks import MadeModulation
from visavis.models.systems.rhythmic.generator import Appearance, Generator, Source
from visavis.models.systems.rhythmic.made_weights import MadeLevel
from visavis.models.systems.rhythmic.references import References

__all__ = ["PersonGenerator", "PersonReferences"]

_MADE = ("first", "second", "side")


@dataclass(frozen=True, slots=True)
class PersonReferences:
    """The pictures that a person is shown by.

    Attributes:
        images: f32[n, 3, S, S], RGB, -1 to 1.
        sketches: f32[n, 1, S, S], 0 or 1.
        hidden: f32[n, 3, S, S], the images with the boxes of eyes and mouth at -1.
        rotations: f32[n, 3], rotation vectors of the heads.
    """

    images: Tensor
    sketches: Tensor
    hidden: Tensor
    rotations: Tensor


class PersonGenerator(nn.Module):
    """From a sketch f32[N, 1, S, S] to a picture f32[N, 3, S, S], RGB, -1 to 1.

    Args:
        generator: for inference; it is kept, and not changed.
        references: of the person.

    Attributes:
        poses: whether `forward` needs poses, to warp the reference whose head is turned most alike.

    Raises:
        ValueError: the weights are for another number of references.
    """

    sketches: Tensor
    hidden: Tensor
    rotations: Tensor
    start: Tensor

    def __init__(self, generator: Generator, references: PersonReferences) -> None:
        super().__init__()
        self.generator = generator
        self.count = len(references.images)
        self.poses = self.count > 1
        with torch.no_grad():
            known = generator.references(references.images, references.sketches)
            if self.poses:
                self._keep_references(known)
            else:
                self._keep_appearance(generator.appearance(known, None))
        self.register_buffer("sketches", references.sketches)
        self.register_buffer("hidden", references.hidden)
        self.register_buffer("rotations", references.rotations)

    def forward(self, sketch: Tensor, pose: Tensor | None = None) -> Tensor:
        """Return f32[N, 3, S, S].

        Args:
            sketch: f32[N, 1, S, S], 0 or 1.
            pose: f32[N, 3 or more], beginning with the rotation vector; where `poses`.
        """
        warp = self.generator.warped_reference(sketch, self._source(sketch, pose))
        picture: Tensor = self.generator(self._appearance(sketch), sketch, warp)
        return picture

    def _source(self, sketch: Tensor, pose: Tensor | None) -> Source:
        if not self.poses:
            count = sketch.shape[0]  # len() would fix the size of a batch in an export
            return Source(
                self.sketches.expand(count, -1, -1, -1), self.hidden.expand(count, -1, -1, -1)
            )
        if pose is None:
            raise ValueError("several references are chosen from by the pose, which is not given")
        apart = (pose[:, None, :3] - self.rotations).abs().mean(dim=2)
        nearest = torch.argmax(-apart, dim=1)
        return Source(
            torch.index_select(self.sketches, 0, nearest),
            torch.index_select(self.hidden, 0, nearest),
        )

    def _appearance(self, sketch: Tensor) -> Appearance:
        if self.poses:
            known = self._references()
            return self.generator.appearance(known, self.generator.attended(known, sketch))
        levels = []
        for level in range(self.levels):
            made = [
                MadeModulation(
                    getattr(self, f"scale_{name}_{level}"), getattr(self, f"shift_{name}_{level}")
                )
                for name in _MADE
            ]
            embedding = getattr(self, f"embedding_{level}")
            bias = getattr(self, f"embedding_bias_{level}")
            levels.append(MadeLevel((made[0], made[1], made[2]), embedding, bias))
        return Appearance(self.start, levels)

    def _keep_appearance(self, appearance: Appearance) -> None:
        self.levels = len(appearance.levels)
        self.register_buffer("start", appearance.start)
        for level, made in enumerate(appearance.levels):
            for name, modulation in zip(_MADE, made.modulations, strict=True):
                self._keep(f"scale_{name}_{level}", modulation.scale)
                self._keep(f"shift_{name}_{level}", modulation.shift)
            self._keep(f"embedding_{level}", made.embedding)
            self._keep(f"embedding_bias_{level}", made.embedding_bias)

    def _keep(self, name: str, made: Tensor) -> None:
        # For every frame the same: without the axis in front it is a plain constant.
        self.register_buffer(name, made[0].contiguous())

    def _keep_references(self, known: References) -> None:
        for name in _KEPT:
            self.register_buffer(f"known_{name}", getattr(known, name))

    def _references(self) -> References:
        kept: Sequence[Tensor] = [getattr(self, f"known_{name}") for name in _KEPT]
        return References(*kept)


_KEPT = ("images", "sketches", "images_all", "sketches_all", "keys")
