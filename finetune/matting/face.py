"""Where the face is in a person's frames, for whoever frames it: `look.face` of the person file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.person import Person
from visavis.finetune.geometry import CHIN, TRACKED
from visavis.finetune.track import track_faces

__all__ = ["face_by_pose", "face_in", "face_of_person"]

HAIRLINE = 10  # vertex of the tracker's mesh: the middle of the forehead's upper end
MOST_TRACKED = 25  # frames: a median needs no more
SMALLEST = 0.02  # of the height


def face_of_person(
    person: Person, frames: NDArray[np.uint8], tracker: Path | None
) -> list[float] | None:
    """Return [x, y, size] of the face, or None where nobody knows; see `face_in`.

    Args:
        person: whose poses say it, where they are of a head that has a mesh.
        frames: uint8[N, H*3/2, W], its background.
        tracker: finds the face where no poses do.
    """
    size = (person.width, person.height)
    if person.stages["background"].op == "walk@2" and person.stages["geometry"].op == "linear@1":
        pose = np.asarray(person.stage_parts("background")["pose"], np.float64)
        mean = np.asarray(person.stage_parts("geometry")["mean"], np.float64)
        # The tracker's vertices come first, where the mesh is the tracker's.
        if len(mean) >= TRACKED:
            return face_by_pose(pose, mean, size)
    if tracker is None:
        return None
    every = -(-len(frames) // MOST_TRACKED)
    landmarks = track_faces(frames[::every], tracker, may_miss=True).landmarks
    return face_in(landmarks[:, [HAIRLINE, CHIN[0]], :2].astype(np.float64), size)


def face_by_pose(
    pose: NDArray[np.floating], mean: NDArray[np.floating], size: tuple[int, int]
) -> list[float] | None:
    """Return what `face_in` does of a mesh.

    Args:
        pose: float[N, 3, 4], head space to pixels; mean: float[V, 3], head space.
        size: width and height of a frame.
    """
    ends = np.concatenate([mean[[HAIRLINE, CHIN[0]]], np.ones((2, 1))], axis=1)
    points: NDArray[np.float64] = np.einsum("nij,pj->npi", pose[:, :2], ends).astype(np.float64)
    return face_in(points, size)


def face_in(points: NDArray[np.float64], size: tuple[int, int]) -> list[float] | None:
    """Return the face's middle, as shares of width and height, and its height, as a share of it.

    Args:
        points: float64[N, 2, 2], pixels: hairline and chin of each frame, NaN where unknown.
        size: width and height of a frame.
    """
    known = points[np.isfinite(points).all(axis=(1, 2))]
    if not len(known):
        return None
    middle = np.median(known.mean(axis=1), axis=0)
    length = float(np.median(np.linalg.norm(known[:, 1] - known[:, 0], axis=1)))
    x, y = (float(np.clip(at / side, 0.0, 1.0)) for at, side in zip(middle, size, strict=True))
    return [round(x, 4), round(y, 4), round(float(np.clip(length / size[1], SMALLEST, 1.0)), 4)]
