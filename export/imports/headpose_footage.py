"""The footage of a `headpose` person: the frames of their clip, and how the head stands in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.attribute_kernels import resample
from visavis.engines.attributes import lanczos
from visavis.engines.raster import rasterize
from visavis.export.imports.coefficients import Track, read_track
from visavis.export.imports.crops import crop, inverted
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.landmarks import landmarks_of
from visavis.export.imports.pictures import read_clip
from visavis.export.imports.request import Request
from visavis.export.imports.style_avatar_face import landmarks, placed, pose_of
from visavis.models.face_model import FaceModel
from visavis.models.systems.headpose import face

__all__ = ["OUT", "POSE", "Footage", "composed", "read_footage"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

FRAMES = 300  # that the program shows, of the 400 that it is trained on
OUT = 256  # pixels of what the generator gives
POSE = 8  # angles, translation, and how far the drawing moves right and down
PLACE_FILE = "transbig.npy"
MOST_PLACE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Footage:
    """T frames.

    Attributes:
        frames: u8[H, W, 3], red, green, blue.
        coefficients: f32[T, 257].
        pose: f32[T, 8]: angles, translation, shift in pixels of the drawing.
        place: f32[2, 3], of all frames, from the crop of 256 to the frame, centres at integers.
    """

    frames: Sequence[U8]
    coefficients: F32
    pose: F32
    place: F32


def read_footage(request: Request, model: FaceModel) -> Footage:
    """Read clip and coefficients of a request.

    The crop stands still: the program cuts all frames as it cut the first, and moves the drawing to
    where the face has gone.

    Raises:
        ImportRefused: something is missing, or the clip is not that of the coefficients.
    """
    if request.clip is None or request.coefficients is None:
        raise ImportRefused(
            "headpose shows the person's own frames: give the clip with --clip and the folder of "
            "its frame0.mat, frame1.mat ... with --coefficients."
        )
    most = FRAMES if request.frames is None else request.frames
    if most < 1:
        raise ImportRefused(f"The frames that are shown must be at least 1, not {most}.")
    track = read_track(request.coefficients, most)
    count = len(track.coefficients)
    if track.shifts is None and count > 1:
        raise ImportRefused(
            f"{request.coefficients} has no lm_5p, which says how far the face moved since frame 0."
        )
    frames = read_clip(request.clip, count)
    if len(frames) < count:
        raise ImportRefused(
            f"{request.clip} has {len(frames)} frames and {request.coefficients} is of {count}: "
            "they are not of one another."
        )
    to_frame = _place(request, model, track, frames[0])
    place = np.asarray(_of_crop(to_frame), np.float32)
    shown: Sequence[U8] = frames
    if request.face_only:
        shown = [crop(frame, inverted(_of_crop(to_frame)), OUT) for frame in frames]
        place = np.eye(2, 3, dtype=np.float32)
    shifts = np.zeros((count, 2), np.float32) if track.shifts is None else track.shifts
    pose = np.concatenate((pose_of(track.coefficients), shifts), axis=1)
    return Footage(shown, track.coefficients, np.ascontiguousarray(pose, np.float32), place)


def composed(model: FaceModel, footage: Footage, number: int) -> U8:
    """Return what the generator sees of a frame with its own coefficients, u8[256, 256, 3].

    Expression and pose are the frame's; who it is and the light are frame 0's, as in the program.
    """
    mixed = footage.coefficients[0].copy()
    own = footage.coefficients[number]
    mixed[80:144], mixed[224:227], mixed[254:257] = own[80:144], own[224:227], own[254:257]
    found = face.posed(model, torch.from_numpy(mixed))
    clip = face.clip_space(found.vertices).float().numpy()
    triangles = model.triangles.numpy().astype(np.int32)
    ids, barycentric, _ = rasterize(clip, triangles, face.SIZE, face.SIZE)
    drawn = face.drawn(ids, barycentric, triangles, found.colours.float().numpy())
    dx, dy = footage.pose[number, 6:8]
    moved = face.shifted(np.rint(drawn * 255.0).astype(np.uint8), float(dx), float(dy))
    to_frame = _of_drawing(footage.place.astype(np.float64))
    under = crop(footage.frames[number], inverted(to_frame), face.SIZE)
    return _enlarged(face.laid_over(moved, under))


def _enlarged(picture: U8) -> U8:
    size = len(picture)
    out = np.empty((3, OUT, OUT), np.uint8)
    between = np.empty((size, OUT), np.uint8)
    planes = np.ascontiguousarray(np.moveaxis(picture, -1, 0))
    resample(planes, *lanczos(size, OUT), between, out)
    return np.ascontiguousarray(np.moveaxis(out, 0, -1))


def _place(request: Request, model: FaceModel, track: Track, frame: U8) -> F64:
    """Return f64[2, 3], from the drawing's 224 pixels to the frame, centres at integers."""
    assert request.coefficients is not None
    for size in (face.SIZE, OUT):
        if frame.shape[:2] == (size, size) and not request.points:
            return _scaled(np.eye(2, 3), size / face.SIZE)  # the clip is of crops
    stored = request.coefficients / PLACE_FILE
    if stored.is_file():
        width, height, left, top = _stored_place(stored)
        middle = (left + width / 2, top + height / 2)
        if not (0 <= middle[0] < frame.shape[1] and 0 <= middle[1] < frame.shape[0]):
            raise ImportRefused(
                f"{stored} places the face at {middle}, outside of the clip of {frame.shape[1]}x"
                f"{frame.shape[0]} pixels: they are not of one another."
            )
        across, down = width / face.SIZE, height / face.SIZE
        return np.array(
            [[across, 0.0, left + (across - 1.0) / 2], [0.0, down, top + (down - 1.0) / 2]]
        )
    points = landmarks_of(request, frame, "the clip's first frame")
    drawn = landmarks(model, track.coefficients[0])
    return placed(frame, points, drawn).place.astype(np.float64)


def _stored_place(path: Path) -> list[float]:
    """Return width, height, left and top of the crop, as the program keeps them."""
    try:
        if path.stat().st_size > MOST_PLACE_BYTES:
            raise ImportRefused(f"{path} is larger than four numbers are.")
        values = np.load(path, allow_pickle=False)
    except OSError as error:
        raise ImportRefused(f"{path} cannot be read: {(error.strerror or '').lower()}.") from None
    except (ValueError, EOFError, SyntaxError):
        raise ImportRefused(f"{path} is no array of numbers.") from None
    if values.dtype.kind not in "fiu" or values.size != 4 or not np.isfinite(values).all():
        raise ImportRefused(f"{path} must hold the width, height, left and top of the crop.")
    numbers = [float(value) for value in values.ravel()]
    if min(numbers[:2]) < 8 or max(abs(number) for number in numbers) > 1e4:
        raise ImportRefused(f"{path} does not place a crop in a picture: {numbers}.")
    return numbers


def _of_crop(to_frame: F64) -> F64:
    return _scaled(to_frame, face.SIZE / OUT)


def _of_drawing(to_frame: F64) -> F64:
    return _scaled(to_frame, OUT / face.SIZE)


def _scaled(to_frame: F64, ratio: float) -> F64:
    """Return the way of a crop each pixel of which is as wide as `ratio` of the given one's."""
    moved = to_frame.copy()
    moved[:, 2] += to_frame[:, :2] @ np.full(2, (ratio - 1.0) / 2.0)
    moved[:, :2] *= ratio
    return moved
