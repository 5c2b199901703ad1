"""The picture of a person of `davs`: its face as the network takes it, and where that lies.

The network was trained on faces whose eyes and mouth are at fixed places, 256 pixels square. The
photograph stays what it is; the face is cut out of it, and pasted back where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.export.imports.crops import crop, inverted, similarity
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.request import Request

__all__ = ["ALIGNED", "SIZE", "Aligned", "align", "as_input", "is_aligned", "seen"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

SIZE = 256
ALIGNED = (256, 260)  # sides of pictures that the original's own program aligned
LONGEST = 1024  # side of the frame
NEAR = 8.0  # pixels, by which another tracker may see the points of an aligned picture elsewhere
# The published program puts the eyes and the middle of the mouth at these pixels of a picture of
# 356 x 436, cuts 268 pixels square from (44, 104) on, makes that 260 and leaves out two at each
# side.
_PLACES = np.array([[140.0, 224.0], [220.0, 224.0], [180.0, 300.0]])
_TARGET = (_PLACES - [44.0, 104.0] + 0.5) * (260.0 / 268.0) - 2.5
# Of the usual 68 points: the eyes, and the corners of the mouth.
_LEFT, _RIGHT, _CORNERS = slice(36, 42), slice(42, 48), [48, 54]


@dataclass(frozen=True, slots=True)
class Aligned:
    """A face, and the picture around it.

    Attributes:
        face: uint8[256, 256, 3], red, green, blue.
        frame: uint8[H, W, 3], the whole picture; H and W are even.
        place: f32[2, 3], from (x, y, 1) in the face to the frame, pixels, centres at integers.
    """

    face: U8
    frame: U8
    place: F32


def is_aligned(image: U8) -> bool:
    """Whether a picture has the size of those that the original's own program aligned."""
    return image.shape[0] == image.shape[1] and image.shape[0] in ALIGNED


def seen(request: Request, pictures: Sequence[U8]) -> Sequence[F32 | None] | None:
    """Return the 68 points of each face, None where a picture shows none.

    None in all where there is no tracker to look; where the pictures may be aligned ones, that is
    no reason to refuse them.

    Raises:
        ImportRefused: the tracker does not run, and the pictures are not aligned.
    """
    if request.find_points is None:
        return None
    try:
        return request.find_points(np.stack(pictures))
    except ImportRefused:
        if not all(map(is_aligned, pictures)):
            raise
        return None


def align(image: U8, points: Sequence[Sequence[float]] | NDArray[np.floating]) -> Aligned:
    """Cut the face out of a picture.

    Args:
        image: uint8[H, W, 3], red, green, blue.
        points: of the face, (x, y) in pixels: the usual 68; or 5, the eyes, the nose and the
            corners of the mouth; or 3, the eyes and the middle of the mouth. None at all where the
            picture is aligned, 256 or 260 pixels square.

    Raises:
        ImportRefused: there are no such points.
    """
    edge = (image.shape[0] - SIZE) // 2
    three = _TARGET + edge
    if len(points):
        three = _three(np.asarray(points, np.float64), image)
    elif not is_aligned(image):
        raise ImportRefused(
            f"No face is known in the picture of {image.shape[1]} by {image.shape[0]} pixels: give "
            "the points of the face, or a picture that davs's own program aligned, 256 pixels "
            "square."
        )
    if is_aligned(image) and np.abs(three - _TARGET - edge).max() < NEAR:
        face = np.ascontiguousarray(image[edge : edge + SIZE, edge : edge + SIZE])
        return Aligned(face, face, np.eye(2, 3, dtype=np.float32))
    frame, shrunk = _fitted(image, LONGEST)
    to_face = similarity((three + 0.5) * shrunk - 0.5, _TARGET)
    face = crop(image, similarity(three, _TARGET), SIZE)
    return Aligned(face, frame, inverted(to_face).astype(np.float32))


def as_input(face: U8) -> Tensor:
    """Return f32[1, 3, 256, 256], 0 to 1, of uint8[256, 256, 3]."""
    return torch.from_numpy(face.astype(np.float32) / 255.0).permute(2, 0, 1)[None].contiguous()


def _three(points: NDArray[np.float64], image: U8) -> NDArray[np.float64]:
    """The eyes and the middle of the mouth, f64[3, 2]."""
    if points.shape == (68, 2):
        three = np.stack((points[_LEFT].mean(0), points[_RIGHT].mean(0), points[_CORNERS].mean(0)))
    elif points.shape == (5, 2):
        three = np.stack((points[0], points[1], points[3:].mean(0)))
    elif points.shape == (3, 2):
        three = points
    else:
        raise ImportRefused(
            "A face has 68 points, or 5 (eyes, nose, corners of the mouth), or 3 (eyes, middle of "
            f"the mouth); here are numbers of shape {points.shape}."
        )
    height, width = image.shape[:2]
    inside = np.isfinite(three).all() and (three >= 0.0).all() and (three < [width, height]).all()
    between = np.linalg.norm(three[1] - three[0]) if inside else 0.0
    below = (three[2] - three[:2].mean(0)) @ [-(three[1] - three[0])[1], (three[1] - three[0])[0]]
    if between < 8.0 or below <= 0.0:
        raise ImportRefused(
            "The points of the face do not lie as eyes and a mouth do: the left eye in the picture "
            "first, the right one, the mouth below them, all within the picture."
        )
    return three


def _fitted(image: U8, longest: int) -> tuple[U8, NDArray[np.float64]]:
    """The picture with even sides no longer than that, and by what x and y were multiplied."""
    height, width = image.shape[:2]
    # An odd row or column is left out before: then a picture that is small enough stays as it is.
    image = image[: height // 2 * 2, : width // 2 * 2]
    height, width = image.shape[:2]
    factor = min(1.0, longest / max(height, width))
    if factor == 1.0:
        return np.ascontiguousarray(image), np.ones(2)
    new = [max(2, 2 * round(side * factor / 2)) for side in (width, height)]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    small = frame.reformat(width=new[0], height=new[1], format="rgb24", interpolation="AREA")
    return small.to_ndarray().astype(np.uint8, copy=False), np.array(new) / [width, height]
