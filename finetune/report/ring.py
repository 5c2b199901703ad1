"""The seam: how far off the picture is where the renderer's crop is blended into the frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.report.mouths import luma_of

__all__ = ["ring_error"]

U8 = NDArray[np.uint8]


def ring_error(
    made: Sequence[U8] | U8, real: Sequence[U8] | U8, mask: U8, origins: NDArray[np.integer]
) -> float:
    """Return the mean difference of luma along the feather, in levels of 255.

    Args:
        made, real: K of uint8[H*3/2, W], I420, of the same moments.
        mask: uint8[S, S], share of the crop in 255ths; the feather is where it is neither 0 nor
            255.
        origins: int[K, 2], left and top of each crop, as the engine places it.
    """
    feather = (mask > 0) & (mask < 255)
    size = len(mask)
    off = []
    for a, b, (left, top) in zip(made, real, origins.tolist(), strict=True):
        crop = slice(top, top + size), slice(left, left + size)
        ours = np.asarray(luma_of(a)[crop], np.int16)
        off.append(float(np.abs(ours - luma_of(b)[crop])[feather].mean()))
    return float(np.mean(off))
