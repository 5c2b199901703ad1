"""A frame of the clip, its head carried to another pose: 2.5 dimensions, a few degrees and pixels.

The field that moves pixels is coarse, one point every 16 pixels. Where the head is, it is the
motion of a head in weak perspective, by a depth for every point of it; from there it falls to
nothing towards torso and background. The torso is raised by the breath. How deep the head is, what
follows it and where the torso is was found when the person was built (`finetune/head.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.engines.i420 import planes_of
from visavis.engines.raster_kernels import blend_frames
from visavis.engines.warp_kernels import (
    CELL,
    PAD,
    displacement,
    find_runs,
    paste_eye,
    phases,
    warp_runs,
)

__all__ = ["EyePatch", "HeadWarp", "field_shape"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

RUNS_A_ROW = 4  # runs of pixels for every 16 of a row, at most
MOST_POINTS = 128  # of the head's grid, to a side


@dataclass(frozen=True, slots=True)
class EyePatch:
    """A piece of a frame with both eyes.

    Attributes:
        y: uint8[h, w]; u, v: uint8[h/2, w/2].
        corner: f32[2], left and top in the frame, both even.
        pose: f32[3, 4], of the head in that frame.
    """

    y: U8
    u: U8
    v: U8
    corner: F32
    pose: F32


@dataclass(frozen=True, slots=True)
class _Scratch:
    """Memory of one thread.

    Attributes:
        runs, lines: of `warp_kernels.find_runs`.
        padded: a plane and its repeated border, by pixels of luma in one of the plane.
    """

    runs: NDArray[np.int32]
    lines: F32
    padded: Mapping[int, U8]

    @classmethod
    def of(cls, width: int, height: int) -> _Scratch:
        """Return memory for frames of a size."""
        most = RUNS_A_ROW * (field_shape(width, height)[1] - 1) * height
        return cls(
            np.empty((most, 5), np.int32),
            np.empty((most, 4), np.float32),
            {
                unit: np.empty((height // unit + 2 * PAD, width // unit + 2 * PAD), np.uint8)
                for unit in (1, 2)
            },
        )


def _pad(plane: U8, out: U8) -> None:
    """Set `out` to a plane with its border repeated `PAD` times."""
    out[PAD:-PAD, PAD:-PAD] = plane
    out[PAD:-PAD, :PAD], out[PAD:-PAD, -PAD:] = plane[:, :1], plane[:, -1:]
    out[:PAD], out[-PAD:] = out[PAD], out[-PAD - 1]


def field_shape(width: int, height: int) -> tuple[int, int]:
    """Return rows and columns of the points of a frame's field."""
    return -(-height // CELL) + 1, -(-width // CELL) + 1


class HeadWarp:
    """Warps frames of one person. It holds nothing of a session, and threads may share it.

    Args:
        params: "grid", left, top and step of the head's grid in head space; "width", "height" of
            the frame.
        parts: depth f32[R, C], z in head space; follow uint8[R, C], share of the head's motion in
            255ths, 0 at the border; torso uint8[H/16 + 1, W/16 + 1], share of the breath in 255ths;
            eyes f32[2, 5], x, y, z, half width and half height of what moves in a blink.

    Raises:
        PersonFileError: the parts do not fit together.
    """

    def __init__(self, params: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        depth, follow, torso = parts["depth"], parts["follow"], parts["torso"]
        self.eyes: F32 = np.ascontiguousarray(parts["eyes"], np.float32)
        place = np.asarray(params["grid"], np.float32)
        if depth.ndim != 2 or not 2 <= min(depth.shape) <= max(depth.shape) <= MOST_POINTS:
            raise PersonFileError(f"The head's depth must be a grid, not {depth.shape}.")
        if follow.shape != depth.shape or follow.dtype != np.uint8:
            raise PersonFileError("What follows the person's head must be of its depth's shape.")
        if follow[[0, -1]].any() or follow[:, [0, -1]].any():
            raise PersonFileError("What follows the person's head must end inside its grid.")
        if np.abs(depth).max() > 4.0:
            raise PersonFileError("The person's head is deeper than a head can be.")
        if place.shape != (3,) or not 0.02 <= place[2] <= 1.0 or np.abs(place[:2]).max() > 20.0:
            raise PersonFileError("The grid of the person's head must be left, top and step.")
        self._size = int(params["width"]), int(params["height"])
        self._shape = field_shape(*self._size)
        if torso.shape != self._shape or torso.dtype != np.uint8:
            raise PersonFileError(f"The person's torso must have {self._shape}, not {torso.shape}.")
        if self.eyes.shape != (2, 5) or np.abs(self.eyes).max() > 4.0:
            raise PersonFileError("The person's eyes must be two ellipses in head space.")
        if not 0.01 <= self.eyes[:, 3:].min() <= self.eyes[:, 3:].max() <= 0.5:
            raise PersonFileError("The person's eyes must be two ellipses in head space.")
        self._depth = np.ascontiguousarray(depth, np.float32)
        self._follow = np.ascontiguousarray(follow, np.float32) / np.float32(255)
        self._torso = np.ascontiguousarray(torso, np.float32) / np.float32(255)
        self._place = place
        self._weights = phases()
        self._local = threading.local()

    def field(self, source: F32, wanted: F32, breath: float = 0.0) -> F32:
        """Return where each point comes from, less where it is: f32[rows, columns, 2], pixels.

        Args:
            source: f32[3, 4], pose of the head in the picture.
            wanted: f32[3, 4], pose that it is to have.
            breath: pixels that the torso is raised.
        """
        out = np.empty((*self._shape, 2), np.float32)
        displacement(
            np.ascontiguousarray(source, np.float32),
            np.ascontiguousarray(wanted, np.float32),
            np.float32(breath),
            self._depth,
            self._follow,
            self._place,
            self._torso,
            out,
        )
        return out

    def warp(self, picture: U8, source: F32, wanted: F32, breath: float = 0.0) -> U8:
        """Return a picture uint8[H*3/2, W], I420, warped; see `field`."""
        field, out = self.field(source, wanted, breath), picture.copy()
        (y, *chroma), (new_y, *new_chroma) = planes_of(picture), planes_of(out)
        self._move(field, 1, (y,), (new_y,))
        self._move(field, 2, chroma, new_chroma)
        return out

    def warp_matte(self, matte: U8, source: F32, wanted: F32, breath: float = 0.0) -> U8:
        """Return a matte uint8[H, W], warped as the luma of a picture; see `field`."""
        out = matte.copy()
        self._move(self.field(source, wanted, breath), 1, (matte,), (out,))
        return out

    def warp_both(
        self, picture: U8, matte: U8, source: F32, wanted: F32, breath: float = 0.0
    ) -> tuple[U8, U8]:
        """Return a picture and its matte, warped as by `warp` and `warp_matte`."""
        field, out, alpha = self.field(source, wanted, breath), picture.copy(), matte.copy()
        (y, *chroma), (new_y, *new_chroma) = planes_of(picture), planes_of(out)
        self._move(field, 1, (y, matte), (new_y, alpha))
        self._move(field, 2, chroma, new_chroma)
        return out, alpha

    def _move(self, field: F32, unit: int, old: Sequence[U8], new: Sequence[U8]) -> None:
        """Set planes of one size to others, warped; `new` are copies of `old` before.

        Args:
            unit: pixels of luma in one of the planes.
        """
        scratch = self._scratch()
        height, width = old[0].shape
        count = find_runs(field, unit, height, width, scratch.runs, scratch.lines)
        for plane, out in zip(old, new, strict=True) if count else ():
            padded = scratch.padded[unit]
            _pad(plane, padded)
            warp_runs(padded, scratch.runs, scratch.lines, count, out)

    def _scratch(self) -> _Scratch:
        """Return the thread's own memory: fresh pages would cost as much as the warp."""
        kept: _Scratch | None = getattr(self._local, "scratch", None)
        if kept is None:
            kept = self._local.scratch = _Scratch.of(*self._size)
        return kept

    def mix(self, first: U8, second: U8, share: float) -> U8:
        """Return two pictures, or two mattes, mixed, `share` of the second."""
        out = np.empty_like(first)
        blend_frames(first, second, round(256 * share), out)
        return out

    def cut(self, picture: U8, pose: F32) -> EyePatch:
        """Return a copy of the piece of a picture that has the eyes."""
        reach = self.eyes[:, 3:].max(axis=1) * np.linalg.norm(pose[0, :3])
        middle = self.eyes[:, :3] @ pose[:2, :3].T + pose[:2, 3]
        size = np.array([picture.shape[1], picture.shape[0] * 2 // 3])
        low = np.clip(2 * np.floor((middle - reach[:, None]).min(axis=0) / 2) - 4, 0, size - 4)
        high = np.clip(2 * np.ceil((middle + reach[:, None]).max(axis=0) / 2) + 4, low + 4, size)
        (left, top), (right, bottom) = low.astype(int).tolist(), high.astype(int).tolist()
        y, u, v = planes_of(picture)
        half = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
        return EyePatch(
            y[top:bottom, left:right].copy(), u[half].copy(), v[half].copy(),
            low.astype(np.float32), np.ascontiguousarray(pose, np.float32),
        )  # fmt: skip

    def paste(self, picture: U8, patch: EyePatch, wanted: F32, share: float) -> None:
        """Lay the eyes of another frame over a picture whose head has the pose `wanted`."""
        wanted = np.ascontiguousarray(wanted, np.float32)
        planes = zip((patch.y, patch.u, patch.v), planes_of(picture), strict=True)
        for plane, (piece, target) in enumerate(planes):
            for eye in self.eyes:
                paste_eye(
                    piece, patch.corner, patch.pose, wanted, eye, np.float32(share),
                    1 if plane == 0 else 2, self._weights, target,
                )  # fmt: skip
