"""The matte where the renderer moved the person's edge.

A matte belongs to the footage. A mouth that opens wider than it did there takes the jaw beyond the
footage's edge, and one that closes leaves a little of it empty. Where the composite changed a pixel
near the edge, the plate says which of the two it became.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.i420 import planes_of
from visavis.engines.raster_kernels import compiled

__all__ = ["DrawnEdge"]

U8 = NDArray[np.uint8]

REACH_SHARE = 1 / 32
"""Of the frame's height: so far from the footage's edge a jaw may move it."""
INWARD = 3
"""A jaw that is drawn smaller is looked for in so much less."""
LEAST, CHANGED, SURE = 6, 12, 22
"""Levels of Y, U and V together: what drawing and coding are off by; what was surely drawn anew;
what is surely not the plate."""


class DrawnEdge:
    """Of one person. It holds nothing of a session, and threads may share it.

    Args:
        plate: uint8[H * 3 / 2, W], I420, what stood behind the person.
    """

    def __init__(self, plate: U8) -> None:
        self._plate = np.array(plate, np.uint8, order="C")
        self._reach = max(2, round(len(plate) * 2 / 3 * REACH_SHARE))
        # Compiled now and not in a tick.
        self.follow(np.zeros((len(plate) * 2 // 3, plate.shape[1]), np.uint8), plate, plate)

    def follow(self, alpha: U8, before: U8, after: U8) -> None:
        """Move `alpha` with what was drawn, in place.

        Args:
            alpha: uint8[H, W], of the footage.
            before: uint8[H * 3 / 2, W], the frame of the footage.
            after: the same with the renderer's crop in it.
        """
        _follow(
            alpha, alpha.copy(), *planes_of(np.ascontiguousarray(before)),
            *planes_of(np.ascontiguousarray(after)), *planes_of(self._plate), self._reach,
        )  # fmt: skip


@compiled(fast=True)
def _follow(
    alpha: U8,  # [H, W], changed
    footage: U8,  # [H, W], the same before
    y: U8, u: U8, v: U8,  # of the footage's frame
    new_y: U8, new_u: U8, new_v: U8,  # of what was drawn
    plate_y: U8, plate_u: U8, plate_v: U8,
    reach: int,
) -> None:  # fmt: skip
    height, width = alpha.shape
    for row in range(height):
        differs = np.uint8(0)
        for column in range(width):
            differs |= new_y[row, column] ^ y[row, column]
        if differs == 0:
            continue  # as most rows are; luma alone says so, or the mouth would be of one grey
        for column in range(width):
            here = np.int32(footage[row, column])
            change = _apart(new_y, new_u, new_v, y, u, v, row, column)
            if change == 0:
                continue
            apart = _apart(new_y, new_u, new_v, plate_y, plate_u, plate_v, row, column)
            if here <= 127 and apart <= LEAST:
                alpha[row, column] = 0  # what was left of an edge that is somewhere else now
                continue
            # A shadow on the neck is often the wall's color: inside, less is believed.
            inside = here > 127
            least, sure, drawn = (CHANGED, 2 * LEAST, SURE) if inside else (LEAST, SURE, CHANGED)
            if change <= least:
                continue
            if not _near_edge(footage, row, column, max(2, reach // INWARD) if inside else reach):
                continue
            person = min(max(255 * (apart - LEAST) // (sure - LEAST), 0), 255)
            changed = min(255 * (change - least) // (drawn - least), 255)
            moved = (here * (255 - changed) + person * changed + 127) // 255
            alpha[row, column] = np.uint8(moved)


@compiled(fast=True)
def _apart(
    y: U8, u: U8, v: U8, other_y: U8, other_u: U8, other_v: U8, row: int, column: int
) -> Any:  # fmt: skip
    """Levels between two pictures at a pixel of the luma."""
    half, across = row // 2, column // 2
    return (
        abs(np.int32(y[row, column]) - np.int32(other_y[row, column]))
        + abs(np.int32(u[half, across]) - np.int32(other_u[half, across]))
        + abs(np.int32(v[half, across]) - np.int32(other_v[half, across]))
    )


@compiled(fast=True)
def _near_edge(alpha: U8, row: int, column: int, reach: int) -> bool:
    """Whether both sides of an edge lie within reach, above, below or beside."""
    height, width = alpha.shape
    inside = alpha[row, column] > 127
    for step in range(-reach, reach + 1, 2):
        above = min(max(row + step, 0), height - 1)
        beside = min(max(column + step, 0), width - 1)
        if (alpha[above, column] > 127) != inside or (alpha[row, beside] > 127) != inside:
            return True
    return False
