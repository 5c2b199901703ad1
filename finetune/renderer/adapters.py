"""What it costs in quality to teach a person less than all weights:
`python -m visavis.finetune.renderer.adapters --help`.

Persons who share a trunk and have small adapters of their own would share a batch cheaply. Three
ways of learning one person from the same generic renderer, with equal steps, examples and seeds:
all weights; a frozen trunk with matrices of low rank beside every 3x3 convolution (E. Hu et al.,
"LoRA", 2021) and biases; and biases with a scale for each channel alone. Judged on frames that were
held out. `docs/person.md` says what came out, and why all persons have weights of their own.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from visavis.finetune.appearance.store import load_appearance
from visavis.finetune.ingest import read_back
from visavis.finetune.parts import picture_parts
from visavis.finetune.person import load_geometry
from visavis.finetune.renderer.dataset import Examples
from visavis.finetune.renderer.evaluate import evaluate, octaves
from visavis.finetune.renderer.generic import generic_renderer
from visavis.finetune.renderer.train import START_RATE, Plan, train
from visavis.finetune.selection import held_out, learnt
from visavis.models.renderer import Renderer

__all__ = ["WAYS", "low_rank", "main", "own_parameters", "scales"]

RANK = 8
# What is added begins at nothing and small, so it wants larger steps than what was learnt before.
ADAPTER_RATE = 5 * START_RATE


class _LowRank(nn.Module):
    """A convolution's weights and a product of two matrices.

    Args:
        weight: f32[out, in, k, k], which it is made for.
        rank: of the product.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        count = weight[0].numel()
        self.left = nn.Parameter(torch.zeros(len(weight), rank))
        self.right = nn.Parameter(torch.randn(rank, count) / count**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.left @ self.right).view_as(weight)


class _Scaled(nn.Module):
    """A convolution's weights with a scale for each channel that comes out.

    Args:
        weight: f32[out, in, k, k], which it is made for.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(len(weight), 1, 1, 1))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.scale


def low_rank(net: Renderer, rank: int = RANK) -> Renderer:
    """Freeze the weights, and add what is of low rank to every 3x3 convolution; in place."""
    return _adapted(net, lambda weight: _LowRank(weight, rank) if weight.shape[-1] == 3 else None)


def scales(net: Renderer) -> Renderer:
    """Freeze the weights, and scale every channel; in place."""
    return _adapted(net, _Scaled)


def _adapted(net: Renderer, adapter: Callable[[Tensor], nn.Module | None]) -> Renderer:
    for module in list(net.modules()):
        if not isinstance(module, nn.Conv2d):
            continue
        module.weight.requires_grad_(False)  # biases stay the person's own
        made = adapter(module.weight)
        if made is not None:
            parametrize.register_parametrization(module, "weight", made)
    return net


def own_parameters(net: Renderer) -> int:
    """Return how many values are the person's own."""
    return sum(value.numel() for value in net.parameters() if value.requires_grad)


WAYS: Mapping[str, tuple[Callable[[Renderer], Renderer], float]] = {
    "all weights": (lambda net: net, START_RATE),
    f"low rank {RANK} and biases": (low_rank, ADAPTER_RATE),
    "scales and biases": (scales, ADAPTER_RATE),
}


def person_of(folder: Path, held: tuple[int, int] | None) -> tuple[Examples, NDArray[np.int64]]:
    """Return what is learnt from a folder of `visavis finetune`, and the frames that are judged.

    Args:
        folder: prepared for the training at least.
        held: first frame and the one after the last; None for the usual choice.
    """
    clip = read_back(folder / "clip")
    geometry = load_geometry(folder / "appearance" / "geometry.npz")
    judged = held_out(geometry, clip.cuts) if held is None else np.arange(*held)
    chosen = learnt(geometry, clip.stretches)
    taught = chosen[~np.isin(chosen, judged)]
    appearance = load_appearance(folder / "appearance" / "appearance.npz")
    parts = picture_parts(clip.frames, geometry, appearance, taught)
    return Examples(clip.frames, geometry, parts), judged


def main(arguments: list[str] | None = None) -> int:
    """Train every way on every person, and print what each gives."""
    parser = argparse.ArgumentParser(prog="visavis.finetune.renderer.adapters")
    parser.add_argument("folders", type=Path, nargs="+", help="of visavis finetune")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", type=int, nargs=2, metavar=("A", "B"), help="frames to judge")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    held = None if options.held_out is None else (options.held_out[0], options.held_out[1])
    heads = ("own values", "SSIM", "fine", "middle", "coarse", "coherence")
    print("| | | " + " | ".join(heads) + " |\n" + "|---" * (len(heads) + 2) + "|", flush=True)
    for folder in options.folders:
        examples, judged = person_of(folder, held)
        taught = np.setdiff1d(np.arange(len(examples)), judged)
        for name, (adapt, rate) in WAYS.items():
            torch.manual_seed(options.seed)
            net = adapt(generic_renderer())
            own = own_parameters(net)
            plan = Plan(options.steps, rate=rate, seed=options.seed)
            with tempfile.TemporaryDirectory() as work:
                made = train(
                    examples, Path(work), plan, frames=taught, start=net, device=options.device
                )
            _print(folder.name, name, own, made, examples, judged)
        _print(folder.name, "generic", 0, generic_renderer(), examples, judged)
    return 0


def _print(
    person: str,
    name: str,
    own: int,
    renderer: Renderer,
    examples: Examples,
    judged: NDArray[np.int64],
) -> None:
    scores = evaluate(renderer, examples, judged)["renderer"]
    detail = octaves(renderer, examples, judged)
    cells = [f"{own}", f"{scores['ssim_mouth']:.3f}", *(f"{v:.2f}" for v in detail)]
    cells.append(f"{scores['coherence_mouth']:.2f}")
    print(f"| {person} | {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
