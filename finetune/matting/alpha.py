"""How much of each pixel of one frame is the person: from a coarse mask and the plate.

Three witnesses. The **mask** of a network knows what a person is, and not where exactly one ends.
The **difference** from the plate knows the edge to the pixel, wherever person and plate differ in
colour: I = a F + (1 - a) B gives a, B being the plate and F the colour of the person nearby. Where
they look alike, the mask's edge is laid on the picture's by a **guided filter** (K. He, J. Sun,
X. Tang, "Guided image filtering", PAMI 2013). The first two are believed by how different F and B
are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from visavis.finetune.matting.planes import blocks, doubled, spread
from visavis.finetune.matting.plate import Plate, grown

__all__ = ["Band", "alpha_of", "band_of", "believed"]

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Bool = NDArray[np.bool_]

# Shares of the picture's height: how far outside and inside of the mask its edge may really be.
OUTSIDE, INSIDE = 0.03, 0.016
HALF = 0.5
# Of the mask: pieces and holes smaller than this share of the picture are the network's mistakes.
SMALLEST = 0.004
# Levels. Chroma has a quarter of the samples and less noise.
CHROMA = 1.5
ALIKE = 9.0  # a difference of F and B that is believed by half
NOISE = 2.5  # of the camera and the code: less difference than this is none
VARIED = 16.0  # how much the variance of F takes from that
COARSE = 4  # pixels
UNSEEN = 0.5  # how much the plate is believed where it was filled in
GUIDE_RADIUS = 0.008  # share of the height
GUIDE_EPSILON = 4.0  # levels
LOW, HIGH = 0.06, 0.92  # less is none, more is all


@dataclass(frozen=True, slots=True)
class Band:
    """What a mask says for sure.

    Attributes:
        inside: bool[H, W], surely the person.
        outside: bool[H, W], surely not.
    """

    inside: Bool
    outside: Bool


def believed(mask: U8) -> U8:
    """Return a mask without small pieces beside the person and small holes in them.

    Args:
        mask: uint8[H, W], of the network.
    """
    out = mask.copy()
    least = SMALLEST * mask.size
    for wanted, value in ((True, 0), (False, 255)):
        labels, count = ndimage.label((out >= 128) == wanted)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        small = sizes < least
        small[0] = False
        if small.any():
            # The soft rim of what goes must go, too.
            gone = small[labels]
            soft = grown(gone, 3) & ((out < 128) != wanted if value else (out < 128) == wanted)
            out[gone | soft] = value
    return out


def band_of(mask: U8) -> Band:
    """Return what a mask (see `believed`) leaves open.

    Args:
        mask: uint8[H, W].
    """
    height = len(mask)
    person = mask >= 255 * HALF
    outside = ~grown(person | (mask > 25), max(2, round(OUTSIDE * height)))
    # At the picture's border the person goes on; only an edge is moved inwards.
    inside = ~grown(~person, max(2, round(INSIDE * height)))
    return Band(inside, outside)


def alpha_of(frame: U8, mask: U8, band: Band, plate: Plate) -> F32:
    """Return f32[H, W], 0 to 1.

    Args:
        frame: uint8[H*3/2, W], I420.
        mask: uint8[H, W]; band: of it.
        plate: of the clip.
    """
    alpha = band.inside.astype(np.float32)
    open_ = ~(band.inside | band.outside)
    if not open_.any():
        return alpha
    top, bottom, left, right = _box(open_, len(mask))
    part = (slice(top, bottom), slice(left, right))
    weight = np.array([1.0, CHROMA, CHROMA], np.float32)[:, None, None]
    picture = spread(frame)
    behind = spread(plate.i420)
    if band.outside.any():
        # The exposure may drift from frame to frame.
        clear = band.outside & plate.seen
        if clear.any():
            behind += np.median((picture - behind)[:, clear], axis=1)[:, None, None]
    picture, behind = picture[:, part[0], part[1]] * weight, behind[:, part[0], part[1]] * weight
    inside, unknown = band.inside[part], open_[part]
    soft = mask[part].astype(np.float32) / 255.0

    nearby, varied = _nearby(picture, inside, round(OUTSIDE * len(mask)))
    span = nearby - behind
    distance = (span * span).sum(axis=0)
    seen = picture - behind
    away = np.sqrt((seen * seen).sum(axis=0))
    # The colour of the person varies: what is farther from the plate than F is the person, too.
    along = (seen * span).sum(axis=0) / np.maximum(distance, 1.0)
    across = np.sqrt(np.maximum(away * away - along * along * distance, 0.0))
    other = np.maximum(across - NOISE, 0.0) / (np.sqrt(distance) + ALIKE)
    differs = np.clip(along + other, 0.0, 1.0)
    trust = distance / (distance + ALIKE * ALIKE + VARIED * varied)
    trust = trust * np.where(plate.seen[part], 1.0, UNSEEN)

    guided = _guided(picture, soft, max(2, round(GUIDE_RADIUS * len(mask))), GUIDE_EPSILON)
    mixed = trust * differs + (1.0 - trust) * guided
    mixed = np.clip((mixed - LOW) / (HIGH - LOW), 0.0, 1.0)
    cut = alpha[part]
    cut[unknown] = mixed[unknown]
    return alpha


def _box(where: Bool, height: int) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of what is set, with a margin for the filters."""
    margin = round(0.06 * height)
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    return (
        max(int(rows[0]) - margin, 0),
        int(rows[-1]) + 1 + margin,
        max(int(columns[0]) - margin, 0),
        int(columns[-1]) + 1 + margin,
    )


def _nearby(picture: F32, inside: Bool, radius: int) -> tuple[F32, F32]:
    """Return the mean colour f32[3, h, w] of the person's surest pixels around each, and its
    variance f32[h, w], of all channels together.
    """
    height, width = inside.shape
    weight = inside.astype(np.float32)
    planes = np.stack([*picture * weight, (picture * picture).sum(axis=0) * weight, weight])
    # It is smooth, so every fourth pixel does.
    edge = ((0, 0), (0, -height % COARSE), (0, -width % COARSE))
    padded = np.pad(planes, edge)
    small = np.stack([blocks(plane, COARSE).mean(axis=(1, 3)) for plane in padded])
    sums = np.zeros_like(small)
    # A small neighbourhood where there is one, a wider one where there is none.
    for reach, share in ((0.5, 1.0), (1.0, 1e-2), (3.0, 1e-4)):
        sums += share * ndimage.gaussian_filter(small, (0.0, *(reach * radius / COARSE,) * 2))
    sums /= np.maximum(sums[4], 1e-9)
    sums[3] = np.maximum(sums[3] - (sums[:3] * sums[:3]).sum(axis=0), 0.0)
    large = np.stack([doubled(doubled(plane)) for plane in sums[:4]])[:, :height, :width]
    return large[:3], large[3]


def _guided(guide: F32, mask: F32, radius: int, epsilon: float) -> F32:
    """Return a mask that is, around each pixel, linear in the guide's three channels (equation 14).

    Args:
        guide: f32[3, h, w]; mask: f32[h, w].
        radius: of the square windows, pixels.
        epsilon: levels of the guide that are taken for noise.
    """
    size = 2 * radius + 1

    def mean(plane: F32) -> F32:
        out: F32 = ndimage.uniform_filter(plane, size, mode="nearest")
        return out

    centred = guide - guide.mean(axis=(1, 2), keepdims=True)  # squares of small numbers are exact
    m = np.stack([mean(plane) for plane in centred])
    p = mean(mask)
    # The covariance of the guide, and its inverse by cofactors: it is symmetric.
    pairs = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    a, b, c, d, e, f = (
        mean(centred[i] * centred[j]) - m[i] * m[j] + (epsilon * epsilon if i == j else 0.0)
        for i, j in pairs
    )
    x, y, z = (mean(plane * mask) - own * p for plane, own in zip(centred, m, strict=True))
    aa, bb, cc = b * c - f * f, a * c - e * e, a * b - d * d
    ab, ac, bc = e * f - d * c, d * f - e * b, d * e - a * f
    scale = 1.0 / (a * aa + d * ab + e * ac)
    slope = np.stack(
        [
            (aa * x + ab * y + ac * z) * scale,
            (ab * x + bb * y + bc * z) * scale,
            (ac * x + bc * y + cc * z) * scale,
        ]
    )
    level = p - (slope * m).sum(axis=0)
    smooth = np.stack([mean(plane) for plane in slope])
    laid: F32 = (smooth * centred).sum(axis=0) + mean(level)
    return laid
