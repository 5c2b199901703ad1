"""Landmarks and head poses, as the preprocessing of `rhythmic` leaves them.

Of a clip `X.mp4`, which is the square crop around the face, there are `X.npy`, the 68 landmarks of
every frame [T, 68, 3] in pixels; `X_rt.npy` [T, 6], the head's pose; and `X_front.npy`
[T, 68, 3], the same landmarks seen from the front (front = R landmarks + t). Of a single picture
there is `Y.npy`, [68, 3] or [68, 2].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.sketch import LANDMARKS, POSE, posed
from visavis.export.imports.errors import ImportRefused

__all__ = [
    "Track",
    "landmarks_file",
    "read_landmarks",
    "read_poses",
    "read_track",
    "rotation_to",
    "vector_of",
]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

FRONT, RT = "_front.npy", "_rt.npy"
MOST_BYTES = 64 << 20
MOST_FRAMES = 30_000
LARGEST = 1e5  # of any number
APART = 10.0 / 256.0  # of the crop: what front and pose may miss the landmarks by
TURNED = 3.2  # radians: a rotation vector is no longer than half a turn


@dataclass(frozen=True, slots=True)
class Track:
    """T frames of a clip, in pixels of its crop.

    Attributes:
        points: f64[T, 68, 3]; pose: f64[T, 6]; front: f64[T, 68, 3].
    """

    points: F64
    pose: F64
    front: F64

    def first(self, count: int) -> Track:
        """Return the first frames."""
        return Track(self.points[:count], self.pose[:count], self.front[:count])

    def scaled(self, factor: float) -> Track:
        """Return the track of a crop that is so many times as large."""
        pose = self.pose * np.array([1.0, 1.0, 1.0, factor, factor, factor])
        return Track(self.points * factor, pose, self.front * factor)


def read_track(path: Path, clip: Path | None, side: int) -> Track:
    """Read the three files of a clip.

    Args:
        path: the file of the landmarks, or a folder with those of one clip; with several, the clip
            says which.
        clip: its video.
        side: of the crop in pixels.

    Raises:
        ImportRefused: a file is missing, damaged or of another length, or they do not fit together.
    """
    stem = _stem(path, clip)
    points = _array(stem.with_name(stem.name + ".npy"))
    pose, front = _array(stem.with_name(stem.name + RT)), _array(stem.with_name(stem.name + FRONT))
    count = len(points)
    for name, array, shape in (
        (f"{stem.name}.npy", points, (count, LANDMARKS, 3)),
        (f"{stem.name}{RT}", pose, (count, POSE)),
        (f"{stem.name}{FRONT}", front, (count, LANDMARKS, 3)),
    ):
        if array.shape != shape or not count:
            raise ImportRefused(f"{name} holds {list(array.shape)}, not {list(shape)}.")
    if not 1 <= count <= MOST_FRAMES:
        raise ImportRefused(f"{stem.name}.npy is of {count} frames, more than {MOST_FRAMES}.")
    _check_turns(f"{stem.name}{RT}", pose)
    apart = [
        np.linalg.norm(posed(front[k], pose[k])[:, :2] - points[k, :, :2], axis=1).mean()
        for k in np.linspace(0, count - 1, min(count, 20)).astype(int)
    ]
    if not np.median(apart) <= APART * side:
        raise ImportRefused(
            f"{stem.name}{FRONT}, turned back by {stem.name}{RT}, is {np.median(apart):.0f} pixels "
            f"away from {stem.name}.npy; they are not of one clip."
        )
    return Track(points, pose, front)


def read_poses(path: Path) -> F64:
    """Return poses f64[T, 6] of a file such as `X_rt.npy`, whose crop is 256 pixels wide.

    Raises:
        ImportRefused: there are none.
    """
    poses = _array(path)
    if poses.ndim != 2 or poses.shape[1] != POSE or not 1 <= len(poses) <= MOST_FRAMES:
        raise ImportRefused(f"{path.name} holds {list(poses.shape)}, not [T, {POSE}] poses.")
    _check_turns(path.name, poses)
    return poses


def read_landmarks(path: Path) -> F64:
    """Return the landmarks of one picture, f64[68, 3]; z is 0 where the file has none.

    Raises:
        ImportRefused: they are not 68.
    """
    points = _array(path)
    if len(points) == 1 and points.ndim > 2:
        points = points[0]
    if points.ndim != 2 or len(points) != LANDMARKS or points.shape[1] not in (2, 3):
        raise ImportRefused(
            f"{path.name} holds {list(points.shape)}; a picture has {LANDMARKS} landmarks, "
            f"[{LANDMARKS}, 2] or [{LANDMARKS}, 3]."
        )
    return points if points.shape[1] == 3 else np.column_stack((points, np.zeros(LANDMARKS)))


def landmarks_file(picture: Path, folders: Sequence[Path]) -> Path | None:
    """Return where the landmarks of a picture are: `Y.npy` beside it, or in one of the folders."""
    places = (folder / f"{picture.stem}.npy" for folder in (picture.parent, *folders))
    return next((place for place in places if place.is_file()), None)


def rotation_to(front: F64, points: F64) -> F64:
    """Return the pose f64[6] that turns points f64[68, 3] nearest to those seen from the front.

    W. Kabsch, "A solution for the best rotation to relate two sets of vectors", 1976.
    """
    middle, aim = points.mean(0), front.mean(0)
    left, _, right = np.linalg.svd((points - middle).T @ (front - aim))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    turn = (left @ flip @ right).T
    return np.concatenate((vector_of(turn), aim - turn @ middle))


def vector_of(turn: F64) -> F64:
    """The rotation vector of a matrix, which is less than half a turn."""
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    sine, cosine = np.linalg.norm(axis) / 2.0, (np.trace(turn) - 1.0) / 2.0
    angle = float(np.arctan2(sine, cosine))
    return axis / 2.0 if sine < 1e-9 else axis * (angle / (2.0 * sine))


def _stem(path: Path, clip: Path | None) -> Path:
    """The landmarks' file without its suffix."""
    if not path.is_dir():
        return path.with_suffix("")
    found = sorted(
        entry.with_name(entry.name.removesuffix(RT))
        for entry in path.iterdir()
        if entry.name.endswith(RT)
    )
    if clip is not None and len(found) > 1:
        found = [stem for stem in found if stem.name == clip.stem]
    if len(found) != 1:
        raise ImportRefused(
            f"{path} must hold X.npy, X{RT} and X{FRONT} of one clip X; it holds "
            f"{len(found)} files *{RT} that may be meant."
        )
    return found[0]


def _check_turns(name: str, pose: F64) -> None:
    if np.linalg.norm(pose[:, :3], axis=1).max() > TURNED:
        raise ImportRefused(
            f"{name} does not begin with rotation vectors in radians: one is longer than half a "
            "turn."
        )


def _array(path: Path) -> F64:
    """The numbers of an .npy file, without pickle and bounded."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ImportRefused(f"{path.name} is larger than landmarks of a clip are.")
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise ImportRefused(f"{path} cannot be read: {error.strerror or 'no .npy file'}.") from None
    except (ValueError, EOFError):
        raise ImportRefused(f"{path.name} is no .npy file of numbers.") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.ndim < 2:
        raise ImportRefused(f"{path.name} is no .npy file of numbers.")
    numbers = array.astype(np.float64)
    if not np.isfinite(numbers).all() or np.abs(numbers).max(initial=0.0) > LARGEST:
        raise ImportRefused(f"{path.name} has numbers that are no pixels.")
    return numbers
