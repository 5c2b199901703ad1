"""The adversarial stage: two discriminators that the renderer's pictures must pass for real ones.

Hinge losses (J. H. Lim and J. C. Ye, "Geometric GAN", 2017); patches, conditioned on what the
renderer was shown (P. Isola et al., "Image-to-image translation", 2017); feature matching (T.-C.
Wang et al., "High-resolution image synthesis", 2018); the gradient penalty R1, every 16th step (L.
Mescheder et al., 2018; T. Karras et al., 2020); both sides augmented alike (S. Zhao et al.,
"Differentiable augmentation", 2020); the weight that keeps the adversary's pull on the last layer
at a share of the picture loss's (P. Esser et al., "Taming transformers", 2021).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.renderer import FRAME, HIDDEN, LIPS, TEETH, TEXTURE

__all__ = ["Adversary", "Verdict"]

logger = logging.getLogger(__name__)

PICTURE = 6
SHOWN = (TEXTURE, TEETH, FRAME, HIDDEN, LIPS)  # of the planes: what a picture must fit
CONDITION = sum(part.stop - part.start for part in SHOWN)
WIDTHS = (32, 64, 96)
MOUTH = 48  # half pixels: the side of the window around the lips, or half of a larger crop's
SLOPE = 0.2  # of the rectifiers, below zero
SHIFT = 3  # half pixels, of the augmentation
RATE = 1e-3  # with 2e-4 and the usual initial weights it could not tell after 700 steps
R1_EVERY, R1 = 16, 1.0
PULL = 0.4  # of the picture loss's gradient at the last layer
MOST = 5.0  # of the weight that makes it so
MATCHING = 2.0  # of feature matching, beside the hinge
MEMORY, WEIGHT_MEMORY = 0.99, 0.9  # of running means; the weight is looked at less often
ALARM_STEPS = 300
DEAD, PERFECT = 1.9, 0.1  # hinge losses of a discriminator that cannot tell, and that always can


class _Patches(nn.Module):
    """Says of overlapping patches, 34 pixels wide, how real each looks."""

    def __init__(self) -> None:
        super().__init__()
        widths = (PICTURE + CONDITION, *WIDTHS)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3 if number == 0 else 4, 1 if number == 0 else 2, 1)
            for number, (a, b) in enumerate(zip(widths, WIDTHS, strict=False))
        )
        self.leave = nn.Conv2d(WIDTHS[-1], 1, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        return self.leave(x), features


@dataclass(frozen=True, slots=True)
class Verdict:
    """Running means of the discriminators' hinge losses: 2 is a coin's, 0 is certainty."""

    face: float
    mouth: float
    steps: int

    @property
    def alarm(self) -> str | None:
        """A sentence where a discriminator teaches nothing."""
        if self.steps < ALARM_STEPS:
            return None
        for name, loss in (("face", self.face), ("mouth", self.mouth)):
            if loss > DEAD:
                return f"The {name}'s discriminator cannot tell pictures apart (loss {loss:.2f})."
            if loss < PERFECT:
                return f"The {name}'s discriminator is never wrong (loss {loss:.2f})."
        return None


class Adversary:
    """Both discriminators and their optimizer.

    Args:
        device: where they run.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._face = _Patches().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._mouth = _Patches().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        parameters = [*self._face.parameters(), *self._mouth.parameters()]
        self._optimizer = torch.optim.Adam(parameters, lr=RATE, betas=(0.0, 0.99))
        self._losses = [2.0, 2.0]
        self._steps = 0
        self.weight = 0.0

    @property
    def verdict(self) -> Verdict:
        """How the discriminators do."""
        return Verdict(self._losses[0], self._losses[1], self._steps)

    def learn(self, planes: Tensor, made: Tensor, seen: Tensor, real: Tensor) -> None:
        """One step of the discriminators.

        Args:
            planes: f32[N, 38, S/2, S/2], what `made` was made from.
            made: f32[N, 6, S/2, S/2].
            seen: f32[M, 38, S/2, S/2], what goes with `real`.
            real: f32[M, 6, S/2, S/2].
        """
        penalise = self._steps % R1_EVERY == 0
        total = planes.new_zeros(())
        genuine = _hidden(real, seen).detach().requires_grad_(penalise)
        for number, (net, window) in enumerate(self._nets()):
            false, _ = net(window(_hidden(made.detach(), planes), planes))
            true, _ = net(window(genuine, seen))
            hinge = F.relu(1.0 + false.float()).mean() + F.relu(1.0 - true.float()).mean()
            total = total + hinge
            if penalise:
                # A gradient of a gradient wants more digits than 16 bits have.
                with torch.autocast(planes.device.type, enabled=False):
                    true, _ = net(window(genuine, seen))
                looks = true.float().mean((1, 2, 3)).sum()
                (slope,) = torch.autograd.grad(looks, genuine, create_graph=True)
                total = total + 0.5 * R1 * R1_EVERY * slope.square().sum((1, 2, 3)).mean()
            self._losses[number] += (1.0 - MEMORY) * (hinge.item() - self._losses[number])
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._steps += 1

    def pull(self, planes: Tensor, made: Tensor, wanted: Tensor | None) -> Tensor:
        """Return what the renderer must make small to pass.

        Args:
            planes, made: as for `learn`, with gradients.
            wanted: the real pictures, where there are ones of those very mouths.
        """
        total = made.new_zeros(())
        for net, window in self._nets():
            looks, features = net(window(_hidden(made, planes), planes))
            total = total - looks.float().mean()
            if wanted is not None:
                with torch.no_grad():
                    _, theirs = net(window(_hidden(wanted, planes), planes))
                for ours, other in zip(features, theirs, strict=True):
                    total = total + MATCHING * (ours - other).abs().float().mean()
        return total

    def balance(self, picture: Tensor, adversary: Tensor, last: Tensor) -> float:
        """Return the weight that gives the adversary its share of the pull on the last layer.

        Args:
            picture, adversary: the two losses.
            last: the last layer's weights.
        """
        (own,) = torch.autograd.grad(picture, last, retain_graph=True)
        (other,) = torch.autograd.grad(adversary, last, retain_graph=True)
        now = min(MOST, PULL * float(own.norm()) / max(float(other.norm()), 1e-8))
        self.weight = (
            now if self.weight == 0.0 else WEIGHT_MEMORY * self.weight + (1.0 - WEIGHT_MEMORY) * now
        )
        return self.weight

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "face": self._face.state_dict(),
            "mouth": self._mouth.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "losses": list(self._losses),
            "steps": self._steps,
            "weight": self.weight,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._face.load_state_dict(state["face"])
        self._mouth.load_state_dict(state["mouth"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._losses = list(state["losses"])
        self._steps = int(state["steps"])
        self.weight = float(state["weight"])

    def _nets(self) -> tuple[tuple[_Patches, Any], ...]:
        # Drawn once for both sides of a comparison, so that the shift tells nothing.
        shift = torch.randint(-SHIFT, SHIFT + 1, (2,)).tolist()
        light = float(torch.empty(()).uniform_(-0.08, 0.08))

        def face(picture: Tensor, planes: Tensor) -> Tensor:
            return _augmented(_joined(picture, planes), shift, light)

        def mouth(picture: Tensor, planes: Tensor) -> Tensor:
            return _augmented(_around_lips(_joined(picture, planes), planes), shift, light)

        return ((self._face, face), (self._mouth, mouth))


def _hidden(picture: Tensor, planes: Tensor) -> Tensor:
    """The picture where it is used; elsewhere the frame, as the engine would show it."""
    hidden = planes[:, HIDDEN]
    return hidden * picture + (1.0 - hidden) * planes[:, FRAME]


def _joined(picture: Tensor, planes: Tensor) -> Tensor:
    return torch.cat([picture, *(planes[:, part] for part in SHOWN)], dim=1)


def _around_lips(joined: Tensor, planes: Tensor) -> Tensor:
    """The window whose middle is that of the lips, for each picture."""
    near = (planes[:, LIPS].amax(dim=1) > -0.5).float()
    _, height, width = near.shape
    side = max(MOUTH, height // 2)
    total = near.sum(dim=(1, 2)).clamp(min=1.0)
    rows = torch.arange(height, device=near.device, dtype=near.dtype)
    columns = torch.arange(width, device=near.device, dtype=near.dtype)
    y = (near.sum(dim=2) @ rows / total).round().long() - side // 2
    x = (near.sum(dim=1) @ columns / total).round().long() - side // 2
    side_y, side_x = min(side, height), min(side, width)
    tops = y.clamp(0, height - side_y).tolist()
    lefts = x.clamp(0, width - side_x).tolist()
    return torch.stack(
        [
            one[:, top : top + side_y, left : left + side_x]
            for one, top, left in zip(joined, tops, lefts, strict=True)
        ]
    )


def _augmented(joined: Tensor, shift: list[int], light: float) -> Tensor:
    brightness = joined.new_zeros(joined.shape[1])
    brightness[:4] = light
    moved = torch.roll(joined, shift, dims=(2, 3))
    return moved + brightness[None, :, None, None]
