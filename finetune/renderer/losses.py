"""What the renderer is trained to make small.

Where a picture cannot be known to the pixel, the likeliest one is blurred; so beside likeness there
is how much detail each neighbourhood has, octave by octave, wherever exactly it lies (after the
texture statistics of J. Portilla and E. Simoncelli, IJCV 2000). It needs no adversary.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["detail_loss", "picture_loss", "weights"]

LIPS, INSIDE = 4.0, 8.0  # weight of the lips and of what is between them
LIP_BAND = -0.9  # of the distance plane: how far around the contour the lips count
PYRAMID = (1.0, 1.0, 0.5, 0.5)
GRADIENT = 1.0
CHROMA = 2.0  # there are four times fewer values
# Octaves of detail: sigma in pixels, and how much each counts; pixels of a neighbourhood's side.
OCTAVES = ((1.0, 3.0), (2.0, 1.5), (4.0, 1.0))
NEIGHBOURHOOD = 8
DETAIL = 5.0
FAINT = 1e-4  # squared; below it detail is noise


def weights(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Return how much each pixel counts: f32[N, 1, S, S] and f32[N, 1, S/2, S/2].

    Args:
        planes: f32[N, 38, S/2, S/2], laid out as `engines/planes.py` says.
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


def detail_loss(made: Tensor, wanted: Tensor, planes: Tensor) -> Tensor:
    """Return how far the strength of detail is off: differences of RMS values of neighbourhoods.

    Args:
        made, wanted, planes: as of `picture_loss`.
    """
    full, _ = weights(planes)
    weight = F.avg_pool2d(full, NEIGHBOURHOOD)
    pictures = F.pixel_shuffle(torch.cat([made[:, :4], wanted[:, :4]]), 2)
    loss = pictures.new_zeros(())
    for sigma, share in OCTAVES:
        smooth = _blurred(pictures, sigma)
        square = F.avg_pool2d((pictures - smooth).square(), NEIGHBOURHOOD)
        own, real = torch.sqrt(square + FAINT).chunk(2)
        loss = loss + share * ((own - real).abs() * weight).sum() / weight.sum()
        pictures = smooth
    return DETAIL * loss


@functools.cache
def _bell(sigma: float) -> Tensor:
    reach = round(3.0 * sigma)
    bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    return bell / bell.sum()


def _blurred(pictures: Tensor, sigma: float) -> Tensor:
    bell = _bell(sigma).to(pictures)
    reach = len(bell) // 2
    rows = F.conv2d(pictures, bell.view(1, 1, -1, 1), padding=(reach, 0))
    return F.conv2d(rows, bell.view(1, 1, 1, -1), padding=(0, reach))
