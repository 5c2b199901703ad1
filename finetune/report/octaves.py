"""How much fine detail a picture has, octave by octave, and whether it is the right detail.

Three bands of differences of Gaussians with sigma 1, 2 and 4 pixels, the Laplacian pyramid without
its decimation (P. Burt and E. Adelson, "The Laplacian pyramid as a compact image code", 1983).
Energy alone can be had with grain; so beside it stands coherence, the correlation with the real
picture in the same band, which grain has not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["NAMES", "Tally", "bands", "energies"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

NAMES = ("fine", "middle", "coarse")
_SIGMAS = (1.0, 2.0, 4.0)
_CUT = 3.0  # sigmas


def bands(luma: F32) -> F32:
    """Return float32[3, h, w], the finest octave first, of float32[h, w]."""
    steps = [luma, *(ndimage.gaussian_filter(luma, s, truncate=_CUT) for s in _SIGMAS)]
    return np.stack([a - b for a, b in zip(steps, steps[1:], strict=False)])


class Tally:
    """Sums over the pixels of some regions, picture by picture.

    Attributes:
        own, other, both: float64[3], squares of the one picture's octaves, of the other's, and
            their products.
        pixels: how many were added.
    """

    def __init__(self) -> None:
        self.own, self.other, self.both = np.zeros(3), np.zeros(3), np.zeros(3)
        self.pixels = 0

    def add(self, one: F32, other: F32, region: Bools) -> None:
        """Add a region bool[h, w] of two pictures, of `bands`."""
        x, y = one[:, region].astype(np.float64), other[:, region].astype(np.float64)
        self.own += (x * x).sum(axis=1)
        self.other += (y * y).sum(axis=1)
        self.both += (x * y).sum(axis=1)
        self.pixels += int(np.count_nonzero(region))

    @property
    def energy(self) -> F64 | None:
        """Mean energy of a pixel of the one picture, levels squared; None of nothing."""
        return self.own / self.pixels if self.pixels else None

    @property
    def coherence(self) -> F64 | None:
        """Correlation of both pictures, 0 where one has nothing; None where none was added."""
        if not self.pixels:
            return None
        product = self.own * self.other
        known = product > 0.0
        return np.where(known, self.both / np.sqrt(np.where(known, product, 1.0)), 0.0)


def energies(pictures: Sequence[F32], regions: Sequence[Bools]) -> F64 | None:
    """Return the mean energy of a pixel in each octave, levels squared, float64[3].

    Args:
        pictures: float32[h, w] each, luma.
        regions: bool[h, w] for each; None is returned where all of them are empty.
    """
    tally = Tally()
    for picture, region in zip(pictures, regions, strict=True):
        octaves = bands(picture)
        tally.add(octaves, octaves, region)
    return tally.energy
