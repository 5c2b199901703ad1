"""`headpose`'s face: 257 coefficients, where they put a Basel face, how it is lit and drawn.

Y. Deng et al., "Accurate 3D face reconstruction with weakly-supervised learning to image sets",
2019. `style_avatar` takes the same coefficients and draws with the same camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.models.face_model import FaceModel, normals
from visavis.models.systems.bfm import camera, euler, lit, turned
from visavis.models.systems.interpolation import interpolated
from visavis.models.systems.regions import holes

__all__ = [
    "CAMERA",
    "SIZE",
    "Coefficients",
    "Face",
    "clip_space",
    "drawn",
    "laid_over",
    "pixels",
    "posed",
    "shape",
    "shifted",
    "split",
]

SIZE = 224  # of the picture, pixels
FOCAL, DISTANCE = 1015.0, 10.0
AMBIENT = 0.8
# The far plane stands at z = 0 and hides what is behind it; the originals draw so.
CAMERA = camera(distance=DISTANCE, up=1.0, fov_y=12.5936, near=0.01, far=10.0)

U8 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Coefficients:
    """257 numbers of a face by what they mean, each f[..., K].

    Attributes:
        identity: K = 80. expression: 64. albedo: 80.
        angles: 3, about x, y and z, radians.
        light: 27, the harmonics of red, then of green, then of blue.
        translation: 3.
    """

    identity: Tensor
    expression: Tensor
    albedo: Tensor
    angles: Tensor
    light: Tensor
    translation: Tensor


@dataclass(frozen=True, slots=True)
class Face:
    """A face in front of the camera, in Basel's axes.

    Attributes:
        vertices: f[V, 3].
        normals: f[V, 3], unit.
        colours: f[V, 3], red, green, blue, 0 to 255 and not clipped.
    """

    vertices: Tensor
    normals: Tensor
    colours: Tensor


def split(coefficients: Tensor) -> Coefficients:
    """Name the parts of f[..., 257]."""
    return Coefficients(*torch.split(coefficients, [80, 64, 80, 3, 27, 3], -1))


def shape(model: FaceModel, identity: Tensor, expression: Tensor) -> Tensor:
    """Return vertices f[V, 3] before they are posed, in Basel's axes, around the mean's middle."""
    return turned(model.shape(identity, expression) - model.mean.mean(0))


def posed(model: FaceModel, coefficients: Tensor) -> Face:
    """Return the face of f[257]."""
    parts = split(coefficients)
    still = shape(model, parts.identity, parts.expression)
    matrix = euler(parts.angles)
    facing = normals(still, model.triangles) @ matrix.T
    light = parts.light.reshape(3, 9).T
    return Face(
        vertices=still @ matrix.T + parts.translation,
        normals=facing,
        colours=lit(model.albedo(parts.albedo), facing, light, AMBIENT),
    )


def clip_space(vertices: Tensor, matrix: Tensor = CAMERA) -> Tensor:
    """Return f[V, 4] of vertices f[V, 3]; row 0 of a raster, at y = -w, is the picture's last."""
    return torch.nn.functional.pad(vertices, (0, 1), value=1.0) @ matrix.to(vertices).T


def pixels(vertices: Tensor) -> Tensor:
    """Return f[V, 2], x and y in pixels from the top left corner, of vertices f[V, 3]."""
    scale = FOCAL / (DISTANCE - vertices[:, 2:])
    middle = SIZE / 2.0
    return middle + scale * vertices[:, :2] * vertices.new_tensor([1.0, -1.0])


def drawn(
    ids: NDArray[np.int32],
    barycentric: NDArray[np.float32],
    triangles: NDArray[np.integer],
    colours: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the face as red, green, blue and coverage, f32[H, W, 4], row 0 at the top.

    Covered is 1, the rest 0. A covered pixel whose three colours are negative counts as the rest,
    as in the original.

    Args:
        ids, barycentric, triangles: as `interpolated`; row 0 at the bottom.
        colours: f32[V, 3] of `Face`, 0 to 255.
    """
    picture = interpolated(ids, barycentric, triangles, colours / np.float32(255.0), -1.0)
    covered = picture.max(2) >= 0.0
    painted = np.where(covered[..., None], np.clip(picture, 0.0, 1.0), np.float32(0.0))
    whole = np.concatenate((painted, covered[..., None].astype(np.float32)), 2)
    return np.ascontiguousarray(whole[::-1])


def shifted(picture: U8, dx: float, dy: float) -> U8:
    """Return the picture u8[H, W, C] moved right and down, to whole pixels; 0 comes in."""
    height, width = picture.shape[:2]
    rows = np.asarray(np.floor(np.arange(height) + 0.5 - dy), np.int64)
    columns = np.asarray(np.floor(np.arange(width) + 0.5 - dx), np.int64)
    moved: U8 = picture[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)]
    moved[(rows < 0) | (rows >= height)] = 0
    moved[:, (columns < 0) | (columns >= width)] = 0
    return moved


def laid_over(face: U8, background: U8) -> U8:
    """Return u8[H, W, 3]: a drawn face over a picture. Holes of it, an open mouth, are black.

    Args:
        face: u8[H, W, 4], of `drawn`, 0 to 255.
        background: u8[H, W, 3].
    """
    coverage = face[..., 3] / 255.0
    coverage[holes(coverage > 0.0)] = 1.0
    share = coverage[..., None]
    mixed = background * (1.0 - share) + face[..., :3] * share
    return np.asarray(np.rint(mixed), np.uint8)
