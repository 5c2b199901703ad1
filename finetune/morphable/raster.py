"""A differentiable rasterizer: which pixels a mesh covers, and how that moves with its vertices.

Visibility is found first and is not differentiated: a z-buffer, on the CPU the engine's own. Then
the barycentric coordinates of every covered pixel are computed from the vertices in torch, so what
is interpolated has gradients for vertices and attributes. The silhouette has none: a pixel does not
know that it would be covered if the mesh were wider (S. Laine et al., "Modular primitives for
high-performance differentiable rendering", 2020, add that by antialiasing). The tracked outline is
there for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from visavis.engines.raster import rasterize

__all__ = ["Fragments", "Rasterizer", "draw", "interpolate", "seen_by_torch"]

CANDIDATES = 1 << 22  # pixels of boxes around triangles that are tried at once


@dataclass(frozen=True, slots=True)
class Fragments:
    """P covered pixels of N pictures.

    Attributes:
        picture, row, column: int64[P].
        triangle: int64[P].
        barycentric: f32[P, 3], perspective correct, with gradients.
    """

    picture: Tensor
    row: Tensor
    column: Tensor
    triangle: Tensor
    barycentric: Tensor


class Rasterizer(Protocol):
    """What `draw` is, and what `nvdiffrast.Nvdiffrast` is."""

    def __call__(self, clip: Tensor, triangles: Tensor, height: int, width: int) -> Fragments:
        """Draw meshes.

        Args:
            clip: f32[N, V, 4], clip space; row 0 is at y = -w, column 0 at x = -w.
            triangles: int64[T, 3].
            height, width: in pixels.
        """


def draw(clip: Tensor, triangles: Tensor, height: int, width: int) -> Fragments:
    """Draw meshes; see `Rasterizer`. On a GPU, triangles wholly before the camera only."""
    ids = _visible(clip.detach(), triangles, height, width)
    picture, row, column = torch.nonzero(ids >= 0, as_tuple=True)
    triangle = ids[picture, row, column]
    corners = clip[picture[:, None], triangles[triangle]]
    x = (column.to(clip.dtype) + 0.5) * (2.0 / width) - 1.0
    y = (row.to(clip.dtype) + 0.5) * (2.0 / height) - 1.0
    return Fragments(picture, row, column, triangle, _barycentric(corners, x, y))


def interpolate(values: Tensor, triangles: Tensor, fragments: Fragments) -> Tensor:
    """Return values f32[P, C] at the covered pixels.

    Args:
        values: f32[N, V, C] or, the same in all pictures, f32[V, C].
        triangles: int64[T, 3].
        fragments: of `draw`.
    """
    corners = triangles[fragments.triangle]
    picture = () if values.ndim == 2 else (fragments.picture[:, None],)
    picked = values[(*picture, corners)]
    return (picked * fragments.barycentric[:, :, None]).sum(dim=1)


def _barycentric(corners: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return f[P, 3] at points f[P] of triangles f[P, 3, 4].

    The edge functions of `engines.raster`, whose shares they are, with the point as origin: then
    nothing cancels where a small triangle is far from the middle of the picture.
    """
    u = corners[..., 0] - x[:, None] * corners[..., 3]
    v = corners[..., 1] - y[:, None] * corners[..., 3]
    edges = torch.stack(
        [u[:, (k + 1) % 3] * v[:, (k + 2) % 3] - u[:, (k + 2) % 3] * v[:, (k + 1) % 3]
         for k in range(3)],
        dim=-1,
    )  # fmt: skip
    return edges / edges.sum(dim=-1, keepdim=True)


def _visible(clip: Tensor, triangles: Tensor, height: int, width: int) -> Tensor:
    """Return the nearest triangle of every pixel, int64[N, H, W], -1 where there is none."""
    if clip.device.type != "cpu":
        return seen_by_torch(clip, triangles, height, width)
    listed = triangles.numpy().astype(np.int32)
    seen = [rasterize(mesh.numpy(), listed, width, height)[0] for mesh in clip.float()]
    return torch.from_numpy(np.stack(seen).astype(np.int64))


def seen_by_torch(clip: Tensor, triangles: Tensor, height: int, width: int) -> Tensor:
    """The same in torch alone, on any device: boxes of triangles, pixel by pixel.

    Args:
        clip: f[N, V, 4] with w > 0; others as of `draw`.
    """
    return torch.stack([_seen(mesh, triangles, height, width) for mesh in clip])


def _seen(clip: Tensor, triangles: Tensor, height: int, width: int) -> Tensor:
    corners = clip[triangles]
    flat = corners[..., :2] / corners[..., 3:]
    size = torch.tensor([width, height], device=clip.device)
    low = torch.floor((flat.amin(1) + 1.0) * 0.5 * size).long() - 1
    high = torch.ceil((flat.amax(1) + 1.0) * 0.5 * size).long() + 1
    low, high = torch.clamp(low, min=0), torch.minimum(high, size)
    extent = torch.clamp(high - low, min=0)
    area = extent[:, 0] * extent[:, 1]
    area = torch.where((corners[..., 3] > 0.0).all(-1), area, 0)
    depth = torch.ones(height * width, dtype=clip.dtype, device=clip.device)
    ids = torch.full((height * width,), -1, dtype=torch.int64, device=clip.device)
    ends = torch.cumsum(area, 0)
    begin = 0
    while begin < len(triangles):
        before = int(ends[begin - 1]) if begin else 0
        end = int(torch.searchsorted(ends, before + CANDIDATES, right=True))
        end = max(end, begin + 1)
        _draw_part(corners, low, extent, area, begin, end, (height, width), depth, ids)
        begin = end
    return ids.reshape(height, width)


def _draw_part(
    corners: Tensor,
    low: Tensor,
    extent: Tensor,
    area: Tensor,
    begin: int,
    end: int,
    shape: tuple[int, int],
    depth: Tensor,
    ids: Tensor,
) -> None:
    """Draw the triangles `begin` to `end` over what is there; `depth` and `ids` are changed."""
    height, width = shape
    part = torch.arange(begin, end, device=ids.device)
    triangle = torch.repeat_interleave(part, area[begin:end])
    first = torch.cumsum(area[begin:end], 0) - area[begin:end]
    place = torch.arange(len(triangle), device=ids.device) - first[triangle - begin]
    column = low[triangle, 0] + place % extent[triangle, 0]
    row = low[triangle, 1] + place // extent[triangle, 0]
    x = (column.to(corners.dtype) + 0.5) * (2.0 / width) - 1.0
    y = (row.to(corners.dtype) + 0.5) * (2.0 / height) - 1.0
    shares = _barycentric(corners[triangle], x, y)
    z = (shares * corners[triangle][..., 2]).sum(-1) / (shares * corners[triangle][..., 3]).sum(-1)
    inside = (shares >= 0.0).all(-1) & (z >= -1.0) & (z <= 1.0)
    pixel, z, triangle = (row * width + column)[inside], z[inside], triangle[inside]
    depth.scatter_reduce_(0, pixel, z, "amin")
    nearest = z == depth[pixel]  # the later of two at the same depth, as in the engine
    ids.scatter_reduce_(0, pixel[nearest], triangle[nearest], "amax", include_self=True)
