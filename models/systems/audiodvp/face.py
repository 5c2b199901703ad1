"""`audiodvp`'s face: a Basel face, where it stands, how it is lit, and what of it is drawn.

Its conventions are its own: the shape is not centred, the translation is subtracted and before the
rotation, light is stored harmonic by harmonic, colours are 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from visavis.models.face_model import FaceModel, normals
from visavis.models.systems.bfm import camera, euler, lit, turned

__all__ = ["CAMERA", "SIZE", "Face", "clip_space", "lower_triangles", "pixels", "placed", "posed"]

SIZE = 256  # of the picture, pixels
AMBIENT = 0.7
LEVELS = 255.0  # of the model's albedo
CAMERA = camera(distance=8.0, up=-1.0, fov_y=25.0, near=0.01, far=100.0)


@dataclass(frozen=True, slots=True)
class Face:
    """A face in front of the camera, in Basel's axes.

    Attributes:
        vertices: f32[V, 3], the unit is the model's.
        normals: f32[V, 3], unit.
        colours: f32[V, 3], red, green, blue, 0 to 1 and not clipped.
    """

    vertices: Tensor
    normals: Tensor
    colours: Tensor


def posed(
    model: FaceModel,
    alpha: Tensor,
    delta: Tensor,
    beta: Tensor,
    gamma: Tensor,
    rotation: Tensor,
    translation: Tensor,
) -> Face:
    """Return the face of one frame's coefficients, by the names of the files they are stored in.

    Args:
        model: the face model.
        alpha: f32[80], identity; delta: f32[64], expression; beta: f32[80], albedo.
        gamma: f32[27], light: three colours of the first harmonic, then of the second, and so on.
        rotation: f32[3], angles about x, y, z, radians.
        translation: f32[3], where the head is.
    """
    shape = turned(model.shape(alpha, delta))
    matrix = euler(rotation)
    facing = normals(shape, model.triangles) @ matrix.T
    albedo = model.albedo(beta) / LEVELS
    return Face(
        vertices=placed(shape, rotation, translation),
        normals=facing,
        colours=lit(albedo, facing, gamma.reshape(9, 3), AMBIENT),
    )


def placed(shape: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """Return points f32[V, 3] where the camera sees them: moved, then turned.

    Args:
        shape: f32[V, 3], in Basel's axes; rotation, translation: f32[3], as `posed`.
    """
    return (shape - translation) @ euler(rotation).T


def clip_space(vertices: Tensor) -> Tensor:
    """Return f32[V, 4] of vertices f32[V, 3]; row 0 of the picture, its top, is at y = -w."""
    matrix = CAMERA.to(vertices)
    return torch.nn.functional.pad(vertices, (0, 1), value=1.0) @ matrix.T


def pixels(clip: Tensor) -> Tensor:
    """Return f32[V, 2], x and y in pixels from the top left corner, of clip space f32[V, 4]."""
    return (clip[:, :2] / clip[:, 3:] + 1.0) * (SIZE / 2.0)


def lower_triangles(model: FaceModel) -> Tensor:
    """Return bool[T], what the renderer is shown: triangles with a vertex below the mean height."""
    height = turned(model.mean)[:, 1]
    return (height < height.mean())[model.triangles].any(dim=1)
