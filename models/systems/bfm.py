"""What the systems that draw a Basel face share: its axes, rotations, light and cameras.

The model itself is `models.face_model.FaceModel`, in our axes. The systems compute in Basel's: x
right in the picture, y up, z towards the viewer (P. Paysan et al., "A 3D face model for pose and
illumination invariant face recognition", 2009). Light is that of Y. Deng et al., "Accurate 3D face
reconstruction with weakly-supervised learning", 2019.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from visavis.models.face_model import shade

__all__ = ["camera", "euler", "lit", "turned"]


def turned(points: Tensor) -> Tensor:
    """Return points f[..., 3] of our axes in Basel's, or the other way: half a turn about x."""
    return points * points.new_tensor([1.0, -1.0, -1.0])


def euler(angles: Tensor) -> Tensor:
    """Return rotations f[..., 3, 3] for columns: about x first, then y, then z.

    Args:
        angles: f[..., 3], about x, y and z, radians.
    """
    (sx, sy, sz), (cx, cy, cz) = torch.sin(angles).unbind(-1), torch.cos(angles).unbind(-1)
    rows = [
        [cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz],
        [cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz],
        [-sy, sx * cy, cx * cy],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def lit(albedo: Tensor, normals: Tensor, light: Tensor, ambient: float) -> Tensor:
    """Return colours f[..., V, 3] under a light; the unit is the albedo's, nothing is clipped.

    Args:
        albedo: f[..., V, 3].
        normals: f[..., V, 3], unit, in Basel's axes.
        light: f[..., 9, 3], what nine spherical harmonics add, red, green, blue.
        ambient: what the first has anyway.
    """
    whole = torch.cat([light[..., :1, :] + ambient, light[..., 1:, :]], dim=-2)
    return shade(albedo, turned(normals), whole)


def camera(distance: float, up: float, fov_y: float, near: float, far: float) -> Tensor:
    """Return f64[4, 4] from columns (x, y, z, 1) to clip space: a camera that sees a square.

    Args:
        distance: of the camera, which stands on the z axis and looks at the origin.
        up: 1 where the picture's y grows with y. At -1 it stands on its head, so that what is up
            has the smallest y in clip space and comes first in a picture's rows.
        fov_y: degrees.
        near, far: distances from the camera that are drawn, as in OpenGL's gluPerspective.
    """
    view = torch.diag(torch.tensor([up, up, 1.0, 1.0], dtype=torch.float64))
    view[2, 3] = -distance
    focal = 1.0 / math.tan(math.radians(fov_y) / 2.0)
    depth = near - far
    projection = torch.zeros(4, 4, dtype=torch.float64)
    projection[0, 0] = projection[1, 1] = focal
    projection[2, 2], projection[2, 3] = (far + near) / depth, 2.0 * far * near / depth
    projection[3, 2] = -1.0
    return projection @ view
