"""A clip of a person as the report needs it: pictures, sound, and where face and mouth are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.engines.person import Person
from visavis.finetune.appearance.person import seen_coefficients
from visavis.finetune.geometry import (
    Geometry,
    in_head_space,
    mouth_weight,
    poses_on,
    smooth_poses,
)
from visavis.finetune.lips.yardstick.clips import RATE, TICK
from visavis.finetune.lips.yardstick.mouth import Mouth, mouth_of
from visavis.finetune.track import Track

__all__ = ["Footage", "cut_sound", "footage_of", "from_geometry", "placed", "stretches"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Footage:
    """A tracked clip of N frames, laid onto the person's own shape.

    Attributes:
        frames: uint8[N, H*3/2, W], I420, BT.601; may be mapped from a file.
        pose: float32[N, 3, 4], head space to pixels of the frame.
        coefficients: float32[N, C], of the person's components.
        mouth: what the tracked mouth does, frame by frame.
        sound: float32[640 N], 16 kHz.
    """

    frames: U8
    pose: F32
    coefficients: F32
    mouth: Mouth
    sound: F32

    def __len__(self) -> int:
        return len(self.frames)


def footage_of(
    person: Person, frames: U8, track: Track, sound: F32, cuts: Sequence[int] = ()
) -> Footage:
    """Lay a tracked clip onto a person's shape: the frames need not be those it was made from.

    The pose is that of the points that speech does not move, smoothed over time; the coefficients
    begin as least squares on the person's basis, weighted as when it was made, and are those by
    which the person then looks as in the frame.

    Args:
        person: whose clip it is.
        frames: uint8[N, H*3/2, W], I420, of the person's size, one after the other.
        track: of these frames.
        sound: float32[640 N], see `cut_sound`.
        cuts: frames with which something new begins; nothing is smoothed across them.

    Raises:
        PersonFileError: frames and person, or frames and track do not fit together.
    """
    _check(person, frames)
    if len(track.landmarks) != len(frames):
        raise PersonFileError(f"{len(track.landmarks)} frames are tracked, not {len(frames)}.")
    points = track.landmarks.astype(np.float64)
    vertices = points.shape[1]
    parts = person.stage_parts("geometry")
    mean = np.asarray(parts["mean"], np.float64)[:vertices]
    basis = np.asarray(parts["basis"], np.float64)[:, :vertices]
    lips = np.asarray(person.stage_parts("raster")["lips"], np.int64)
    scale, rotation, shift = poses_on(mean, points)
    still = in_head_space(points, scale, rotation, shift)
    _, weight = mouth_weight(mean, lips)
    axes = (basis * weight[None, :, None]).reshape(len(basis), -1)
    offsets = ((still - mean) * weight[None, :, None]).reshape(len(still), -1)
    coefficients, *_ = np.linalg.lstsq(axes.T, offsets.T, rcond=None)
    edges = [0, *sorted(cuts), len(frames)]
    pose = [
        smooth_poses(scale[a:b], rotation[a:b], shift[a:b])
        for a, b in zip(edges, edges[1:], strict=False)
    ]
    poses = np.concatenate(pose).astype(np.float32)
    tracked = np.ascontiguousarray(coefficients.T, np.float32)
    return Footage(
        frames=frames,
        pose=poses,
        coefficients=seen_coefficients(person, frames, poses, tracked),
        mouth=mouth_of(still),
        sound=sound,
    )


def from_geometry(person: Person, frames: U8, geometry: Geometry, sound: F32) -> Footage:
    """The same of the clip that the person was made from, where its geometry is at hand.

    Raises:
        PersonFileError: frames, geometry and person do not fit together.
    """
    _check(person, frames)
    basis = np.asarray(person.stage_parts("geometry")["basis"])
    if len(geometry.pose) != len(frames) or len(geometry.basis) != len(basis):
        raise PersonFileError("The geometry is of another clip or another person.")
    unknown = np.full(len(frames), np.nan)
    mouth = Mouth(geometry.aperture.astype(np.float64), geometry.width.astype(np.float64), unknown)
    return Footage(frames, geometry.pose, geometry.coefficients, mouth, sound)


def _check(person: Person, frames: U8) -> None:
    height, width = frames.shape[1] * 2 // 3, frames.shape[2]
    if (width, height) != (person.width, person.height):
        raise PersonFileError(
            f"The clip's pictures are {width} x {height}, the person's {person.width} x "
            f"{person.height}; cut and scale the clip as the person's own was."
        )


def cut_sound(sound: F32, frames: int, offset_ms: float = 0.0) -> F32:
    """Return the sound of so many frames, float32[640 frames], silence where there is none.

    Args:
        sound: float32[n], 16 kHz, from the first frame on.
        offset_ms: the sound is moved later by so much.
    """
    later = round(offset_ms * RATE / 1000)
    heard = np.pad(sound, (later, 0)) if later > 0 else sound[-later:]
    heard = heard[: frames * TICK]
    return np.pad(heard, (0, frames * TICK - len(heard))).astype(np.float32)


def stretches(indices: Sequence[int] | I64) -> list[I64]:
    """Return frames that follow each other, stretch by stretch."""
    order = np.unique(np.asarray(indices, np.int64))
    return [part for part in np.split(order, np.flatnonzero(np.diff(order) != 1) + 1) if len(part)]


def placed(indices: I64) -> list[tuple[int, I64]]:
    """Return the same with the position of each stretch's first frame among rising indices."""
    parts = stretches(indices)
    starts = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    return list(zip(starts, parts, strict=False))
