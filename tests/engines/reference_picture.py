"""Plain numpy twins of geometry, planes and composite: slow and clear, sharing nothing with them.

They work on whole pictures and in float64: barycentric coordinates of every pixel in every
triangle, distances to every side of the lips, blending as one formula.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]


def vertices(
    parts: Mapping[str, Any], coefficients: NDArray[Any], pose: NDArray[Any], origin: Any
) -> F64:
    """float64[V, 3], pixels of the crop."""
    shape = np.asarray(parts["mean"], np.float64).copy()
    for weight, component in zip(coefficients, parts["basis"], strict=True):
        shape += float(weight) * component
    homogeneous = np.concatenate([shape, np.ones((len(shape), 1))], axis=1)
    posed = (np.asarray(pose, np.float64) @ homogeneous.T).T
    return np.asarray(posed - np.array([origin[0], origin[1], 0.0]))


def bilinear(picture: U8, x: F64, y: F64) -> F64:
    """Level between pixel middles; the border continues outwards."""
    height, width = picture.shape
    x, y = np.clip(x - 0.5, 0, width - 1), np.clip(y - 0.5, 0, height - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    total = np.zeros(x.shape)
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (dx * (x - left) + (1 - dx) * (1 - x + left)) * (
                dy * (y - top) + (1 - dy) * (1 - y + top)
            )
            total += weight * picture[np.minimum(top + dy, height - 1),
                                      np.minimum(left + dx, width - 1)]  # fmt: skip
    return (total - 128.0) / 128.0


def texture_coordinates(points: F64, uv: F64, triangles: NDArray[Any], size: int) -> F64:
    """float64[size, size, 2]: u, v of the last triangle at each pixel, nan where none is."""
    y, x = np.mgrid[:size, :size] + 0.5
    found = np.full((size, size, 2), np.nan)
    for a, b, c in triangles:
        matrix = np.array([points[[a, b, c], 0], points[[a, b, c], 1], np.ones(3)])
        if abs(np.linalg.det(matrix)) < 1e-6:
            continue
        shares = np.linalg.solve(matrix, np.stack([x.ravel(), y.ravel(), np.ones(size * size)]))
        inside = (shares >= 0).all(axis=0).reshape(size, size)
        found[inside] = (shares.T @ uv[[a, b, c]]).reshape(size, size, 2)[inside]
    return found


def unshuffle(picture: F64) -> F64:
    """[S, S] to [4, S/2, S/2]."""
    half = len(picture) // 2
    return picture.reshape(half, 2, half, 2).transpose(1, 3, 0, 2).reshape(4, half, half)


def signed_distance(contour: F64, size: int, reach: float) -> F64:
    """[S, S], distance to a closed contour over `reach`, positive inside, -1 to 1."""
    y, x = np.mgrid[:size, :size] + 0.5
    pixels = np.stack([x, y], axis=-1)
    nearest = np.full((size, size), np.inf)
    angle = np.zeros((size, size))
    for start, end in zip(contour, np.roll(contour, -1, axis=0), strict=True):
        side = end - start
        along = np.clip(((pixels - start) @ side) / max(side @ side, 1e-12), 0, 1)
        nearest = np.minimum(
            nearest, np.linalg.norm(pixels - start - along[..., None] * side, axis=-1)
        )
        # Seen from inside, the contour goes once all around.
        p, q = start - pixels, end - pixels
        angle += np.arctan2(p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0], (p * q).sum(axis=-1))
    inside = np.rint(angle / (2 * np.pi)).astype(int) % 2 == 1
    return np.where(inside, 1.0, -1.0) * np.minimum(nearest / reach, 1.0)


def appearance(parts: Mapping[str, Any], coefficients: NDArray[Any]) -> U8:
    """uint8[H*3/2, W]: how the face looks with these coefficients."""
    levels = parts["appearance_mean"].astype(np.float64)
    for weight, scale, component in zip(
        coefficients, parts["appearance_scale"], parts["appearance_basis"], strict=True
    ):
        levels += float(weight) * float(scale) * component
    return np.clip(np.floor(levels + 0.5), 0, 255).astype(np.uint8)


def planes(
    params: Mapping[str, Any],
    parts: Mapping[str, Any],
    points: F64,
    coefficients: NDArray[Any],
    picture: U8,
    origin: tuple[int, int],
) -> F64:
    """float64[38, S/2, S/2], laid out as `engines/planes.py` says."""
    mask = parts["mask"]
    size = len(mask)
    half = size // 2
    out = np.zeros((38, half, half))
    own, open_lips = (np.asarray(parts[key], np.float64) for key in ("uv", "appearance_uv"))
    for first, triangles, image, uv in (
        (0, "triangles", parts["texture"], own),
        (6, "upper_triangles", parts["upper"], own),
        (12, "lower_triangles", parts["lower"], own),
        (32, "triangles", appearance(parts, coefficients), open_lips),
    ):
        height, width = image.shape[0] * 2 // 3, image.shape[1]
        chroma = image[height:].reshape(2, height // 2, width // 2)
        full = texture_coordinates(points, uv, parts[triangles], size)
        luma = np.nan_to_num(bilinear(image[:height], *np.nan_to_num(full).transpose(2, 0, 1)))
        out[first : first + 4] = unshuffle(np.where(np.isnan(full[..., 0]), 0.0, luma))
        small = texture_coordinates(points / 2, uv / 2, parts[triangles], half)
        where = np.isnan(small[..., 0])
        at = np.nan_to_num(small).transpose(2, 0, 1)
        for plane in range(2):
            out[first + 4 + plane] = np.where(where, 0.0, bilinear(chroma[plane], *at))
        if first == 0:
            out[29] = np.where(where, 0.0, 2 * at[0] / (width / 2) - 1)
            out[30] = np.where(where, 0.0, 2 * at[1] / (height / 2) - 1)
            out[31] = ~where
    rows, width = picture.shape
    height = rows * 2 // 3
    left, top = origin
    chroma = picture[height:].reshape(2, height // 2, width // 2)
    crop = picture[top : top + size, left : left + size]
    shown = mask.reshape(half, 2, half, 2).max(axis=(1, 3)) == 0
    out[18:22] = unshuffle((crop - 128.0) / 128.0) * shown
    part = chroma[:, top // 2 : top // 2 + half, left // 2 : left // 2 + half]
    out[22:24] = (part - 128.0) / 128.0 * shown
    out[24] = ~shown
    contour = points[parts["lips"], :2]
    out[25:29] = unshuffle(signed_distance(contour, size, params["lip_reach"]))
    return out


def lookup(grid: NDArray[Any], x: F64, y: F64) -> F64:
    """A value between the points of a grid; the border's own outside."""
    rows, columns = grid.shape
    x, y = np.clip(x, 0, columns - 1), np.clip(y, 0, rows - 1)
    left, top = np.minimum(x.astype(int), columns - 2), np.minimum(y.astype(int), rows - 2)
    fx, fy = x - left, y - top
    corners = [grid[top + i, left + j].astype(np.float64) for i in (0, 1) for j in (0, 1)]
    return np.asarray(
        (corners[0] * (1 - fx) + corners[1] * fx) * (1 - fy)
        + (corners[2] * (1 - fx) + corners[3] * fx) * fy
    )


def field(
    params: Mapping[str, Any],
    parts: Mapping[str, Any],
    source: NDArray[Any],
    wanted: NDArray[Any],
    breath: float,
) -> F64:
    """float64[rows, columns, 2]: where the points of a frame come from, less where they are."""
    rows, columns = parts["torso"].shape
    y, x = np.mgrid[:rows, :columns] * 16.0
    source, wanted = np.asarray(source, np.float64), np.asarray(wanted, np.float64)
    left, top, step = params["grid"]
    z = np.zeros_like(x)
    for _ in range(3):
        rest = np.stack([x, y]) - wanted[:2, 3, None, None] - wanted[:2, 2, None, None] * z
        hx, hy = np.tensordot(np.linalg.inv(wanted[:2, :2]), rest, 1)
        z = lookup(parts["depth"], (hx - left) / step, (hy - top) / step)
    share = lookup(parts["follow"] / 255.0, (hx - left) / step, (hy - top) / step)
    head = np.stack([hx, hy, z, np.ones_like(z)])
    out = np.moveaxis(share * np.tensordot(source[:2] - wanted[:2], head, 1), 0, -1)
    out[..., 1] += (1 - share) * parts["torso"] / 255.0 * breath
    return np.asarray(out)


def cubic(picture: U8, x: F64, y: F64) -> F64:
    """Level at x, y, whole numbers being the middles of pixels; Catmull-Rom; the border goes on."""
    height, width = picture.shape
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)

    def weights(t: F64) -> list[F64]:
        return [
            t * (t * (2 - t) - 1) / 2,
            (t * t * (3 * t - 5) + 2) / 2,
            t * (t * (4 - 3 * t) + 1) / 2,
            t * t * (t - 1) / 2,
        ]

    total = np.zeros(x.shape)
    for i, down in enumerate(weights(y - top)):
        for j, right in enumerate(weights(x - left)):
            row = np.clip(top + i - 1, 0, height - 1)
            column = np.clip(left + j - 1, 0, width - 1)
            total += down * right * picture[row, column]
    return total


def warped(picture: U8, moved: F64) -> U8:
    """uint8[H*3/2, W]: a picture moved by a field."""
    rows, width = picture.shape
    height = rows * 2 // 3
    out = picture.copy()
    for unit, first, shape in (
        (1, 0, (height, width)),
        (2, height, (height // 2, width // 2)),
        (2, height + height // 4, (height // 2, width // 2)),
    ):
        size = shape[0] * shape[1] // width
        plane = picture[first : first + size].reshape(shape)
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
        cell = 16 // unit
        at = (x + 0.5) / cell, (y + 0.5) / cell
        dx, dy = (lookup(moved[..., k], *at) / unit for k in (0, 1))
        level = np.floor(np.clip(cubic(plane, x + dx, y + dy) + 0.5, 0, 255))
        out[first : first + size] = level.astype(np.uint8).reshape(size, width)
    return out


def composite(
    picture: U8, mask: U8, origin: tuple[int, int], y: U8, u: U8, v: U8
) -> NDArray[np.float64]:
    """float64[H*3/2, W]: the frame with the crop blended in, before rounding."""
    rows, width = picture.shape
    height = rows * 2 // 3
    out = picture.astype(np.float64)
    chroma = out[height:].reshape(2, height // 2, width // 2)
    half = len(mask) // 2
    share = mask / 255.0
    coarse = np.rint(mask.reshape(half, 2, half, 2).mean(axis=(1, 3)) + 1e-9) / 255.0
    left, top = origin
    for target, crop, alpha, x0, y0 in (
        (out[:height], y, share, left, top),
        (chroma[0], u, coarse, left // 2, top // 2),
        (chroma[1], v, coarse, left // 2, top // 2),
    ):
        area = target[y0 : y0 + len(crop), x0 : x0 + len(crop)]
        area[:] = alpha * crop + (1 - alpha) * area
    return out
