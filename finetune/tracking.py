"""The track of a whole clip, made in parts that are kept, so that little is lost by a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.finetune.track import Track, track_faces

__all__ = ["track_clip"]

PART = 1000  # frames: ten seconds of work
LONGEST_GAP = 8  # frames that are filled in where the tracker lost the face


def track_clip(frames: NDArray[np.uint8], tracker: Path, folder: Path) -> Track:
    """Track the face through a clip, or go on where `folder` was left.

    Args:
        frames: uint8[N, H*3/2, W], I420.
        tracker: see `track.track_faces`.
        folder: keeps `NNNN.npz` for every thousand frames.

    Raises:
        PersonFileError: the tracker does not run, or loses the face for over a third of a second.
    """
    folder.mkdir(parents=True, exist_ok=True)
    landmarks = []
    triangles = np.zeros((0, 3), np.int32)
    for begin in range(0, len(frames), PART):
        path = folder / f"{begin // PART:04d}.npz"
        if not path.exists():
            part = track_faces(frames[begin : begin + PART], tracker, may_miss=True)
            partial = folder / "partial.npz"
            np.savez(partial, landmarks=part.landmarks, triangles=part.triangles)
            partial.replace(path)
        with np.load(path, allow_pickle=False) as arrays:
            landmarks.append(arrays["landmarks"])
            triangles = arrays["triangles"]
    return Track(filled(np.concatenate(landmarks)), triangles)


def filled(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill short gaps by going straight from one side to the other.

    Args:
        landmarks: float32[N, V, 3], NaN where there is no face.

    Raises:
        PersonFileError: a gap is too long, or one of the ends is missing.
    """
    known: NDArray[np.bool_] = np.asarray(np.isfinite(landmarks).all(axis=(1, 2)))
    if known.all():
        return landmarks
    missing = np.flatnonzero(~known)
    edges = np.flatnonzero(np.diff(missing) > 1)
    first = missing[np.concatenate([[0], edges + 1])]
    last = missing[np.concatenate([edges, [len(missing) - 1]])]
    out = landmarks.copy()
    for begin, end in zip(first.tolist(), (last + 1).tolist(), strict=True):
        before, after = max(begin - 1, 0), min(end, len(landmarks) - 1)
        if end - begin > LONGEST_GAP:
            raise PersonFileError(
                f"The face is lost from {begin / 25:.2f} to {end / 25:.2f} s; cut that out."
            )
        # At an end of the clip there is one side only, and it is held.
        left = before if known[before] else after
        right = after if known[after] else before
        share = (np.arange(begin, end) - before) / (end - before)
        out[begin:end] = (
            landmarks[left] + share[:, None, None] * (landmarks[right] - landmarks[left])
        ).astype(np.float32)
    return out
