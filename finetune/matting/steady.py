"""Takes the flicker out of a matte, looking both ways in time, and only at what is still.

A pixel's alpha becomes a mean over the frames around it, each weighted by how alike the pictures
are there (a bilateral filter along time; C. Tomasi and R. Manduchi, "Bilateral filtering for gray
and color images", ICCV 1998). Where something moves the pictures differ, and nothing is mixed: no
edge lags, before or behind.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from visavis.finetune.matting.planes import split

__all__ = ["REACH", "steadied"]

U8 = NDArray[np.uint8]

REACH = 2  # frames to either side
WINDOW = 5  # pixels that are compared together
ALIKE = 3.0  # levels: RMS difference in the window at which a neighbour counts for 0.6
NEARLY = 8  # of 255: so near to none or all is that
FADE = (1.0, 0.8, 0.5)  # by distance in frames


def steadied(alphas: NDArray[np.uint8], frames: U8, index: int) -> U8:
    """Return one frame's alpha uint8[H, W], steadied.

    Args:
        alphas: uint8[N, H, W], of each frame alone.
        frames: uint8[N, H*3/2, W], I420.
        index: which frame.
    """
    own = split(frames[index])[0].astype(np.float32)
    total = alphas[index].astype(np.float32)
    weights = np.ones_like(total)
    # Pairs at one distance together, so that a clip that runs backwards gives the same.
    for distance in range(1, REACH + 1):
        terms = []
        for other in (index - distance, index + distance):
            if 0 <= other < len(frames):
                gap = split(frames[other])[0] - own
                unlike = ndimage.uniform_filter(gap * gap, WINDOW, mode="nearest")
                weight = FADE[distance] * np.exp(unlike / (-2.0 * ALIKE * ALIKE))
                terms.append((weight, weight * alphas[other]))
        weights += sum(weight for weight, _ in terms)
        total += sum(value for _, value in terms)
    mean: U8 = np.rint(total / weights).astype(np.uint8)
    # What is left of noise costs bytes, and shows as a veil.
    mean[mean < NEARLY] = 0
    mean[mean > 255 - NEARLY] = 255
    return mean
