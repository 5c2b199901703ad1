"""What `visavis finetune` has found in a clip, cut to the square that a published system sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from visavis.engines.errors import PersonFileError
from visavis.finetune.geometry import Geometry
from visavis.finetune.person import load_geometry
from visavis.finetune.systems.stand_in import IOD, StandIn, stand_in
from visavis.finetune.video import to_rgb

__all__ = ["Square", "TrackedClip", "read_run", "square_of", "squares"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

MOUTH = 0.85  # eye distances below the eyes


@dataclass(frozen=True, slots=True)
class TrackedClip:
    """A clip and what is known of the face in it.

    Attributes:
        frames: uint8[N, H, W, 3], RGB.
        sound: f32[n], 16 kHz, in step.
        geometry: of the frames.
        face: the face model of the person, and its expressions.
    """

    frames: U8
    sound: F32
    geometry: Geometry
    face: StandIn

    def projected(self, points: F64) -> F64:
        """Return where points of the face model are in the frames, f64[N, P, 2].

        Args:
            points: f64[N, P, 3], in the model's axes and unit.
        """
        pose = self.geometry.pose[:, :2].astype(np.float64)
        head = points / IOD + self.face.middle
        seen: F64 = np.einsum("nij,npj->npi", pose[..., :3], head) + pose[:, None, :, 3]
        return seen

    def mouth(self) -> F64:
        """Return the middle of the mouth in the frames, f64[N, 2]."""
        seen: F64 = self.geometry.pose[:, :2].astype(np.float64) @ (0.0, MOUTH, 0.0, 1.0)
        return seen


@dataclass(frozen=True, slots=True)
class Square:
    """A square of every frame, enlarged or made smaller.

    Attributes:
        left, top, side: pixels of the frame, from its top left corner.
        size: pixels of the picture that is made of it.
    """

    left: float
    top: float
    side: float
    size: int

    def inside(self, points: F64) -> F64:
        """Return points f64[..., 2] of the frame as points of the picture; edges meet edges."""
        scale = self.size / self.side
        moved: F64 = (points - (self.left, self.top)) * scale
        return moved


def read_run(folder: Path) -> TrackedClip:
    """Read the folder of a finetune that came as far as the appearance of the face.

    Raises:
        PersonFileError: it did not.
    """
    refined = folder / "appearance" / "geometry.npz"
    sound, packed = folder / "clip" / "sound.npy", folder / "clip" / "frames.i420"
    for path in (refined, sound, packed):
        if not path.is_file():
            raise PersonFileError(f"{folder} is no finetune that was prepared: {path} is missing.")
    geometry = load_geometry(refined)
    count = len(geometry.coefficients)
    # The frames are square, as ingest makes them.
    per_frame = packed.stat().st_size // count
    side = round((per_frame / 1.5) ** 0.5)
    if side * side * 3 // 2 * count != packed.stat().st_size:
        raise PersonFileError(f"{packed} does not hold {count} square frames.")
    raw = np.memmap(packed, np.uint8, "r", shape=(count, side * 3 // 2, side))
    frames = np.stack([to_rgb(frame) for frame in raw])
    return TrackedClip(
        frames, np.load(sound, allow_pickle=False), geometry, stand_in(geometry, frames)
    )


def square_of(clip: TrackedClip, eye_distances: float, down: float, size: int) -> Square:
    """Return the square around where the face usually is.

    Args:
        eye_distances: side of the square.
        down: of its middle below the middle between the eyes, in eye distances.
        size: pixels of the picture.
    """
    pose = clip.geometry.pose.astype(np.float64)
    scale = float(np.median(np.linalg.norm(pose[:, 0, :3], axis=1)))
    x, y = np.median(pose[:, :2] @ np.array([0.0, down, 0.0, 1.0]), axis=0)
    side = 2.0 * round(eye_distances * scale / 2.0)
    left, top = round(x - side / 2.0), round(y - side / 2.0)
    height, width = clip.frames.shape[1:3]
    side = float(min(side, height, width))
    return Square(
        float(np.clip(left, 0, width - side)), float(np.clip(top, 0, height - side)), side, size
    )


def squares(frames: U8, square: Square) -> U8:
    """Return the squares of frames uint8[N, H, W, 3], uint8[N, S, S, 3], bilinear."""
    scale = square.side / square.size
    # The middle of pixel i of the picture is at (i + 0.5) * scale from the square's edge.
    offset = [square.top + 0.5 * scale - 0.5, square.left + 0.5 * scale - 0.5, 0.0]
    out = np.empty((len(frames), square.size, square.size, 3), np.uint8)
    for picture, frame in zip(out, frames, strict=True):
        picture[:] = affine_transform(
            frame,
            [scale, scale, 1.0],
            offset,
            output_shape=picture.shape,
            order=1,
            mode="nearest",
        )
    return out
