"""Points on a model's surface, where they are in a picture, and how that depends on everything.

The camera is the engine's: weak perspective, pixels = scale * (rotation @ point)[:2] + shift. A
perspective camera would have to be turned into that again before the person can be shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from visavis.models.face_model import FaceModel

__all__ = ["POSE", "Poses", "Surface", "on_surface", "pose_jacobian", "shape_jacobian"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

POSE = 6  # numbers of a pose's step: turn about x, y, z in radians; log scale; shift in pixels


@dataclass(frozen=True, slots=True)
class Poses:
    """Where a head is in N frames.

    Attributes:
        rotation: f64[N, 3, 3]; scale: f64[N], pixels in the model's unit; shift: f64[N, 2], pixels.
    """

    rotation: F64
    scale: F64
    shift: F64

    def __len__(self) -> int:
        return len(self.scale)

    def of(self, frames: I64 | slice) -> Poses:
        """Return the poses of some frames."""
        return Poses(self.rotation[frames], self.scale[frames], self.shift[frames])

    def turned(self, frame: int, points: NDArray[np.floating]) -> F64:
        """Return points f64[P, 3] in pixels, before the shift."""
        moved: F64 = self.scale[frame] * (points @ self.rotation[frame].T)
        return moved

    def step(self, frame: int, step: F64) -> None:
        """Change the pose of a frame by f64[6], see `POSE`; it turns about the model's origin."""
        self.rotation[frame] = Rotation.from_rotvec(step[:3]).as_matrix() @ self.rotation[frame]
        self.scale[frame] *= np.exp(step[3])
        self.shift[frame] += step[4:]

    def copy(self) -> Poses:
        """Return poses that can be changed."""
        return Poses(self.rotation.copy(), self.scale.copy(), self.shift.copy())


@dataclass(frozen=True, slots=True)
class Surface:
    """P points of a model's surface, linear in its coefficients.

    Attributes:
        mean: f32[P, 3]; identity: f32[P, 3, I]; expression: f32[P, 3, E].
    """

    mean: F32
    identity: F32
    expression: F32

    def of_person(self, identity: F64) -> Surface:
        """Return the surface of one identity f64[I]; it has no identity components."""
        mean = (self.mean + self.identity @ identity).astype(np.float32)
        return replace(self, mean=mean, identity=self.identity[:, :, :0])

    def shape(self, identity: F64, expression: F64) -> F64:
        """Return f64[P, 3]."""
        shape: F64 = self.mean + self.identity @ identity + self.expression @ expression
        return shape


def on_surface(model: FaceModel, triangle: I64, barycentric: NDArray[np.floating]) -> Surface:
    """Return points of a model by triangle int64[P] and barycentric coordinates f[P, 3]."""
    corners = model.triangles.numpy()[triangle]
    share = barycentric.astype(np.float32)

    def mixed(basis: F32) -> F32:
        out = np.stack([np.einsum("pk,pkc->pc", share, part[corners]) for part in basis], axis=-1)
        return np.ascontiguousarray(out, np.float32)

    return Surface(
        mean=mixed(model.mean.numpy()[None])[..., 0],
        identity=mixed(model.identity.numpy()),
        expression=mixed(model.expression.numpy()),
    )


def pose_jacobian(turned: F64) -> F64:
    """Return f64[P, 2, 6], how pixels change with a step of the pose.

    Args:
        turned: f64[P, 3], of `Poses.turned`.
    """
    x, y, z = turned.T
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows = [np.stack([zero, z, -y, x, one, zero]), np.stack([-z, zero, x, y, zero, one])]
    return np.stack(rows).transpose(2, 0, 1)


def shape_jacobian(basis: F32, poses: Poses, frame: int) -> F32:
    """Return f32[P, 2, K], how pixels change with the coefficients of f32[P, 3, K]."""
    camera = (poses.scale[frame] * poses.rotation[frame][:2]).astype(np.float32)
    moved: F32 = camera @ basis
    return moved
