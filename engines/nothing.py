"""Operation `none@1`: a place of the stages where a person has nothing to do.

A system whose network makes the whole face of a few numbers has no mesh, and nothing to draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NoGeometry", "NoRaster"]

F32 = NDArray[np.float32]


class NoGeometry:
    """No vertices."""

    def vertices(self, coefficients: F32, choices: Sequence[Any]) -> F32:
        """Return f32[N, 0, 3]."""
        return np.zeros((len(coefficients), 0, 3), np.float32)


class NoRaster:
    """No planes."""

    shape = (0, 0, 0)
    ahead = 0

    def initial_state(self) -> None:
        """Return nothing."""
        return None

    def draw(
        self,
        vertices: F32,
        coefficients: F32,
        choices: Sequence[Any],
        pictures: Sequence[NDArray[np.uint8]],
        out: F32,
        states: Sequence[Any] = (),
    ) -> None:
        """Draw nothing."""
