"""Training loop of the renderer: interruptible, resumable, on a CPU thread or a GPU.

First the loss of pictures and of their detail; then, where it is asked for, with an adversary
beside it. A part of the examples is driven by the voice: there is no picture of those mouths to
compare with pixel by pixel, but they must have the detail that real ones have.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.export.native import save_renderer
from visavis.finetune.renderer.adversary import Adversary
from visavis.finetune.renderer.dataset import Augmentation
from visavis.finetune.renderer.losses import detail_loss, picture_loss
from visavis.models.renderer import WIDTHS, Renderer

__all__ = ["Plan", "Progress", "Teacher", "held_out_path", "train"]

logger = logging.getLogger(__name__)

BATCH = 8
RATE, LAST_RATE = 1e-3, 3e-5
START_RATE = 4e-4  # the highest where weights were learnt before
ADVERSARIAL_RATE, LAST_ADVERSARIAL_RATE = 1e-4, 2e-5
WARM_UP = 100
AVERAGE = 0.998  # of the weights, over time
SAVE_EVERY, SAVE_SECONDS = 100, 30.0
LOG_EVERY = 50
SPOKEN = 2  # examples of a batch that the voice drives, where it is known
VOICED = 0.3  # share of the adversary's steps whose examples the voice drives
BALANCE_EVERY = 8  # steps
HELD_OUT = "held-out.pt"


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to train.

    Attributes:
        steps: in all, of batches of 8.
        adversarial_from: the step with which the adversary comes in; None for never.
        whole_from: the step with which frames that were left out come in, too; None for never.
            The renderer that had not seen them is kept (`held_out_path`).
        rate: the highest learning rate; it falls with a cosine.
        seed: of weights and examples.
        save_every: steps between checkpoints; one is also made when 30 s have passed.
    """

    steps: int
    adversarial_from: int | None = None
    whole_from: int | None = None
    rate: float = RATE
    seed: int = 0
    save_every: int = SAVE_EVERY


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the training is: told after each step.

    Attributes:
        step, steps: done, and to do in all.
        loss: the picture loss.
        seconds: of one step, lately.
        alarm: a sentence where the adversary teaches nothing.
    """

    step: int
    steps: int
    loss: float
    seconds: float
    alarm: str | None


class Teacher(Protocol):
    """Draws examples: `dataset.Examples` from one clip, `people.People` from many."""

    @property
    def openness(self) -> NDArray[np.float64]:
        """Of each frame's mouth, float64[N], 0 closed to 1 wide open."""

    @property
    def voiced(self) -> bool:
        """Whether the voice can drive the mouth."""

    def __len__(self) -> int: ...

    def batch(
        self,
        indices: NDArray[np.int64],
        random: np.random.Generator,
        how: Augmentation,
        *,
        voice: bool = False,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `dataset.Examples.batch`."""


def _ignore(progress: Progress) -> None:
    """Nobody wants to know."""


def train(
    examples: Teacher,
    folder: Path,
    plan: Plan,
    *,
    frames: NDArray[np.int64] | None = None,
    how: Augmentation = Augmentation(),  # noqa: B008 - frozen
    start: Renderer | None = None,
    widths: tuple[int, ...] = WIDTHS,
    device: str = "cpu",
    tell: Callable[[Progress], None] = _ignore,
) -> Renderer:
    """Train, or go on where `folder` was left.

    Args:
        examples: of the clip.
        folder: keeps `state.pt`.
        plan: how long.
        frames: which frames to learn from; all where None.
        how: what examples look like.
        start: weights to begin with.
        widths: of a new network.
        device: ``cpu`` or ``cuda``.
        tell: called after each step.

    Returns:
        The renderer with weights averaged over the last part of the training, on the CPU.
    """
    run = _Run(folder, plan, start, widths, device)
    everything = np.arange(len(examples))
    pool = everything if frames is None else frames
    losses: list[float] = []
    began = last = time.monotonic()
    seconds = 0.0
    for step in range(run.done, plan.steps):
        random = np.random.default_rng((plan.seed, step))
        if step == plan.whole_from:
            save_renderer(run.average, folder / HELD_OUT)
        if plan.whole_from is not None and step >= plan.whole_from:
            pool = everything
        chosen = random.choice(pool, BATCH, p=_chance(examples.openness[pool]))
        tracked = BATCH - SPOKEN if examples.voiced else BATCH
        planes, pictures = examples.batch(chosen[:tracked], random, how)
        if examples.voiced:
            spoken, real = examples.batch(chosen[tracked:], random, how, voice=True)
            planes = np.concatenate([planes, spoken])
            pictures = np.concatenate([pictures, real])
        voiced = None
        if run.adversarial(step) and examples.voiced and random.random() < VOICED:
            voiced, _ = examples.batch(chosen, random, how, voice=True)
        losses.append(run.step(step, planes, pictures, tracked, voiced))
        now = time.monotonic()
        seconds = now - last if seconds == 0.0 else 0.95 * seconds + 0.05 * (now - last)
        last = now
        alarm = run.alarm
        tell(Progress(step + 1, plan.steps, losses[-1], seconds, alarm))
        if (step + 1) % LOG_EVERY == 0:
            logger.info(
                "step %d, loss %.5f, %.2f s a step%s",
                step + 1,
                float(np.mean(losses[-LOG_EVERY:])),
                (now - began) / len(losses),
                "" if alarm is None else f"; {alarm}",
            )
        run.save(step + 1, now)
    return run.average.cpu().eval()


def held_out_path(folder: Path) -> Path | None:
    """Return where the renderer lies that had not seen all frames yet, as `export.native` writes
    one; None where training did not come so far."""
    path = folder / HELD_OUT
    return path if path.exists() else None


def _chance(openness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how often each frame is drawn, float64[N]."""
    # Open mouths are rarer and harder than closed ones; closures are short and matter most.
    chance = 0.5 + openness + (openness < 0.1)
    share: NDArray[np.float64] = chance / chance.sum()
    return share


class _Run:
    """Networks, optimizers and their checkpoint."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        start: Renderer | None,
        widths: tuple[int, ...],
        device: str,
    ) -> None:
        if device == "cpu":
            torch.set_num_threads(1)
        torch.manual_seed(plan.seed)
        folder.mkdir(parents=True, exist_ok=True)
        self._plan = plan
        self._device = device
        net = copy.deepcopy(start) if start is not None else Renderer(widths)
        self.net = net.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.average: Renderer = copy.deepcopy(self.net)
        self._optimizer = torch.optim.Adam(self.net.parameters(), lr=plan.rate, betas=(0.9, 0.99))
        self._adversary: Adversary | None = None
        self._state = folder / "state.pt"
        self._saved = time.monotonic()
        self.done = 0
        if self._state.exists():
            self._restore(torch.load(self._state, weights_only=True, map_location=device))

    @property
    def alarm(self) -> str | None:
        """What is wrong with the adversary."""
        return None if self._adversary is None else self._adversary.verdict.alarm

    def adversarial(self, step: int) -> bool:
        """Whether the adversary takes part in a step."""
        return self._plan.adversarial_from is not None and step >= self._plan.adversarial_from

    def step(
        self,
        step: int,
        planes: NDArray[np.float32],
        pictures: NDArray[np.float32],
        tracked: int,
        voiced: NDArray[np.float32] | None,
    ) -> float:
        """One step of everything; the loss of the pictures.

        Args:
            step: its number.
            planes, pictures: of a batch.
            tracked: so many of them show the very mouth; the others are driven by the voice.
            voiced: planes for the adversary to judge instead.
        """
        rate = self._rate(step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(hash((self._plan.seed, step)))
        seen, wanted = self._tensor(planes), self._tensor(pictures)
        with torch.autocast(self._device, torch.bfloat16):
            made = self.net(seen)
        made = made.float()
        detail = detail_loss(made[:tracked], wanted[:tracked], seen[:tracked])
        if tracked < len(seen):
            spoken = detail_loss(made[tracked:], wanted[tracked:], seen[tracked:])
            # Fewer, and there is nothing else to learn them by: as much as all others.
            detail = (detail + spoken) / 2.0
        seen, made, wanted = seen[:tracked], made[:tracked], wanted[:tracked]
        picture = loss = picture_loss(made, wanted, seen) + detail
        if self.adversarial(step):
            loss = loss + self._judged(step, seen, made, wanted, picture, voiced)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self._optimizer.step()
        keep = min(AVERAGE, (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.net.parameters(), strict=True):
                mean.lerp_(value, 1.0 - keep)
        return picture.item()

    def _judged(
        self,
        step: int,
        seen: Tensor,
        made: Tensor,
        wanted: Tensor,
        picture: Tensor,
        voiced: NDArray[np.float32] | None,
    ) -> Tensor:
        """Let the discriminators learn; the adversary's part of the loss."""
        if self._adversary is None:
            self._adversary = Adversary(self._device)
        judge = self._adversary
        shown, pictures = seen, made
        if voiced is not None:
            shown = self._tensor(voiced)
            with torch.autocast(self._device, torch.bfloat16):
                pictures = self.net(shown)
            pictures = pictures.float()
        with torch.autocast(self._device, torch.bfloat16):
            judge.learn(shown, pictures, seen, wanted)
            pull = judge.pull(shown, pictures, wanted if voiced is None else None)
        # Balanced now and then, where both losses are of the same pictures.
        weight = judge.weight
        if voiced is None and (step % BALANCE_EVERY == 0 or weight == 0.0):
            weight = judge.balance(picture, pull, self.net.leave.weight)
        return weight * pull

    def _rate(self, step: int) -> float:
        plan = self._plan
        end = plan.steps if plan.adversarial_from is None else plan.adversarial_from
        if self.adversarial(step):
            share = (step - end) / max(1, plan.steps - end)
            high, low = ADVERSARIAL_RATE, LAST_ADVERSARIAL_RATE
        else:
            share, high, low = step / end, plan.rate, LAST_RATE
        cosine = low + (high - low) * 0.5 * (1.0 + math.cos(math.pi * share))
        return cosine * min(1.0, (step + 1) / WARM_UP)

    def _tensor(self, values: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(values).to(self._device, memory_format=torch.channels_last)

    def save(self, done: int, now: float) -> None:
        """Keep a checkpoint when it is time to."""
        due = done % self._plan.save_every == 0 or now - self._saved > SAVE_SECONDS
        if not due and done != self._plan.steps:
            return
        self._saved = now
        partial = self._state.with_suffix(".partial")
        torch.save(
            {
                "net": self.net.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "adversary": None if self._adversary is None else self._adversary.state(),
                "step": done,
            },
            partial,
        )
        partial.replace(self._state)

    def _restore(self, saved: dict[str, Any]) -> None:
        self.net.load_state_dict(saved["net"])
        self.average.load_state_dict(saved["average"])
        self._optimizer.load_state_dict(saved["optimizer"])
        if saved["adversary"] is not None:
            self._adversary = Adversary(self._device)
            self._adversary.restore(saved["adversary"])
        self.done = int(saved["step"])
        logger.info("going on at step %d", self.done)
