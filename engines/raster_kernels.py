"""Loops over pixels, compiled by numba: one thread, without the interpreter's lock.

Arrays are C-contiguous and checked by the callers. Coordinates are in pixels, the middle of the
first pixel at (0.5, 0.5).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "blend_crop",
    "blend_frames",
    "draw_chroma",
    "draw_luma",
    "fill_triangles",
    "lip_distance",
    "mask_crop",
    "mix_texture",
]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I8 = NDArray[np.int8]
I32 = NDArray[np.int32]
_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(*, fast: bool) -> Callable[[_Function], _Function]:
    """Compile on first use and keep the result; `fast` lets sums be reordered."""
    jit = numba.njit(nogil=True, cache=True, fastmath=fast, error_model="numpy")
    return cast(Callable[[_Function], _Function], jit)


@compiled(fast=False)
def fill_triangles(
    clip: F32,  # [V, 4]
    triangles: I32,  # [T, 3]
    tolerance: np.float32,
    later_wins: bool,
    ids: I32,  # [H, W], changed
    barycentric: F32,  # [H, W, 3], changed
    depth: F32,  # [H, W], changed
) -> None:
    """Draw in index order with a depth test; see `raster.rasterize`."""
    height, width = ids.shape
    one, two, zero = np.float32(1), np.float32(2), np.float32(0)
    half = np.float32(0.5)
    for t in range(len(triangles)):
        i, j, k = triangles[t]
        x0, y0, z0, w0 = clip[i]
        x1, y1, z1, w1 = clip[j]
        x2, y2, z2, w2 = clip[k]
        if w0 <= zero and w1 <= zero and w2 <= zero:
            continue
        # Edge functions: rows of the inverse of [p0 p1 p2], up to the determinant.
        a0, b0, c0 = y1 * w2 - w1 * y2, w1 * x2 - x1 * w2, x1 * y2 - y1 * x2
        a1, b1, c1 = y2 * w0 - w2 * y0, w2 * x0 - x2 * w0, x2 * y0 - y2 * x0
        a2, b2, c2 = y0 * w1 - w0 * y1, w0 * x1 - x0 * w1, x0 * y1 - y0 * x1
        if x0 * a0 + x1 * a1 + x2 * a2 < zero:
            a0, b0, c0 = -a0, -b0, -c0
            a1, b1, c1 = -a1, -b1, -c1
            a2, b2, c2 = -a2, -b2, -c2
        left, right, low, high = 0, width, 0, height
        if w0 > zero and w1 > zero and w2 > zero:
            u0, u1, u2 = x0 / w0, x1 / w1, x2 / w2
            v0, v1, v2 = y0 / w0, y1 / w1, y2 / w2
            left = max(left, int(math.floor((min(u0, u1, u2) + one) * half * width)) - 1)
            right = min(right, int(math.ceil((max(u0, u1, u2) + one) * half * width)) + 1)
            low = max(low, int(math.floor((min(v0, v1, v2) + one) * half * height)) - 1)
            high = min(high, int(math.ceil((max(v0, v1, v2) + one) * half * height)) + 1)
        for row in range(low, high):
            py = two * ((row + half) / np.float32(height)) - one
            for column in range(left, right):
                px = two * ((column + half) / np.float32(width)) - one
                e0 = a0 * px + b0 * py + c0
                e1 = a1 * px + b1 * py + c1
                e2 = a2 * px + b2 * py + c2
                total = e0 + e1 + e2
                if e0 < -tolerance or e1 < -tolerance or e2 < -tolerance or total == zero:
                    continue
                e0, e1, e2 = e0 / total, e1 / total, e2 / total
                z = (e0 * z0 + e1 * z1 + e2 * z2) / (e0 * w0 + e1 * w1 + e2 * w2)
                nearest = depth[row, column]
                if not (z >= -one and z <= one and z <= nearest):
                    continue
                if z == nearest and not later_wins and ids[row, column] >= 0:
                    continue
                ids[row, column] = t
                barycentric[row, column, 0] = e0
                barycentric[row, column, 1] = e1
                barycentric[row, column, 2] = e2
                depth[row, column] = z


@compiled(fast=True)
def _sample(picture: U8, x: np.float32, y: np.float32) -> np.float32:
    """Sample between pixels, the edge's own value outside; -1 to 1 with 0 for 128."""
    height, width = picture.shape
    x = min(max(x - np.float32(0.5), np.float32(0)), np.float32(width - 1))
    y = min(max(y - np.float32(0.5), np.float32(0)), np.float32(height - 1))
    column, row = int(x), int(y)
    right, below = min(column + 1, width - 1), min(row + 1, height - 1)
    fx, fy = x - np.float32(column), y - np.float32(row)
    top = picture[row, column] * (np.float32(1) - fx) + picture[row, right] * fx
    bottom = picture[below, column] * (np.float32(1) - fx) + picture[below, right] * fx
    value: np.float32 = (top + (bottom - top) * fy - np.float32(128)) * np.float32(1 / 128)
    return value


@compiled(fast=True)
def _setup(
    xs: F32, ys: F32, us: F32, vs: F32, size: int, box: I32, edges: F32, texture: F32
) -> bool:
    """Prepare a triangle: its box of pixels, its edges and its texture coordinates as planes.

    Args:
        xs, ys: f32[3], corners in pixels of the target.
        us, vs: f32[3], corners in pixels of the texture.
        size: of the target.
        box: int32[4], set to left, right, top, bottom.
        edges: f32[3, 3], set to a, b, c of a x + b y + c, 0 to 1 inside.
        texture: f32[2, 3], set to the same of u and v.

    Returns:
        Whether there is anything to draw.
    """
    area = (xs[1] - xs[0]) * (ys[2] - ys[0]) - (xs[2] - xs[0]) * (ys[1] - ys[0])
    if abs(area) < np.float32(1e-6):
        return False
    box[0] = max(0, int(math.ceil(min(xs[0], xs[1], xs[2]) - np.float32(0.5))))
    box[1] = min(size, int(math.floor(max(xs[0], xs[1], xs[2]) - np.float32(0.5))) + 1)
    box[2] = max(0, int(math.ceil(min(ys[0], ys[1], ys[2]) - np.float32(0.5))))
    box[3] = min(size, int(math.floor(max(ys[0], ys[1], ys[2]) - np.float32(0.5))) + 1)
    if box[0] >= box[1] or box[2] >= box[3]:
        return False
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        edges[i, 0] = (ys[j] - ys[k]) / area
        edges[i, 1] = (xs[k] - xs[j]) / area
        edges[i, 2] = (xs[j] * ys[k] - xs[k] * ys[j]) / area
    for i in range(3):
        texture[0, i] = edges[0, i] * us[0] + edges[1, i] * us[1] + edges[2, i] * us[2]
        texture[1, i] = edges[0, i] * vs[0] + edges[1, i] * vs[1] + edges[2, i] * vs[2]
    return True


@compiled(fast=True)
def draw_luma(
    vertices: F32,  # [V, 3], pixels of the crop
    uv: F32,  # [V, 2], pixels of the texture
    triangles: I32,  # [T, 3], the farthest first
    picture: U8,  # [H, W], the texture's luma
    out: F32,  # [4, S/2, S/2], changed where a triangle is
) -> None:
    """Draw textured triangles in index order at full resolution, pixel-unshuffled by 2."""
    size = 2 * out.shape[1]
    xs, ys, us, vs = np.empty((4, 3), np.float32)
    box = np.empty(4, np.int32)
    edges = np.empty((3, 3), np.float32)
    texture = np.empty((2, 3), np.float32)
    for t in range(len(triangles)):
        for i in range(3):
            vertex = triangles[t, i]
            xs[i], ys[i] = vertices[vertex, 0], vertices[vertex, 1]
            us[i], vs[i] = uv[vertex, 0], uv[vertex, 1]
        if not _setup(xs, ys, us, vs, size, box, edges, texture):
            continue
        for row in range(box[2], box[3]):
            y = np.float32(row) + np.float32(0.5)
            e0 = edges[0, 1] * y + edges[0, 2]
            e1 = edges[1, 1] * y + edges[1, 2]
            e2 = edges[2, 1] * y + edges[2, 2]
            u = texture[0, 1] * y + texture[0, 2]
            v = texture[1, 1] * y + texture[1, 2]
            for column in range(box[0], box[1]):
                x = np.float32(column) + np.float32(0.5)
                if (
                    e0 + edges[0, 0] * x < np.float32(0)
                    or e1 + edges[1, 0] * x < np.float32(0)
                    or e2 + edges[2, 0] * x < np.float32(0)
                ):
                    continue
                out[2 * (row & 1) + (column & 1), row >> 1, column >> 1] = _sample(
                    picture, u + texture[0, 0] * x, v + texture[1, 0] * x
                )


@compiled(fast=True)
def draw_chroma(
    vertices: F32,  # [V, 3], pixels of the crop
    uv: F32,  # [V, 2], pixels of the texture
    triangles: I32,  # [T, 3], the farthest first
    first: U8,  # [H/2, W/2], the texture's U
    second: U8,  # [H/2, W/2], the texture's V
    out: F32,  # [2, S/2, S/2], U and V; changed where a triangle is
    where: F32,  # [3, S/2, S/2], u and v, -1 to 1 over the texture, and 1; or [0, ...] for none
) -> None:
    """Draw textured triangles in index order at half resolution."""
    half = np.float32(0.5)
    size = out.shape[1]
    height, width = first.shape
    xs, ys, us, vs = np.empty((4, 3), np.float32)
    box = np.empty(4, np.int32)
    edges = np.empty((3, 3), np.float32)
    texture = np.empty((2, 3), np.float32)
    for t in range(len(triangles)):
        for i in range(3):
            vertex = triangles[t, i]
            xs[i], ys[i] = vertices[vertex, 0] * half, vertices[vertex, 1] * half
            us[i], vs[i] = uv[vertex, 0] * half, uv[vertex, 1] * half
        if not _setup(xs, ys, us, vs, size, box, edges, texture):
            continue
        for row in range(box[2], box[3]):
            y = np.float32(row) + half
            for column in range(box[0], box[1]):
                x = np.float32(column) + half
                if (
                    edges[0, 0] * x + edges[0, 1] * y + edges[0, 2] < np.float32(0)
                    or edges[1, 0] * x + edges[1, 1] * y + edges[1, 2] < np.float32(0)
                    or edges[2, 0] * x + edges[2, 1] * y + edges[2, 2] < np.float32(0)
                ):
                    continue
                u = texture[0, 0] * x + texture[0, 1] * y + texture[0, 2]
                v = texture[1, 0] * x + texture[1, 1] * y + texture[1, 2]
                out[0, row, column] = _sample(first, u, v)
                out[1, row, column] = _sample(second, u, v)
                if len(where):
                    where[0, row, column] = np.float32(2) * u / width - np.float32(1)
                    where[1, row, column] = np.float32(2) * v / height - np.float32(1)
                    where[2, row, column] = np.float32(1)


@compiled(fast=True)
def mix_texture(
    mean: U8,  # [R, W]
    basis: I8,  # [C, R, W]
    weights: F32,  # [C]
    out: U8,  # [R, W], changed
) -> None:
    """Set `out` to the mean and so much of each component, rounded to the nearest level."""
    rows, width = mean.shape
    low, high = np.float32(0), np.float32(255)
    levels = np.empty(width, np.float32)
    for row in range(rows):
        for column in range(width):
            levels[column] = np.float32(mean[row, column]) + np.float32(0.5)
        for component in range(len(weights)):
            weight = weights[component]
            for column in range(width):
                levels[column] += weight * np.float32(basis[component, row, column])
        for column in range(width):
            out[row, column] = np.uint8(min(max(levels[column], low), high))


@compiled(fast=True)
def lip_distance(
    contour: F32,  # [L, 2], pixels of the crop, closed
    reach: np.float32,
    out: F32,  # [4, S/2, S/2], changed
) -> None:
    """Set the signed distance to a contour over `reach`, -1 to 1, positive inside; unshuffled."""
    out[:] = np.float32(-1)
    size, count = 2 * out.shape[1], len(contour)
    left = max(0, int(contour[:, 0].min() - reach))
    right = min(size, int(contour[:, 0].max() + reach) + 2)
    top = max(0, int(contour[:, 1].min() - reach))
    bottom = min(size, int(contour[:, 1].max() + reach) + 2)
    for row in range(top, bottom):
        y = np.float32(row) + np.float32(0.5)
        for column in range(left, right):
            x = np.float32(column) + np.float32(0.5)
            nearest, inside = reach * reach, False
            for i in range(count):
                j = i + 1 if i + 1 < count else 0
                ax, ay = contour[i, 0], contour[i, 1]
                dx, dy = contour[j, 0] - ax, contour[j, 1] - ay
                px, py = x - ax, y - ay
                length = dx * dx + dy * dy + np.float32(1e-12)
                along = min(max((px * dx + py * dy) / length, np.float32(0)), np.float32(1))
                qx, qy = px - along * dx, py - along * dy
                nearest = min(nearest, qx * qx + qy * qy)
                # Even-odd rule: a ray to the right crosses the contour an odd number of times.
                if (ay > y) != (ay + dy > y) and x < ax + (y - ay) * dx / dy:
                    inside = not inside
            value = math.sqrt(nearest) / reach
            out[2 * (row & 1) + (column & 1), row >> 1, column >> 1] = value if inside else -value


@compiled(fast=True)
def mask_crop(
    picture: U8,  # [H*3/2, W], I420
    left: int,
    top: int,
    mask: U8,  # [S, S], 0 where the picture stays
    out: F32,  # [7, S/2, S/2]: Y unshuffled, U, V, and 1 where the picture is hidden
) -> None:
    """Set the crop of a picture at an even place, 0 wherever the mask covers any of a 2x2 block."""
    half = out.shape[1]
    rows, width = picture.shape
    height = rows * 2 // 3
    chroma = picture[height:].reshape(2, height // 2, width // 2)
    scale = np.float32(1 / 128)
    for row in range(half):
        for column in range(half):
            y, x = 2 * row, 2 * column
            if mask[y, x] or mask[y, x + 1] or mask[y + 1, x] or mask[y + 1, x + 1]:
                out[:6, row, column] = np.float32(0)
                out[6, row, column] = np.float32(1)
                continue
            for i in range(2):
                for j in range(2):
                    value = picture[top + y + i, left + x + j]
                    out[2 * i + j, row, column] = (np.float32(value) - np.float32(128)) * scale
            for plane in range(2):
                value = chroma[plane, top // 2 + row, left // 2 + column]
                out[4 + plane, row, column] = (np.float32(value) - np.float32(128)) * scale
            out[6, row, column] = np.float32(0)


@compiled(fast=True)
def blend_crop(
    target: U8,  # [H, W], changed
    left: int,
    top: int,
    mask: U8,  # [S, S], share of the crop in 255ths
    crop: U8,  # [S, S]
) -> None:
    """Blend a crop into one plane of a picture, rounding to the nearest level."""
    size = len(mask)
    for row in range(size):
        for column in range(size):
            share = np.int32(mask[row, column])
            if share:
                old = np.int32(target[top + row, left + column])
                new = np.int32(crop[row, column])
                mixed = (share * new + (255 - share) * old + 127) // 255
                target[top + row, left + column] = np.uint8(mixed)


@compiled(fast=True)
def blend_frames(first: U8, second: U8, share: int, out: U8) -> None:
    """Set `out` to a mix of two pictures uint8[R, W], `share` of 256 parts of the second."""
    for row in range(first.shape[0]):
        for column in range(first.shape[1]):
            old, new = np.int32(first[row, column]), np.int32(second[row, column])
            out[row, column] = np.uint8((old * (256 - share) + new * share + 128) >> 8)
