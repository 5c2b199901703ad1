"""The footage of an `audiodvp` person: the frames of their clip, and where the crop lies in them.

The program cuts the same square out of every frame and keeps only that. So a clip is either of
those crops, or of whole frames in which the square has to be found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.export.imports.audiodvp_face import landmarks
from visavis.export.imports.audiodvp_track import Track, read_track
from visavis.export.imports.crops import crop, inverted
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.landmarks import landmarks_of
from visavis.export.imports.pictures import read_clip
from visavis.export.imports.request import Request
from visavis.models.face_model import FaceModel
from visavis.models.systems.audiodvp import face
from visavis.models.systems.audiodvp.renderer import FRAMES

__all__ = ["Footage", "place_of_square", "read_footage"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

SHOWN = 300  # frames, where nobody says how many
SQUARE = 0.02  # by which the sides of a square may differ
SMALLEST = 64  # pixels of the square
FARTHEST = 0.15  # of the square, that a point of the picture may be from the drawn face's


@dataclass(frozen=True, slots=True)
class Footage:
    """S frames that are shown.

    Attributes:
        frames: u8[H, W, 3], red, green, blue.
        track: of the clip, which may be longer.
        place: f32[2, 3], of all frames, from the crop of 256 to the frame, centres at integers.
    """

    frames: Sequence[U8]
    track: Track
    place: F32


def read_footage(request: Request, model: FaceModel) -> Footage:
    """Read clip and coefficients of a request.

    Raises:
        ImportRefused: something is missing, the clip is not that of the coefficients, or it is not
            known where the crop lies.
    """
    if request.clip is None or request.coefficients is None:
        raise ImportRefused(
            "audiodvp shows the person's own frames: give the clip with --clip and the folder of "
            "alpha, beta, delta, gamma, rotation and translation with --coefficients."
        )
    most = SHOWN if request.frames is None else request.frames
    if most < FRAMES:
        raise ImportRefused(
            f"The renderer sees {FRAMES} frames at once, so {most} are too few to be shown."
        )
    track = read_track(request.coefficients, most)
    count = len(track.pose)
    if count < FRAMES:
        raise ImportRefused(
            f"{request.coefficients} is of {count} frames; the renderer sees {FRAMES} at once."
        )
    frames = read_clip(request.clip, count)
    if len(frames) < count:
        raise ImportRefused(
            f"{request.clip} has {len(frames)} frames and {request.coefficients} is of {count}; "
            "are they of one another?"
        )
    place = _place(request, model, track, frames[0])
    if not request.face_only:
        return Footage(frames, track, np.asarray(place, np.float32))
    cut = [crop(frame, inverted(place), face.SIZE) for frame in frames]
    return Footage(cut, track, np.eye(2, 3, dtype=np.float32))


def place_of_square(left: float, top: float, side: float) -> F64:
    """Return the way f64[2, 3] of a crop of a square to its frame, centres of pixels at integers.

    Args:
        left, top: of the square's corner, pixels, edges at integers; side: in pixels.
    """
    scale = side / face.SIZE
    middle = (scale - 1.0) / 2.0
    return np.array([[scale, 0.0, left + middle], [0.0, scale, top + middle]])


def _place(request: Request, model: FaceModel, track: Track, frame: U8) -> F64:
    height, width = frame.shape[:2]
    if (height, width) == (face.SIZE, face.SIZE):
        return np.eye(2, 3)  # it is the crop
    if len(request.points) == 2:
        return _corners(np.asarray(request.points, np.float64), width, height)
    try:
        seen = landmarks_of(request, frame, "the clip's first frame")
    except ImportRefused as error:
        raise ImportRefused(
            f"The clip is {width}x{height} and not of crops of {face.SIZE} pixels square. {error} "
            "Or give the two corners of the square that was cut out."
        ) from None
    if seen.shape != (68, 2):
        raise ImportRefused(
            "--points are the two corners of the square that was cut out of every frame, or the "
            f"68 points of the face in the first one; {len(seen)} were given."
        )
    return _fitted(seen, landmarks(model, track, 0).astype(np.float64))


def _corners(points: F64, width: int, height: int) -> F64:
    (left, top), (right, bottom) = points
    across, down = right - left, bottom - top
    if not np.isfinite(points).all() or min(across, down) < SMALLEST:
        raise ImportRefused(
            "The corners of the square are its upper left and its lower right, at least "
            f"{SMALLEST} pixels apart, not {points.tolist()}."
        )
    if abs(across - down) > SQUARE * max(across, down):
        raise ImportRefused(
            f"What was cut out of the frames must be square, not {across:g} by {down:g} pixels."
        )
    if min(left, top) < 0 or right > width or bottom > height:
        raise ImportRefused(f"The square does not lie in the frame, which is {width}x{height}.")
    return place_of_square(left, top, (across + down) / 2.0)


def _fitted(seen: F64, drawn: F64) -> F64:
    """Find scale and place by the points of a face; the program does not turn its crops."""
    spread, there = drawn - drawn.mean(0), seen - seen.mean(0)
    power = float((spread * spread).sum())
    scale = float((spread * there).sum()) / power if power > 0.0 else 0.0
    move = seen.mean(0) - scale * drawn.mean(0)
    side = scale * face.SIZE
    worst = float(np.abs(drawn * scale + move - seen).max())
    if side < SMALLEST or worst > FARTHEST * side:
        raise ImportRefused(
            "The coefficients are of another clip: their face does not lie on the face in this "
            "one's first frame."
        )
    return np.array([[scale, 0.0, move[0]], [0.0, scale, move[1]]])
