"""Training loop of the renderer: on one CPU thread, interruptible, resumable."""

from __future__ import annotations

import copy
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.finetune.renderer.dataset import Augmentation, Examples
from visavis.finetune.renderer.losses import picture_loss
from visavis.models.renderer import WIDTHS, Renderer

__all__ = ["train"]

logger = logging.getLogger(__name__)

BATCH = 8
RATE, LAST_RATE = 1e-3, 3e-5
WARM_UP = 100
AVERAGE = 0.998  # of the weights, over time
SAVE_EVERY = 100
LOG_EVERY = 50


def train(
    examples: Examples,
    folder: Path,
    *,
    steps: int,
    frames: NDArray[np.int64] | None = None,
    how: Augmentation = Augmentation(),  # noqa: B008 - frozen
    rate: float = RATE,
    seed: int = 0,
    start: Renderer | None = None,
    widths: tuple[int, ...] = WIDTHS,
) -> Renderer:
    """Train, or go on where `folder` was left.

    Args:
        examples: of the clip.
        folder: keeps `state.pt`.
        steps: in all, of batches of 8.
        frames: which frames to learn from; all where None.
        how: what examples look like.
        rate: the highest learning rate; it falls with a cosine.
        seed: of weights and examples.
        start: weights to begin with.
        widths: of a new network.

    Returns:
        The renderer with weights averaged over the last part of the training.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    net = copy.deepcopy(start) if start is not None else Renderer(widths)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate, betas=(0.9, 0.99))
    done, losses = 0, []
    state = folder / "state.pt"
    if state.exists():
        saved = torch.load(state, weights_only=True)
        net.load_state_dict(saved["net"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        done = int(saved["step"])
        logger.info("going on at step %d", done)
    pool = np.arange(len(examples)) if frames is None else frames
    # Open mouths are rarer and harder than closed ones; closures are short and matter most.
    openness = examples.openness[pool]
    chance = 0.5 + openness + (openness < 0.1)
    chance = chance / chance.sum()
    began = time.monotonic()
    for step in range(done, steps):
        random = np.random.default_rng((seed, step))
        progress = step / steps
        now = LAST_RATE + (rate - LAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = now * min(1.0, (step + 1) / WARM_UP)
        planes, pictures = examples.batch(random.choice(pool, BATCH, p=chance), random, how)
        seen = torch.from_numpy(planes).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            made = net(seen)
        loss = picture_loss(made.float(), torch.from_numpy(pictures), seen)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        keep = min(AVERAGE, (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, value in zip(average.parameters(), net.parameters(), strict=True):
                mean.lerp_(value, 1.0 - keep)
        losses.append(loss.item())
        if (step + 1) % LOG_EVERY == 0:
            logger.info(
                "step %d, loss %.5f, %.2f s a step",
                step + 1,
                float(np.mean(losses[-LOG_EVERY:])),
                (time.monotonic() - began) / (step + 1 - done),
            )
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            partial = state.with_suffix(".partial")
            torch.save(
                {
                    "net": net.state_dict(),
                    "average": average.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step + 1,
                },
                partial,
            )
            partial.replace(state)
    return average
