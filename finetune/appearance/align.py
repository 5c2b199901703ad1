"""Analysis by synthesis: coefficients by which the model's picture is the frame's, frame by frame.

A tracker of landmarks is off by a pixel or two at the lips, and where they shine or beards are, by
more; so a mouth can be open in the picture and shut in its points. Here the points are only where
the search begins: Gauss-Newton on what is left of the picture (T. Cootes et al., "Active appearance
models", PAMI 2001; I. Matthews and S. Baker, "Active appearance models revisited", IJCV 2004), held
by how far the tracker can be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from visavis.finetune.appearance.layout import Layout, unwrapped_half
from visavis.finetune.texture import inside

__all__ = ["Looks", "Shape", "Sight", "align"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

# What counts, in IOD from the inner lips: a bell around them, and a little of what is beside it.
BELL, REACH, BESIDE = 0.12, 0.30, 0.1
NOISE = 0.06  # of a pixel of a frame, -1 to 1
LIKE = 36.0  # pixels that would say as much, were they independent
ROBUST = 0.15  # difference from which on a pixel says little: it is something else
# A coefficient of 1 is one deviation of the tracked ones, or a pixel; the tracker may be off by it.
OFF = 1.0
STEP = 0.1  # of a coefficient, for the derivative


@dataclass(frozen=True, slots=True)
class Shape:
    """A mesh that is linear in the coefficients.

    Attributes:
        mean: float64[V, 3]; basis: float64[C, V, 3]; head space.
    """

    mean: F64
    basis: F64

    def posed(self, coefficients: F64, pose: F64) -> F32:
        """Return the mesh in a frame, float32[V, 2] pixels, of float64[C] and float64[3, 4]."""
        shape = self.mean + np.tensordot(coefficients, self.basis, 1)
        return np.asarray(shape @ pose[:2, :3].T + pose[:2, 3], np.float32)


class Sight:
    """Reads from a frame what is compared: luma at half the resolution, the lips above all.

    Args:
        layout: where.

    Attributes:
        weight: float64[n], square root of how much each pixel counts.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        half = layout.size // 2
        x, y = np.meshgrid(2.0 * np.arange(half) + 1.0, 2.0 * np.arange(half) + 1.0)
        contour = layout.points[layout.lips, :2].astype(np.float64)
        between = inside(contour, x, y)
        away = 2.0 * ndimage.distance_transform_edt(~between) / layout.iod
        counts = np.where(away < REACH, np.exp(-0.5 * np.square(away / BELL)) + BESIDE, 0.0)
        covered = unwrapped_half(
            np.full((half, half), 255, np.uint8), layout.points[:, :2], layout
        )  # fmt: skip
        self._chosen = np.flatnonzero((counts * (covered > 0)).ravel())
        self.weight: F64 = np.sqrt(counts.ravel()[self._chosen])

    def look(self, luma: U8, points: F32) -> F64:
        """Return weighted levels float64[n] of a halved frame uint8[H/2, W/2], mesh f32[V, 2]."""
        seen = unwrapped_half(luma, points, self._layout).ravel()[self._chosen]
        return np.asarray(seen * self.weight, np.float64)

    def of_picture(self, luma: F32) -> F64:
        """Return weighted values float64[n] of a picture float32[S, S] in the layout."""
        size = self._layout.size
        half = luma.reshape(size // 2, 2, size // 2, 2).mean(axis=(1, 3)).ravel()
        return np.asarray(half[self._chosen] * self.weight, np.float64)


@dataclass(frozen=True, slots=True)
class Looks:
    """What the model expects to see, linear in the coefficients.

    Attributes:
        mean: float64[n]; basis: float64[C, n]; weighted as `Sight.look` gives them.
    """

    mean: F64
    basis: F64

    def of(self, coefficients: F64) -> F64:
        """Return float64[n] of float64[C]."""
        return np.asarray(self.mean + coefficients @ self.basis)


def align(
    luma: U8,
    pose: F64,
    tracked: F64,
    begin: F64,
    shape: Shape,
    looks: Looks,
    sight: Sight,
    *,
    steps: int,
    frozen: int = 0,
) -> F64:
    """Return the coefficients float64[C] of one frame.

    Args:
        luma: uint8[H/2, W/2], the frame at half its resolution.
        pose: float64[3, 4], head space to pixels of the frame.
        tracked: float64[C], which are held to.
        begin: float64[C], where to begin.
        shape, looks, sight: of the person.
        steps: at most.
        frozen: so many of the last coefficients stay as they are.
    """
    active = len(tracked) - frozen
    moves = np.flatnonzero(np.abs(shape.basis[:active]).max(axis=(1, 2)) > 0.0)
    share = LIKE / (NOISE**2 * float(np.square(sight.weight).sum()))
    held = 1.0 / OFF**2

    def left(coefficients: F64) -> F64:
        return sight.look(luma, shape.posed(coefficients, pose)) - looks.of(coefficients)

    now, rest = begin.copy(), left(begin)
    for _ in range(steps):
        slope = -looks.basis[:active]
        seen = rest + looks.of(now)
        for i in moves.tolist():
            moved = now.copy()
            moved[i] += STEP
            there = sight.look(luma, shape.posed(moved, pose))
            slope[i] += (there - seen) / STEP
        trust = share / (1.0 + np.square(rest / (sight.weight * ROBUST)))
        away = (now - tracked)[:active]
        normal = (slope * trust) @ slope.T + held * np.eye(active)
        step = -np.linalg.solve(normal, (slope * trust) @ rest + held * away)
        cost = float((trust * rest * rest).sum() + held * np.square(now - tracked).sum())
        for part in (1.0, 0.5, 0.25):
            tried = now.copy()
            tried[:active] += part * step
            new = left(tried)
            worth = float((trust * new * new).sum() + held * np.square(tried - tracked).sum())
            if worth < cost:
                now, rest = tried, new
                break
        else:
            break
    return now
