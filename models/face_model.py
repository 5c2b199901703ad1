"""A morphable face model: shape and colour of a face as linear functions of a few numbers.

V. Blanz, T. Vetter, "A morphable model for the synthesis of 3D faces", 1999. Here are arrays and
what is computed from them; whose model it is, and from which file, is the caller's business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

__all__ = ["FaceModel", "harmonics", "normals", "rotation", "shade"]


@dataclass(frozen=True, slots=True)
class FaceModel:
    """A model of V vertices, T triangles.

    Axes are x right in the picture, y down, z away from the camera; the unit is the model's own.
    Components are scaled so that a coefficient of 1 is one standard deviation.

    Attributes:
        mean: f32[V, 3].
        identity: f32[I, V, 3], what people differ in.
        expression: f32[E, V, 3], what a face does.
        colour: f32[V, 3], mean albedo, red, green, blue, 0 to 255.
        colours: f32[B, V, 3], what albedo differs in.
        triangles: int64[T, 3], so that the normals of `normals` point outward.
        landmarks: int64[68], vertices of the usual 68 points.
    """

    mean: Tensor
    identity: Tensor
    expression: Tensor
    colour: Tensor
    colours: Tensor
    triangles: Tensor
    landmarks: Tensor

    def to(self, device: torch.device | str) -> FaceModel:
        """Return the model on another device."""
        return FaceModel(*(getattr(self, field.name).to(device) for field in fields(self)))

    def shape(self, identity: Tensor, expression: Tensor) -> Tensor:
        """Return vertices f32[..., V, 3].

        Args:
            identity: f32[..., I]; expression: f32[..., E]; both broadcast.
        """
        return self.mean + _sum(identity, self.identity) + _sum(expression, self.expression)

    def albedo(self, colours: Tensor) -> Tensor:
        """Return albedo f32[..., V, 3] of f32[..., B], 0 to 255 and not clipped."""
        return self.colour + _sum(colours, self.colours)


def _sum(weights: Tensor, basis: Tensor) -> Tensor:
    """Return f32[..., V, 3] of weights f32[..., K] and a basis f32[K, V, 3]."""
    flat = weights @ basis.flatten(1)
    return flat.reshape(*weights.shape[:-1], *basis.shape[1:])


def normals(vertices: Tensor, triangles: Tensor) -> Tensor:
    """Return unit normals f32[..., V, 3]: those of the triangles around, by their area.

    Args:
        vertices: f32[..., V, 3]; triangles: int64[T, 3].
    """
    a, b, c = (vertices[..., triangles[:, k], :] for k in range(3))
    faces = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(vertices)
    for k in range(3):
        total = total.index_add(-2, triangles[:, k], faces)
    return torch.nn.functional.normalize(total, dim=-1, eps=1e-12)


def rotation(vector: Tensor) -> Tensor:
    """Return matrices f32[..., 3, 3] of rotation vectors f32[..., 3] in radians."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1)
    skew = rows.reshape(*vector.shape[:-1], 3, 3)
    turned: Tensor = torch.linalg.matrix_exp(skew)
    return turned


# The harmonics of a clamped cosine (R. Ramamoorthi, P. Hanrahan, "An efficient representation for
# irradiance environment maps", 2001), each band with the factor that Deng et al. give it.
_BAND_0 = math.pi / math.sqrt(4.0 * math.pi)
_BAND_1 = 2.0 * math.pi / math.sqrt(3.0) * math.sqrt(3.0 / (4.0 * math.pi))
_BAND_2 = 2.0 * math.pi / math.sqrt(8.0) * 3.0 * math.sqrt(5.0 / (12.0 * math.pi))


def harmonics(normal: Tensor) -> Tensor:
    """Return f32[..., 9], the shares of nine spherical harmonics of light in what a surface gets.

    Order, signs and size are those of Y. Deng et al., "Accurate 3D face reconstruction with weakly-
    supervised learning", 2019, whose y is up and z towards the camera; so their light means the
    same here.

    Args:
        normal: f32[..., 3], unit, in the axes of `FaceModel`.
    """
    x, y, z = normal[..., 0], -normal[..., 1], -normal[..., 2]
    return torch.stack(
        [
            0.0 * x + _BAND_0,  # not filled: that is exported with the shape of what runs
            -_BAND_1 * y,
            _BAND_1 * z,
            -_BAND_1 * x,
            _BAND_2 * x * y,
            -_BAND_2 * y * z,
            _BAND_2 * (0.5 / math.sqrt(3.0)) * (3.0 * z * z - 1.0),
            -_BAND_2 * x * z,
            _BAND_2 * 0.5 * (x * x - y * y),
        ],
        dim=-1,
    )


def shade(albedo: Tensor, normal: Tensor, light: Tensor) -> Tensor:
    """Return colours f32[..., V, 3] under a light, 0 to 255 and not clipped.

    Args:
        albedo: f32[..., V, 3]; normal: f32[..., V, 3]; light: f32[..., 9, 3].
    """
    return albedo * (harmonics(normal) @ light)
