"""Learns how a person's lower face looks, and with that where it is in every frame.

In turns: the model is fitted to the frames as they lie in the layout, then every frame to the
model. Beside the components of the tracked mesh there are four that move the lower face in the
picture's plane, which takes the tracker's own jitter off, and some that move nothing: what shape
does not say of teeth, tongue and shine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.appearance.align import Looks, Shape, Sight, align
from visavis.finetune.appearance.layout import Layout, halved, open_layout
from visavis.finetune.appearance.model import Appearance, fit_appearance, ridge
from visavis.finetune.geometry import Geometry, lower_face, measured

__all__ = ["Learnt", "learn_appearance"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]

MOST = 400  # frames that are learnt from
LOOKS = 4  # components that move nothing
ROUNDS = (2, 1, 1)  # steps of each frame in each round, without those components, and then with
LAST_STEPS = 4
IN_PLANE = 4
# A turn or a growth of 1 moves by a pixel what is so far from the middle, IOD.
BORDER = 0.75


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came out.

    Attributes:
        geometry: with coefficients float32[N, C] of what is seen and with C components.
        appearance: of these coefficients.
        levels: RMS difference of model and frames around the lips, of 255, at half the resolution:
            a model of the tracked coefficients, and of these.
    """

    geometry: Geometry
    appearance: Appearance
    levels: tuple[float, float]


def learn_appearance(
    frames: U8,
    geometry: Geometry,
    triangles: I32,
    taught: NDArray[np.int64],
    anchor: tuple[float, float, float],
    size: int,
    *,
    rounds: Sequence[int] = ROUNDS,
    last_steps: int = LAST_STEPS,
    looks: int = LOOKS,
) -> Learnt:
    """Learn from some frames, and fit all.

    Args:
        frames: uint8[N, H*3/2, W], I420; may be mapped from a file.
        geometry: tracked.
        triangles: int32[T, 3], those that are drawn, the farthest first.
        taught: int[M], the frames to learn from.
        anchor, size: of the crop.
        rounds: steps of each frame in each round; none to keep the tracked coefficients.
        last_steps: of the frames that are not learnt from.
        looks: components that move nothing; none where frames are few.
    """
    chosen = taught[np.unique(np.linspace(0, len(taught) - 1, MOST).astype(np.int64))]
    few = len(chosen) < 3 * (len(geometry.basis) + IN_PLANE + LOOKS)
    looks = 0 if few else looks
    begun = _widened(geometry, chosen, anchor, looks)
    layout = open_layout(geometry.of(chosen), triangles, anchor, size)
    fit = _Fit(frames, begun, layout, looks)
    others = np.setdiff1d(np.arange(len(frames)), chosen)
    judged = others if len(others) else chosen
    fit.learn(chosen)
    tracked = fit.level(judged)
    for steps in rounds:
        fit.round(chosen, steps, frozen=looks)
    if looks:
        fit.add_looks(chosen)
        for steps in rounds:
            fit.round(chosen, steps, frozen=0)
    fit.learn(chosen)
    for index in others.tolist():
        fit.place(index, last_steps, frozen=0)
    whole = replace(begun, coefficients=fit.coefficients.astype(np.float32))
    whole = measured(whole)
    seen = [frames[index] for index in chosen.tolist()]
    points = [fit.points(index) for index in chosen.tolist()]
    appearance = fit_appearance(seen, points, whole.coefficients[chosen], layout)
    return Learnt(whole, appearance, (tracked, fit.level(judged)))


def _widened(
    geometry: Geometry, chosen: NDArray[np.int64], anchor: Sequence[float], looks: int
) -> Geometry:
    """Return the geometry with components that move the lower face in the plane, or nothing."""
    follows = lower_face(geometry)
    iod = float(np.median(np.linalg.norm(geometry.pose[chosen, 0, :3], axis=1)))
    x, y = (geometry.mean[:, axis].astype(np.float64) - anchor[axis] for axis in (0, 1))
    one, none = np.ones_like(x) / iod, np.zeros_like(x)
    turned = np.stack([x, y]) / (BORDER * iod)
    plane = [(one, none), (none, one), (-turned[1], turned[0]), (turned[0], turned[1])]
    basis = np.zeros((IN_PLANE + looks, *geometry.mean.shape), np.float32)
    for component, move in zip(basis, plane, strict=False):
        component[:, :2] = np.stack(move, axis=1) * follows[:, None]
    added = np.zeros((len(geometry.coefficients), len(basis)), np.float32)
    return replace(
        geometry,
        basis=np.concatenate([geometry.basis, basis]),
        coefficients=np.concatenate([geometry.coefficients, added], axis=1),
    )


class _Fit:
    """Coefficients of all frames, and what is expected of them."""

    def __init__(self, frames: U8, begun: Geometry, layout: Layout, looks: int) -> None:
        self._frames = frames
        self._pose = begun.pose.astype(np.float64)
        self._tracked = begun.coefficients.astype(np.float64)
        self._looks_count = looks
        self._shape = Shape(begun.mean.astype(np.float64), begun.basis.astype(np.float64))
        self._sight = Sight(layout)
        self._looks = Looks(np.zeros(0), np.zeros((0, 0)))
        self._halves: dict[int, U8] = {}
        self.coefficients = self._tracked.copy()

    def points(self, index: int) -> F32:
        """The mesh in a frame, float32[V, 2]."""
        return self._shape.posed(self.coefficients[index], self._pose[index])

    def round(self, chosen: NDArray[np.int64], steps: int, *, frozen: int) -> None:
        """Fit the model to the frames, and then the frames to the model."""
        self.learn(chosen)
        for index in chosen.tolist():
            self.place(index, steps, frozen=frozen)

    def learn(self, chosen: NDArray[np.int64]) -> None:
        """Fit the model to the frames."""
        self._looks = Looks(*ridge(self.coefficients[chosen], self._seen(chosen)))

    def place(self, index: int, steps: int, *, frozen: int) -> None:
        """Fit a frame to the model."""
        self.coefficients[index] = align(
            self._half(index),
            self._pose[index],
            self._tracked[index],
            self.coefficients[index],
            self._shape,
            self._looks,
            self._sight,
            steps=steps,
            frozen=frozen,
        )

    def add_looks(self, chosen: NDArray[np.int64]) -> None:
        """Begin the last coefficients: principal components of what the others do not explain."""
        known = self.coefficients[chosen, : -self._looks_count]
        seen = self._seen(chosen)
        mean, basis = ridge(known, seen)
        rest = seen - mean - known @ basis
        values, vectors = np.linalg.eigh(rest @ rest.T)
        most = vectors[:, ::-1][:, : self._looks_count]
        most *= np.where(most[np.abs(most).argmax(axis=0), range(most.shape[1])] < 0, -1.0, 1.0)
        self.coefficients[chosen, -self._looks_count :] = most * np.sqrt(len(chosen))

    def level(self, frames: NDArray[np.int64]) -> float:
        """How far the model's picture is from the frames', RMS of 255 levels."""
        weight = float(np.square(self._sight.weight).sum())
        off = 0.0
        for index in frames.tolist():
            seen = self._sight.look(self._half(index), self.points(index))
            rest = seen - self._looks.of(self.coefficients[index])
            off += float(rest @ rest) / weight / len(frames)
        return round(float(np.sqrt(off)) * 128.0, 2)

    def _seen(self, chosen: NDArray[np.int64]) -> F64:
        return np.stack([self._sight.look(self._half(i), self.points(i)) for i in chosen.tolist()])

    def _half(self, index: int) -> U8:
        if index not in self._halves:
            if len(self._halves) > 2 * MOST:  # of a long clip only what is gone through again
                return halved(self._frames[index])
            self._halves[index] = halved(self._frames[index])
        return self._halves[index]
