"""The graph of `mesh@1`: a person's face model as one network, from coefficients to clip space.

What the person does not change is folded in: the shape of the identity, the albedo, the expressions
of the vertices that are drawn. The systems share Basel's axes and rotations (`models.systems.bfm`);
their cameras, and what their vertices carry, are given here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.models.systems.bfm import euler, lit

__all__ = ["FaceMesh", "Light", "Surface", "surface_of"]

ANGLES, TRANSLATION = slice(0, 3), slice(3, 6)


@dataclass(frozen=True, slots=True)
class Surface:
    """What is drawn of a face model, in Basel's axes.

    Attributes:
        still: f32[V, 3], the person's face at expression 0.
        basis: f32[E, V, 3], what expressions add.
        triangles: int64[T, 3], that are drawn, of these V vertices.
        used: int64[V], which vertices of the model these are.
        rings: int64[V, K], of the triangles around each vertex, T where there are no more. They may
            name triangles that are not drawn: light at the edge of what is drawn needs them.
        ring_triangles: int64[T', 3], those triangles.
    """

    still: Tensor
    basis: Tensor
    triangles: Tensor
    used: Tensor
    rings: Tensor
    ring_triangles: Tensor


@dataclass(frozen=True, slots=True)
class Light:
    """How colours are made, where vertices carry colours.

    Attributes:
        albedo: f32[V, 3], 0 to 255.
        ambient: what the first harmonic of light has anyway.
        fixed: f32[9, 3], the light; None where 27 numbers of the pose are it.
        harmonic_major: of those 27: three colours of the first harmonic first, not nine harmonics
            of red.
    """

    albedo: Tensor
    ambient: float
    fixed: Tensor | None = None
    harmonic_major: bool = False


def surface_of(
    still: Tensor, basis: Tensor, triangles: Tensor, drawn: Tensor | None = None
) -> Surface:
    """Keep of a face what is drawn.

    Args:
        still: f[V, 3]; basis: f[E, V, 3], in Basel's axes.
        triangles: int64[T, 3], all of them.
        drawn: bool[T]; all, where None.
    """
    kept = triangles if drawn is None else triangles[drawn]
    seen = torch.zeros(len(still), dtype=torch.bool)
    seen[kept.flatten()] = True
    # The normal of a vertex is that of all triangles around it, drawn or not.
    around = triangles[seen[triangles].any(dim=1)]
    held = seen.clone()
    held[around.flatten()] = True
    used = torch.nonzero(held)[:, 0]
    place = torch.full((len(still),), -1, dtype=torch.long)
    place[used] = torch.arange(len(used))
    around = place[around]
    return Surface(
        still=still[used].float(),
        basis=basis[:, used].float(),
        triangles=place[kept],
        used=used,
        rings=_rings(around.numpy(), len(used)),
        ring_triangles=around,
    )


def _rings(triangles: NDArray[np.int64], vertices: int) -> Tensor:
    corners = triangles.ravel()
    order = np.argsort(corners, kind="stable")
    count = np.bincount(corners, minlength=vertices)
    first = np.concatenate(([0], np.cumsum(count)[:-1]))
    rings = np.full((vertices, max(1, int(count.max(initial=1)))), len(triangles), np.int64)
    place = np.arange(len(order)) - np.repeat(first, count)
    rings[np.repeat(np.arange(vertices), count), place] = order // 3
    return torch.from_numpy(rings)


class FaceMesh(nn.Module):
    """From expressions and a pose to vertices in clip space, with what they carry.

    Args:
        surface: the person's.
        camera: f[4, 4], from columns (x, y, z, 1).
        carried: how the vertices are lit, or f32[V, A] that they always carry, 0 to 255.
        moved_first: the translation is subtracted before the head is turned, as `audiodvp` does;
            otherwise it is added afterwards.
    """

    def __init__(
        self,
        surface: Surface,
        camera: Tensor,
        carried: Light | Tensor,
        *,
        moved_first: bool = False,
    ) -> None:
        super().__init__()
        self.moved_first = moved_first
        count = len(surface.still)
        self.still = nn.Parameter(surface.still.reshape(1, -1), requires_grad=False)
        self.basis = nn.Parameter(surface.basis.flatten(1), requires_grad=False)
        self.camera = nn.Parameter(camera.float().T.contiguous(), requires_grad=False)
        self.ambient = 0.0
        self.light: Light | None = None
        if isinstance(carried, Tensor):
            self.carried = nn.Parameter(carried.float().reshape(1, count, -1), requires_grad=False)
            return
        self.light = carried
        self.carried = nn.Parameter(carried.albedo.float()[None], requires_grad=False)
        if carried.fixed is not None:
            self.fixed = nn.Parameter(carried.fixed.float()[None], requires_grad=False)
        self.around = surface.rings.shape[1]
        self.register_buffer("rings", surface.rings.flatten())
        for k in range(3):
            self.register_buffer(f"corner_{k}", surface.ring_triangles[:, k].contiguous())

    def forward(self, coefficients: Tensor, pose: Tensor) -> Tensor:
        """Return vertices f32[N, V, 4 + A].

        Args:
            coefficients: f32[N, E].
            pose: f32[N, 6 or more]: angles about x, y and z, radians; a translation; where the
                light is not fixed, 27 numbers of it.
        """
        shape = (self.still + coefficients @ self.basis).reshape(coefficients.shape[0], -1, 3)
        matrix = euler(pose[:, ANGLES]).transpose(1, 2)  # for rows
        moved = pose[:, None, TRANSLATION]
        placed = (shape - moved) @ matrix if self.moved_first else shape @ matrix + moved
        # Not joined with a column of ones: the last row of the matrix is what that would add.
        clip = placed @ self.camera[:3] + self.camera[3]
        if self.light is None:
            # Not `expand`, which is exported with the shape of what runs: no size is looked at.
            carried = self.carried + 0.0 * clip[..., :1]
        else:
            carried = lit(
                self.carried,
                self._normals(shape) @ matrix,
                self._light(pose),
                self.light.ambient,
            )
        return torch.cat((clip, carried), 2)

    def _normals(self, shape: Tensor) -> Tensor:
        """As `face_model.normals`, by what every vertex looks up: sums scatter in no graph."""
        a, b, c = (shape.index_select(1, self.get_buffer(f"corner_{k}")) for k in range(3))
        u, v = b - a, c - a
        faces = torch.stack(
            [
                u[..., 1] * v[..., 2] - u[..., 2] * v[..., 1],
                u[..., 2] * v[..., 0] - u[..., 0] * v[..., 2],
                u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0],
            ],
            dim=-1,
        )
        faces = torch.cat((faces, 0.0 * faces[:, :1]), 1)  # no size is looked at here, either
        gathered = faces.index_select(1, self.get_buffer("rings"))
        total = gathered.reshape(shape.shape[0], -1, self.around, 3).sum(2)
        length = total.square().sum(-1, keepdim=True).sqrt()
        return total / torch.clamp(length, min=1e-12)

    def _light(self, pose: Tensor) -> Tensor:
        assert self.light is not None
        if self.light.fixed is not None:
            return self.fixed
        numbers = pose[:, 6:33]
        if self.light.harmonic_major:
            return numbers.reshape(-1, 9, 3)
        return numbers.reshape(-1, 3, 9).transpose(1, 2)
