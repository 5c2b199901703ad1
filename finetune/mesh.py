"""What a triangle list alone says about a mesh."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

__all__ = ["loops"]


def loops(triangles: NDArray[np.int32]) -> list[list[int]]:
    """Return the mesh's boundaries, each as its vertices in order: the outline and every hole.

    Args:
        triangles: int32[T, 3]; their directions do not matter.
    """
    sides = Counter(
        (min(pair), max(pair))
        for a, b, c in triangles.tolist()
        for pair in ((a, b), (b, c), (c, a))
    )
    near: dict[int, set[int]] = {}
    for (a, b), count in sides.items():
        if count == 1:
            near.setdefault(a, set()).add(b)
            near.setdefault(b, set()).add(a)
    found = []
    while near:
        loop = [min(near)]
        while ahead := near.pop(loop[-1]) & near.keys():
            loop.append(min(ahead))
        found.append(loop)
    return found
