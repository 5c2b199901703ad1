"""Fits a network to pictures for as long as it is given, and goes on where it was stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["Task", "held_out", "near", "pictures_apart", "train"]

log = logging.getLogger(__name__)

RATE, BETAS = 8e-4, (0.5, 0.999)  # of Adam
EASED_FROM = 0.5  # of the time: from here the rate falls to nothing
FROZEN_FROM = 0.7  # of the time: batch norm keeps its statistics, as when pictures are made
EDGES = 1.0  # weight of the differences between neighbours
KEPT_EVERY_S = 60.0
HELD_OUT, BLOCK = 8, 25  # of so many blocks of so many frames the last is held out


@dataclass(frozen=True, slots=True)
class Task:
    """What is learnt.

    Attributes:
        network: to be trained, in place.
        loss: of a random batch.
        judge: of what was held out; lower is better.
    """

    network: nn.Module
    loss: Callable[[torch.Generator], Tensor]
    judge: Callable[[], float]


def held_out(frames: int) -> tuple[NDArray[np.int64], Tensor]:
    """Return the frames to judge by, int64[H], and those to learn from, int64[N - H]."""
    apart = (np.arange(frames) // BLOCK) % HELD_OUT == HELD_OUT - 1
    return np.flatnonzero(apart), torch.from_numpy(np.flatnonzero(~apart))


def near(middle: NDArray[np.float32], size: int, reach: tuple[float, float]) -> Tensor:
    """Return how near pixels are to points, f32[N, 1, S, S], 1 there.

    Args:
        middle: f32[N, 2], pixels.
        size: S.
        reach: deviation across and down, shares of S.
    """
    rows, at = torch.arange(size), torch.from_numpy(middle)
    across = torch.exp(-0.5 * ((rows - at[:, :1]) / (reach[0] * size)) ** 2)
    down = torch.exp(-0.5 * ((rows - at[:, 1:]) / (reach[1] * size)) ** 2)
    return (down[:, :, None] * across[:, None])[:, None]


def pictures_apart(made: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Return how far pictures are apart: L1 of the levels and of their differences.

    Args:
        made, wanted: f32[N, 3, H, W]; weight: f32[N or 1, 1, H, W].
    """
    error = made - wanted
    apart = (error.abs() * weight).mean()
    for axis in (2, 3):
        length = error.shape[axis] - 1
        between = weight.narrow(axis, 1, length)
        apart = apart + EDGES * (error.diff(dim=axis).abs() * between).mean()
    return apart


def train(task: Task, folder: Path, seconds: float, *, seed: int = 0) -> dict[str, float]:
    """Train, with `state.pt` in `folder` to go on from.

    Args:
        folder: is made.
        seconds: of training in all, those of earlier calls included.

    Returns:
        steps, seconds and what `judge` says at the end; the network is then in evaluation.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "state.pt"
    optimiser = torch.optim.Adam(task.network.parameters(), lr=RATE, betas=BETAS)
    draws = torch.Generator().manual_seed(seed)
    steps, spent = 0, 0.0
    if path.exists():
        # Nothing in it is executed: tensors and numbers only.
        saved = torch.load(path, weights_only=True, map_location="cpu")
        task.network.load_state_dict(saved["network"])
        optimiser.load_state_dict(saved["optimiser"])
        draws.set_state(saved["draws"])
        steps, spent = int(saved["steps"]), float(saved["seconds"])
    task.network.train()
    begun, kept, mean = time.monotonic() - spent, spent, 0.0
    while spent < seconds:
        share = spent / seconds
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, max(0.02, (1.0 - share) / (1.0 - EASED_FROM)))
        if share >= FROZEN_FROM:
            _freeze(task.network)
        loss = task.loss(draws)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        steps, mean = steps + 1, 0.95 * mean + 0.05 * float(loss.detach())
        spent = time.monotonic() - begun
        if spent - kept >= KEPT_EVERY_S:
            kept = spent
            _keep(path, task.network, optimiser, draws, steps, spent)
            log.info("%5.0f s, step %d: loss %.4f", spent, steps, mean)
    _keep(path, task.network, optimiser, draws, steps, spent)
    task.network.eval()
    with torch.no_grad():
        judged = task.judge()
    return {"steps": float(steps), "seconds": round(spent, 1), "held_out": judged}


def _freeze(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _keep(
    path: Path,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    draws: torch.Generator,
    steps: int,
    seconds: float,
) -> None:
    """Write the state, at once or not at all."""
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "draws": draws.get_state(),
            "steps": steps,
            "seconds": seconds,
        },
        partial,
    )
    partial.replace(path)
