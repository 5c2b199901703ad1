"""One part of a published system's frame, as two networks that are timed against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["SIDE", "Shapes", "Workload", "drawn", "examples", "filled"]

SIDE = 256  # pixels of most of the systems' pictures

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Workload:
    """One part of a frame.

    Attributes:
        part: ``motion``, from sound to coefficients, or ``picture``, from those to pixels.
        original: all that the original's program computes with networks in one call.
        ours: what is left for every frame when what depends on the person alone is a constant.
        inputs: of `ours`, shapes without the batch by name, in the order of `forward`.
        original_inputs: of `original`.
        original_frames: how many frames one call of `original` makes.
        compared: what `ours` must agree with on its own inputs; None where the two have no input in
            common.
        outputs: names of what `ours` gives.
        note: what a reader of the figures should know.
    """

    part: str
    original: nn.Module
    ours: nn.Module
    inputs: Shapes
    original_inputs: Shapes
    outputs: tuple[str, ...]
    original_frames: int = 1
    compared: nn.Module | None = None
    note: str = ""


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network weights that keep its signals at their size, in place; in evaluation.

    What a call costs does not depend on them, unless signals vanish: some processors compute with
    the smallest floats a hundred times slower. Statistics of batch norm are drawn as well, so that
    folding them wrongly shows.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.named_parameters():
            if tensor.dim() > 1:
                inputs = math.prod(tensor.shape[1:])
                tensor.normal_(0.0, math.sqrt(2.0 / inputs), generator=generator)
            elif name.endswith("bias"):
                tensor.normal_(0.0, 0.05, generator=generator)
            else:
                tensor.normal_(1.0, 0.1, generator=generator)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0.0, 0.1, generator=generator)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5, generator=generator)
    return module.eval().requires_grad_(False)


def examples(shapes: Shapes, batch: int, device: str = "cpu") -> dict[str, Tensor]:
    """Return inputs of 0 to 1, f32[batch, ...] by name."""
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.rand(batch, *shape, generator=generator).to(device)
        for name, shape in shapes.items()
    }


def drawn(shape: Sequence[int], seed: int = 1) -> Tensor:
    """Return numbers of 0 to 1, the same for the same seed."""
    return torch.rand(tuple(shape), generator=torch.Generator().manual_seed(seed))
