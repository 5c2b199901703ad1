"""A Basel face drawn as texture coordinates, and what of the picture is not the face."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from visavis.models.systems.bfm import camera
from visavis.models.systems.headpose.face import DISTANCE, FOCAL, SIZE
from visavis.models.systems.interpolation import interpolated
from visavis.models.systems.regions import flooded

__all__ = ["CAMERA", "background", "drawn", "levels"]

# `headpose`'s face and camera, but for a far plane that cuts nothing.
CAMERA = camera(
    distance=DISTANCE,
    up=1.0,
    fov_y=math.degrees(2.0 * math.atan(SIZE / 2.0 / FOCAL)),
    near=0.01,
    far=50.0,
)
LEVEL = np.float32(255.0)


def drawn(
    ids: NDArray[np.int32],
    barycentric: NDArray[np.float32],
    triangles: NDArray[np.integer],
    uv: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return texture coordinates f32[H, W, 2], 0 to 255, row 0 at the top, 0 where no face is.

    Args:
        ids, barycentric, triangles: as `interpolated`; row 0 at the bottom.
        uv: f32[V, 2], 0 to 1.
    """
    picture = interpolated(ids, barycentric, triangles, uv * LEVEL, -1.0)
    return np.ascontiguousarray(picture[::-1]).clip(0.0, LEVEL)


def levels(coordinates: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return u8[H, W, 2], rounded as the original's pictures are, half to even.

    The original goes on to code them as video, and was trained on what came back. Their picture has
    a third channel, 128 where the face is.
    """
    return np.rint(coordinates).astype(np.uint8)


def background(levels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return bool[H, W], what is not the head: no face and connected with the first such pixel.

    An open mouth, where no face is either, is enclosed and does not count.

    Args:
        levels: u8[H, W, 2 or more].
    """
    empty = levels[..., 0] == 0
    first = np.zeros(empty.shape, bool)
    if empty.any():
        first.flat[int(np.argmax(empty))] = True
    return flooded(empty, first, diagonal=True)
