"""The loop of `sketch@1`, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.engines.raster_kernels import compiled

__all__ = ["draw_curves"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

# A pixel begins where its coordinate is whole. A curve meets its ends only up to rounding, so that
# without this an end that is whole would be drawn here or one pixel before by chance.
_NUDGE = 1e-6
_STEEPEST = 1.0  # of a parabola's first coefficient, past which a curve is left out


@compiled(fast=False)
def draw_curves(points: F64, curves: I32, out: F32) -> None:
    """Set the pixels of curves to 1.

    Two points are joined by a line, three by the parabola through them; over x, or over y where the
    largest step from point to point is longer in y. A curve has as many pixels as the whole part of
    its length along that axis, and every one is drawn 2 x 2, up and left of where it is.

    Args:
        points: f64[P, 2], x and y in pixels. What lies outside is drawn on the edge.
        curves: int32[K, 3], points; the last is -1 where there are two.
        out: f32[H, W], changed.
    """
    height, width = out.shape
    longest = 4.0 * (height + width)
    for k in range(len(curves)):
        i, j, last = curves[k, 0], curves[k, 1], curves[k, 2]
        three = last >= 0
        if not three:
            last = j
        dx = max(abs(points[j, 0] - points[i, 0]), abs(points[last, 0] - points[j, 0]))
        dy = max(abs(points[j, 1] - points[i, 1]), abs(points[last, 1] - points[j, 1]))
        along = 1 if dx < dy else 0
        u0, v0 = points[i, along], points[i, 1 - along]
        u1, v1 = points[j, along], points[j, 1 - along]
        u2, v2 = points[last, along], points[last, 1 - along]
        # Written so that what is no number is left out, too.
        if not 1.0 <= abs(u2 - u0) <= longest:
            continue
        if three and u1 != u0 and u1 != u2:
            slope = (v1 - v0) / (u1 - u0)
            bend = ((v2 - v1) / (u2 - u1) - slope) / (u2 - u0)
            if not abs(bend) <= _STEEPEST:
                continue
        else:
            slope, bend = (v2 - v0) / (u2 - u0), 0.0
        start, end = min(u0, u2), max(u0, u2)
        count = int(end - start)
        step = (end - start) / (count - 1) if count > 1 else 0.0
        for n in range(count):
            u = start + n * step
            v = v0 + (u - u0) * (slope + bend * (u - u1))
            a = min(max(u, -1.0), float(height + width)) + _NUDGE
            b = min(max(v, -1.0), float(height + width)) + _NUDGE
            column, row = (int(b), int(a)) if along else (int(a), int(b))
            for y in range(row - 1, row + 1):
                for x in range(column - 1, column + 1):
                    out[min(max(y, 0), height - 1), min(max(x, 0), width - 1)] = np.float32(1)
