"""What a person of `rhythmic` is shown by: footage or a picture, and the reference pictures.

The network makes the whole square around the face. A clip is that square already; a picture is cut,
and the square laid back into it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.sketch import LANDMARKS, POSE, draw_sketch
from visavis.export.imports.crops import crop, inverted
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.landmarks import landmarks_of
from visavis.export.imports.pictures import read_clip, read_image
from visavis.export.imports.request import Request
from visavis.export.imports.rhythmic_track import (
    landmarks_file,
    read_landmarks,
    read_track,
    rotation_to,
)
from visavis.models.systems.rhythmic.person import PersonReferences

__all__ = ["Footage", "read_footage", "read_references", "sketch_of"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

MOST_FRAMES = 500  # of a clip, where nobody says how many
SLACK = 2  # frames that a clip and its landmarks may differ by
SHOTS = 8  # of the older layout, which takes any number
MOST_REFERENCES = 32
AROUND = 2.0  # times the height of the landmarks, the square that is cut out of a picture
LONGEST = 2048  # pixels of a picture's side
# Eyes and mouth, which are not to be taken over from a reference: landmarks, pixels around them.
_HIDDEN = ((range(36, 42), 2), (range(42, 48), 2), ((48, 50, 51, 54, 57), 5))
PUBLISHED = 256


@dataclass(frozen=True, slots=True)
class Footage:
    """The person's own frames, in pixels of a crop of S.

    Attributes:
        frames: RGB uint8[H, W, 3], T of them.
        crops: T squares of the face, RGB uint8[S, S, 3].
        place: f32[T, 2, 3], from the crop to the frame.
        points, front: f64[T, 68, 3], landmarks and how they are seen from the front.
        pose: f64[T, 6].
        whole: the crop is the frame.
    """

    frames: list[U8]
    crops: list[U8]
    place: F32
    points: F64
    front: F64
    pose: F64
    whole: bool


def read_footage(request: Request, size: int) -> Footage:
    """Read the clip or the picture.

    Raises:
        ImportRefused: there is none, or no landmarks fit it.
    """
    if (request.image is None) == (request.clip is None):
        raise ImportRefused(
            "rhythmic makes a person of a picture (--image) or of a clip of the face's square "
            "crop, X_aligned.mp4 (--clip): give one of them."
        )
    return _of_image(request, size) if request.clip is None else _of_clip(request, size)


def _of_clip(request: Request, size: int) -> Footage:
    assert request.clip is not None
    if request.coefficients is None:
        raise ImportRefused(
            "rhythmic needs the landmarks of the clip, X_aligned.npy, X_aligned_rt.npy and "
            "X_aligned_front.npy: give their folder with --coefficients."
        )
    most = request.frames or MOST_FRAMES
    frames = list(read_clip(request.clip, most))
    height, width = frames[0].shape[:2]
    if height != width:
        raise ImportRefused(
            f"The clip of rhythmic is the square crop around the face, as its preprocessing cuts "
            f"it; {request.clip.name} is {width} by {height} pixels."
        )
    track = read_track(request.coefficients, request.clip, width).scaled(size / width)
    known = len(track.points)
    if len(frames) < min(most, known) - SLACK or known < len(frames) - SLACK:
        raise ImportRefused(
            f"{request.clip.name} has {len(frames)} frames, and there are landmarks of {known}."
        )
    count = min(len(frames), known)
    scale = width / size
    place = np.array([[scale, 0.0, 0.0], [0.0, scale, 0.0]])
    place[:, 2] = (scale - 1.0) / 2.0
    track, frames = track.first(count), frames[:count]
    return Footage(
        frames=frames,
        crops=[crop(frame, inverted(place), size) for frame in frames],
        place=np.repeat(place[None].astype(np.float32), count, axis=0),
        points=track.points,
        front=track.front,
        pose=track.pose,
        whole=True,
    )


def _of_image(request: Request, size: int) -> Footage:
    """A picture is its own front view: nothing is turned."""
    assert request.image is not None
    image = read_image(request.image)
    height, width = image.shape[:2]
    if max(height, width) > LONGEST:
        raise ImportRefused(
            f"{request.image.name} is {width} by {height} pixels; a picture may be {LONGEST}."
        )
    points = _points_of(request, request.image, image, request.image.name)
    if not ((points[:, :2] >= 0).all() and (points[:, :2] <= [width, height]).all()):
        raise ImportRefused(f"Landmarks of {request.image.name} lie outside of it.")
    whole = height == width == size
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    if not (high - low).min() > 8.0:
        raise ImportRefused(f"The landmarks of {request.image.name} are no face: all in a line.")
    side = float(size) if whole else AROUND * float(high[1] - low[1])
    scale = side / size
    corner = np.zeros(2) if whole else (low + high - side) / 2.0
    place = np.array([[scale, 0.0, corner[0]], [0.0, scale, corner[1]]])
    cut = points.copy()
    cut[:, :2] = (points[:, :2] - corner) / scale
    cut[:, 2] = points[:, 2] / scale
    return Footage(
        frames=[image],
        crops=[crop(image, inverted(place), size)],
        place=place[None].astype(np.float32),
        points=cut[None],
        front=cut[None],
        pose=np.zeros((1, POSE)),
        whole=whole,
    )


def _points_of(request: Request, path: Path, image: U8, what: str) -> F64:
    """Landmarks of a picture f64[68, 3]: as given, from a file beside it, or as they are found."""
    file = None if request.points else landmarks_file(path, _folders(request))
    if file is not None:
        return read_landmarks(file)
    points = landmarks_of(request, image, what)
    if points.shape != (LANDMARKS, 2):
        raise ImportRefused(
            f"rhythmic draws a face of {LANDMARKS} landmarks; {len(points)} points were given."
        )
    return np.column_stack((points, np.zeros(LANDMARKS)))


def read_references(
    request: Request, shots: int | None, footage: Footage, size: int, say: Callable[[str], None]
) -> PersonReferences:
    """Return the pictures that the network is shown of the person.

    Args:
        shots: how many the weights are for; None for any number.
        footage: of the person, whose frames are taken where no pictures are given.

    Raises:
        ImportRefused: another number was given, or one has no landmarks.
    """
    if request.references:
        given = len(request.references)
        _check_count(given, shots, f"{given} were given with --references")
        images, points, poses = _pictures(request, footage, size, say)
    else:
        wanted = shots or min(SHOTS, len(footage.frames))
        _check_count(
            min(wanted, len(footage.frames)), shots, f"the footage has {len(footage.frames)}"
        )
        chosen = _spread(footage.pose, wanted)
        images = [footage.crops[k] for k in chosen]
        points = [footage.points[k] for k in chosen]
        poses = [footage.pose[k] for k in chosen]
    hidden = [_without_eyes_and_mouth(image, at) for image, at in zip(images, points, strict=True)]
    return PersonReferences(
        images=_tensor(np.stack(images).astype(np.float32) / 127.5 - 1.0),
        sketches=torch.from_numpy(np.stack([sketch_of(at, size) for at in points])),
        hidden=_tensor(np.stack(hidden)),
        rotations=torch.from_numpy(np.stack(poses)[:, :3].astype(np.float32)),
    )


def _check_count(given: int, shots: int | None, words: str) -> None:
    if shots is not None and given != shots:
        raise ImportRefused(
            f"This generator is for {shots} reference picture{'s' if shots > 1 else ''}, which its "
            f"layer atten1 shows; {words}."
        )
    if given > MOST_REFERENCES:
        raise ImportRefused(f"A person is shown by at most {MOST_REFERENCES} references; {words}.")


def _pictures(
    request: Request, footage: Footage, size: int, say: Callable[[str], None]
) -> tuple[list[U8], list[F64], list[F64]]:
    images, points, poses = [], [], []
    front = footage.front.mean(0)
    flat = False
    for path in request.references:
        image = read_image(path)
        if not request.find_points and landmarks_file(path, _folders(request)) is None:
            raise ImportRefused(
                f"The reference {path.name} has no landmarks: {path.stem}.npy, [{LANDMARKS}, 3], "
                "is neither beside it nor in the folder of --coefficients."
            )
        # The points of a request are those of its picture, not of a reference.
        at = _points_of(replace(request, points=()), path, image, path.name)
        height, width = image.shape[:2]
        if height != width:
            raise ImportRefused(
                f"A reference of rhythmic is the square crop around the face; {path.name} is "
                f"{width} by {height} pixels."
            )
        scale = size / width
        matrix = np.array([[scale, 0.0, (scale - 1) / 2], [0.0, scale, (scale - 1) / 2]])
        images.append(crop(image, matrix, size))
        points.append(at * scale)
        flat = flat or not np.ptp(at[:, 2]) or not np.ptp(front[:, 2])
        poses.append(np.zeros(POSE) if flat else rotation_to(front, at * scale))
    if flat and len(images) > 1:
        say(
            "Landmarks without depth do not say how a head is turned, so that the first reference "
            "is warped always."
        )
        poses = [np.zeros(POSE)] * len(images)
    return images, points, poses


def _spread(pose: F64, count: int) -> list[int]:
    """One frame is the one whose head is turned least unusually; several are apart in time."""
    if count > 1:
        return [int(k) for k in np.linspace(0, len(pose) - 1, count).round()]
    turned = pose[:, :3]
    return [int(np.abs(turned - np.median(turned, axis=0)).sum(1).argmin())]


def _without_eyes_and_mouth(image: U8, points: F64) -> F32:
    """The picture, -1 to 1, with eyes and mouth at -1."""
    size = len(image)
    shown = image.astype(np.float32) / 127.5 - 1.0
    for landmarks, around in _HIDDEN:
        pixels = max(1, round(around * size / PUBLISHED))
        at = points[list(landmarks), :2]
        low = np.maximum(0, (at.min(0) - pixels).astype(int))
        high = np.minimum(size - 1, (at.max(0) + pixels).astype(int))
        shown[low[1] : high[1], low[0] : high[0]] = -1.0
    return shown


def sketch_of(points: F64, size: int) -> F32:
    """Return the sketch f32[1, S, S] of landmarks [68, 2 or more]."""
    drawn = np.zeros((1, size, size), np.float32)
    draw_sketch(points, drawn[0])
    return drawn


def _folders(request: Request) -> list[Path]:
    folder = request.coefficients
    if folder is None:
        return []
    return [folder if folder.is_dir() else folder.parent]


def _tensor(pictures: F32) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
