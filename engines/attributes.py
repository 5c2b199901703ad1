"""Operation `attributes@1`: a drawn face, as the networks of published systems want to see it.

The mesh of `mesh@1` is drawn with a depth buffer; a pixel shows what its vertices carry, colours or
texture coordinates, perspective correct. What is drawn is laid over the person's own picture, over
black, or comes with a mask of what is not the head. Networks that look at several frames get those
that were drawn before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.attribute_kernels import (
    lay_over,
    mark_outside,
    paint,
    resample,
    sample_picture,
)
from visavis.engines.errors import PersonFileError
from visavis.engines.i420 import planes_of
from visavis.engines.mesh import CLIP
from visavis.engines.raster import RasterRule, rasterize

__all__ = ["AttributeRaster", "AttributeState", "lanczos"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]

MAX_SIZE = 1024
MAX_HISTORY = 15
_OVER = ("frame", "black", "mask", "mask+frame")
_DEFAULTS: Mapping[str, Any] = {
    "size": 256,
    "out": None,
    "attributes": 3,
    "over": "black",
    "history": 1,
    "future": 0,
    "ahead": 0,
    "before": "first",
    "levels": True,
    "scale": 1.0 / 127.5,
    "offset": -1.0,
    "flip": False,
    "shift": None,
    "diagonal": False,
    "inside_tolerance": RasterRule().inside_tolerance,
    "later_wins": RasterRule().later_wins,
}
_LANCZOS = 3.0
_FRACTION = 1 << 22


@dataclass(slots=True)
class AttributeState:
    """What one session carries.

    Attributes:
        frames: the newest drawings, the oldest first, f32[Q, O, O] each as the network takes them;
            empty before the first. Replaced, not written into.
    """

    frames: tuple[F32, ...] = ()


class AttributeRaster:
    """The stage; what a session carries is an `AttributeState`.

    Args:
        params: all optional.
            `size`, 256: S of what is drawn. `out`, S: O of what the network takes; where it is not
            S, bytes are resampled (Lanczos). A place of the footage is that of a crop of O pixels.
            `attributes`, 3: A. Their values are 0 to 255; others are clipped.
            `over`, "black": A planes, 0 where nothing is. "frame": A is 3 and the planes are red,
            green and blue over the person's own picture, holes of the head black. "mask": A planes
            and one that is 1 outside the head and 0 on it and in its holes. "mask+frame": those and
            red, green and blue, 0 to 1, of the person's own picture.
            `history`, 1: frames that the network sees, the oldest first; `future`, 0: how many of
            them come after the one that is shown; `ahead`, 0 to `future`: how many of those are
            really there, each for 40 ms more of waiting: the newest stands for the rest. `before`
            the first frame stands "first", itself, or "zeros".
            `levels`, True: attributes are rounded to whole levels, as if they had been saved.
            `scale`, 1 / 127.5, and `offset`, -1: from attributes to the network's numbers.
            `flip`, False: y in clip space goes up. `shift`: [i, i + 2], numbers of the pose that
            say how far right and down a drawing of S pixels is moved, to whole pixels.
            `diagonal`, False: whether what is outside leaks through corners.
            `inside_tolerance`, `later_wins`: of `RasterRule`.
        parts: triangles int32[T, 3].

    Attributes:
        shape: (P, O, O). ahead: as the parameter.

    Raises:
        PersonFileError: parameters or parts are not those described above.
    """

    def __init__(self, params: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        if unknown := sorted(params.keys() - _DEFAULTS.keys()):
            raise PersonFileError(f"attributes@1 has no parameter {', '.join(unknown)}.")
        p = {**_DEFAULTS, **params}
        self._size = _whole("size", p["size"], 8, MAX_SIZE)
        self._out = _whole("out", self._size if p["out"] is None else p["out"], 8, MAX_SIZE)
        self._attributes = _whole("attributes", p["attributes"], 1, 8)
        self._over = p["over"]
        self._history = _whole("history", p["history"], 1, MAX_HISTORY)
        self._future = _whole("future", p["future"], 0, self._history - 1)
        self.ahead = _whole("ahead", p["ahead"], 0, self._future)
        if self._over not in _OVER or p["before"] not in ("first", "zeros"):
            raise PersonFileError(
                f"attributes@1: over must be one of {', '.join(_OVER)}, before first or zeros."
            )
        self._zeros_before = p["before"] == "zeros"
        self._levels = bool(p["levels"])
        masked = self._over.startswith("mask")
        if self._over == "frame" and (self._attributes != 3 or not self._levels):
            raise PersonFileError("attributes@1 lays three attributes, in levels, over a frame.")
        if self._out != self._size and (masked or not self._levels):
            raise PersonFileError("attributes@1 changes the size of levels without a mask only.")
        self._scale, self._offset = np.float32(p["scale"]), np.float32(p["offset"])
        self._flip, self._diagonal = bool(p["flip"]), bool(p["diagonal"])
        shift = p["shift"]
        self._shift = None if shift is None else slice(int(shift[0]), int(shift[1]))
        if self._shift is not None and self._shift.stop - self._shift.start != 2:
            raise PersonFileError("attributes@1: a shift is two numbers of the pose.")
        self._rule = RasterRule(float(p["inside_tolerance"]), bool(p["later_wins"]))
        triangles = np.asarray(parts["triangles"])
        if triangles.dtype != np.int32 or triangles.ndim != 2 or triangles.shape[1] != 3:
            raise PersonFileError(f"Triangles must be int32[T, 3], not {triangles.shape}.")
        self._triangles: I32 = np.ascontiguousarray(triangles)
        extra = {"mask": 1, "mask+frame": 4}.get(self._over, 0)
        self._planes = self._attributes + extra
        self.shape = (self._history * self._planes, self._out, self._out)
        self._table = lanczos(self._size, self._out) if self._out != self._size else None

    def initial_state(self) -> AttributeState:
        """Return a session for which nothing was drawn."""
        return AttributeState()

    def draw(
        self,
        vertices: F32,
        coefficients: F32,
        choices: Sequence[Any],
        pictures: Sequence[U8],
        out: F32,
        states: Sequence[AttributeState],
    ) -> None:
        """Draw f32[N, P, O, O] into `out`; see `stages.RasterStage.draw`.

        Args:
            vertices: f32[N, V, 4 + A] of `mesh@1`.
            coefficients: f32[N, C]; nothing of them is used.
            choices: N, the frames that are drawn, with their poses and places.
            pictures: N, I420; of them the crop is taken.
            out: changed.
            states: N, changed.

        Raises:
            ValueError: the mesh carries another number of attributes, or fewer vertices than the
                triangles name.
        """
        if vertices.shape[2] != CLIP + self._attributes:
            raise ValueError(
                f"The mesh carries {vertices.shape[2] - CLIP} attributes, not {self._attributes}."
            )
        for n, state in enumerate(states):
            newest = self._drawn(vertices[n], choices[n], pictures[n])
            # Kept are the frames of the window that are really there; the newest fills it up.
            past = self._history - self._future - 1
            frames = state.frames = (*state.frames, newest)[-(past + 1 + self.ahead) :]
            before = np.zeros_like(newest) if self._zeros_before else frames[0]
            # Until the first frame has its future, it is the one that is shown.
            missing = past - max(0, len(frames) - 1 - self.ahead)
            window = (before,) * missing + frames
            window += (newest,) * (self._history - len(window))
            for place, frame in enumerate(window):
                out[n, place * self._planes : (place + 1) * self._planes] = frame

    def _drawn(self, vertices: F32, choice: Any, picture: U8) -> F32:
        """Return one frame's planes f32[Q, O, O]."""
        size = self._size
        ids, barycentric, _ = rasterize(vertices[:, :CLIP], self._triangles, size, size, self._rule)
        right, down = (0.0, 0.0) if self._shift is None else choice.pose[self._shift]
        values = np.empty((self._attributes, size, size), np.float32)
        covered = np.empty((size, size), np.uint8)
        paint(
            ids,
            barycentric,
            self._triangles,
            vertices,
            self._flip,
            np.float32(right),
            np.float32(down),
            values,
            covered,
        )
        values *= covered
        if self._over == "black" and self._table is None:
            return self._numbers(np.rint(values) if self._levels else values)
        outside = np.empty((size, size), np.uint8)
        mark_outside(covered, self._diagonal, np.empty(size * size, np.int32), outside)
        if self._over.startswith("mask"):
            planes = np.empty((self._planes, size, size), np.float32)
            kept = np.rint(values) if self._levels else values
            planes[: self._attributes] = self._numbers(kept)
            planes[self._attributes] = outside
            if self._over == "mask+frame":
                planes[-3:] = self._cropped(choice, picture) / np.float32(255.0)
            return planes
        levels = np.rint(values).astype(np.uint8)
        if self._over == "frame":
            lay_over(levels, outside, self._cropped(choice, picture))
        if self._table is not None:
            first, weights = self._table
            resized = np.empty((len(levels), self._out, self._out), np.uint8)
            between = np.empty((size, self._out), np.uint8)
            resample(levels, first, weights, between, resized)
            levels = resized
        return self._numbers(levels.astype(np.float32))

    def _numbers(self, values: F32) -> F32:
        return np.asarray(values * self._scale + self._offset, np.float32)

    def _cropped(self, choice: Any, picture: U8) -> U8:
        """Return the person's own picture in the crop, u8[3, S, S], red, green, blue."""
        ratio = self._out / self._size
        place = np.array(choice.place, np.float64)
        # Pixels of the drawing to those of the crop, both with centres at integers.
        place[:, 2] += place[:, :2] @ np.full(2, (ratio - 1.0) / 2.0)
        place[:, :2] *= ratio
        step = math.sqrt(abs(np.linalg.det(place[:, :2])))
        cropped = np.empty((3, self._size, self._size), np.uint8)
        # A pixel that stands for several is their mean, or fine patterns would flicker.
        across = min(max(1, round(step)), 8)
        sample_picture(*planes_of(picture), place.astype(np.float32), across, cropped)
        return cropped


def lanczos(size: int, out: int) -> tuple[I32, I32]:
    """Return of which pixels, and with which weights, a line of `size` becomes one of `out`.

    Weights are C. Lanczos' window of three lobes (K. Turkowski, "Filters for common resampling
    tasks", 1990), whole numbers in 2**22ths.

    Returns:
        first int32[out], weights int32[out, K].
    """
    step = size / out
    stretch = max(step, 1.0)
    reach = _LANCZOS * stretch
    taps = math.ceil(reach) * 2 + 1
    first = np.zeros(out, np.int32)
    weights = np.zeros((out, taps), np.int32)
    for pixel in range(out):
        centre = (pixel + 0.5) * step
        low = max(int(centre - reach + 0.5), 0)
        high = min(int(centre + reach + 0.5), size)
        x = (np.arange(low, high) - centre + 0.5) / stretch
        share = np.where(np.abs(x) < _LANCZOS, np.sinc(x) * np.sinc(x / _LANCZOS), 0.0)
        share /= share.sum()
        first[pixel] = low
        rounded = np.trunc(share * _FRACTION + np.where(share < 0, -0.5, 0.5))
        weights[pixel, : high - low] = rounded.astype(np.int32)
    return first, weights


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise PersonFileError(f"attributes@1: {name} must be a whole number from {low} to {high}.")
    return value
