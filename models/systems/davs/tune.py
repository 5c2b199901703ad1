"""Fitting `davs` to one picture, as its program does before it is shown anybody.

Five steps of Adam on the identity encoder and the decoder, batch norm as in training, so that its
statistics move towards the picture. The person's own mouth is what is decoded, and a mask keeps the
mouth's pixels out of the loss: what is learned is the rest of the face.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from visavis.models.systems.davs.decoder import Decoder
from visavis.models.systems.davs.identity import IdentityEncoder

__all__ = ["MOUTH", "STEPS", "tune"]

STEPS = 5
RATE = 2e-4
BETAS = (0.9, 0.999)
WEIGHT = 4.0  # of the loss; Adam makes little of it
MOUTH = (64, 170, 192, 234)  # x0, y0, x1, y1 of the mouth's pixels
MOUTH_SHARE = 0.001


def tune(
    identity: IdentityEncoder,
    decoder: Decoder,
    picture: Tensor,
    mouth: Tensor,
    *,
    steps: int = STEPS,
) -> list[float]:
    """Change both networks in place and leave them in evaluation.

    Args:
        identity, decoder: with the published weights.
        picture: f32[1, 3, 256, 256], red, green, blue, 0 to 1.
        mouth: f32[1, F], the mouth feature of that picture, as it is.
        steps: 0 leaves the networks as they are.

    Returns:
        the loss before each step.
    """
    mask = torch.ones_like(picture[:, :1])
    left, top, right, bottom = MOUTH
    mask[:, :, top:bottom, left:right] = MOUTH_SHARE
    parameters = [*identity.parameters(), *decoder.parameters()]
    losses = []
    for network in (identity, decoder):
        network.train().requires_grad_(True)
    try:
        for _ in range(steps):
            # The original makes its optimiser anew for each step, which then has no memory.
            optimiser = torch.optim.Adam(parameters, lr=RATE, betas=BETAS)
            made = decoder(*identity(picture), mouth)
            loss = WEIGHT * F.l1_loss(made * mask, picture * mask)
            for parameter, slope in zip(
                parameters, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True
            ):
                parameter.grad = slope
            optimiser.step()
            losses.append(float(loss.detach()))
    finally:
        for network in (identity, decoder):
            network.eval().requires_grad_(False)
    return losses
