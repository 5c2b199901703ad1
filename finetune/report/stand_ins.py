"""Pictures that need no renderer, made from the real ones: each is good by some figure alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from visavis.finetune.report.octaves import energies

__all__ = ["blurred_with_grain", "half_resolution"]

F32 = NDArray[np.float32]
Bools = NDArray[np.bool_]

_BLUR = 1.4  # pixels


def blurred_with_grain(real: Sequence[F32], boxes: Sequence[Bools]) -> list[F32]:
    """Blur, and bring the energy of the finest octave back with grain: sharp, and wrong.

    Args:
        real: float32[h, w] each; boxes: where energy is measured.
    """
    soft = [np.asarray(ndimage.gaussian_filter(a, _BLUR), np.float32) for a in real]
    random = np.random.default_rng(0)
    grain = [random.normal(0.0, 1.0, a.shape).astype(np.float32) for a in real]
    wanted, left, own = (energies(some, boxes) for some in (real, soft, grain))
    if wanted is None or left is None or own is None:
        return soft
    level = np.float32(np.sqrt(max(0.0, float(wanted[0] - left[0])) / float(own[0])))
    return [a + level * b for a, b in zip(soft, grain, strict=True)]


def half_resolution(real: Sequence[F32]) -> list[F32]:
    """Mean of every two by two pixels, and up again by cubic splines; float32[h, w] each."""
    out = []
    for a in real:
        height, width = a.shape
        even = np.pad(a, ((0, height % 2), (0, width % 2)), mode="edge")
        small = even.reshape(len(even) // 2, 2, -1, 2).mean(axis=(1, 3))
        y, x = np.mgrid[:height, :width]
        at = [(y - 0.5) / 2, (x - 0.5) / 2]
        out.append(
            np.asarray(ndimage.map_coordinates(small, at, order=3, mode="nearest"), np.float32)
        )
    return out
