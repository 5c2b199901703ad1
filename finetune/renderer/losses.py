"""What the renderer is trained to make small."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["picture_loss", "weights"]

LIPS, INSIDE = 4.0, 8.0  # weight of the lips and of what is between them
LIP_BAND = -0.9  # of the distance plane: how far around the contour the lips count
PYRAMID = (1.0, 1.0, 0.5, 0.5)
GRADIENT = 1.0
CHROMA = 2.0  # there are four times fewer values


def weights(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Return how much each pixel counts: f32[N, 1, S, S] and f32[N, 1, S/2, S/2].

    Args:
        planes: f32[N, 32, S/2, S/2], laid out as `engines/planes.py` says.
    """
    hidden = planes[:, 24:25]
    distance = planes[:, 25:29]
    weight = 1.0 + (LIPS - 1.0) * (distance > LIP_BAND).float()
    weight = weight + (INSIDE - LIPS) * (distance > -0.1).float()
    weight = weight * hidden
    return F.pixel_shuffle(weight, 2), weight.mean(dim=1, keepdim=True)


def picture_loss(made: Tensor, wanted: Tensor, planes: Tensor) -> Tensor:
    """Return the loss of a batch: L1 over a Laplacian pyramid of luma, its gradients, and chroma.

    Args:
        made, wanted: f32[N, 6, S/2, S/2], Y unshuffled, U, V.
        planes: the renderer's input.
    """
    full, half = weights(planes)
    total = full.sum()
    chroma = ((made[:, 4:] - wanted[:, 4:]).abs() * half).sum() / total * 4.0 * CHROMA
    difference = F.pixel_shuffle((made - wanted)[:, :4], 2)
    loss = chroma + (difference.abs() * full).sum() / total
    for axis in (2, 3):
        step = torch.diff(difference, dim=axis).abs()
        loss = loss + GRADIENT * (step * full.narrow(axis, 0, step.shape[axis])).sum() / total
    # The pyramid is linear, so the pyramid of the difference is the difference of pyramids.
    level, weight = difference, full
    for share in PYRAMID:
        lower = F.avg_pool2d(level, 2)
        band = level - F.interpolate(lower, scale_factor=2.0, mode="bilinear", align_corners=False)
        loss = loss + share * (band.abs() * weight).sum() / weight.sum()
        level, weight = lower, F.avg_pool2d(weight, 2)
    return loss + (level.abs() * weight).sum() / weight.sum()
