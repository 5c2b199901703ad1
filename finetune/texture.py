"""The still pictures that the renderer starts from: face, teeth, and the mask of the crop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from visavis.engines.i420 import planes_of
from visavis.finetune.geometry import Geometry
from visavis.finetune.mesh import loops

__all__ = [
    "FEATHER",
    "Charts",
    "Texture",
    "crop_mask",
    "face_texture",
    "inside",
    "neutral_frame",
    "teeth_charts",
    "visible_triangles",
]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]

# Vertices of MediaPipe's mesh.
UNDER_NOSE = 2
CHIN = (152, 148, 377, 176, 400)
# Teeth charts in head space: left, top, right, bottom, and how far behind the inner lips they are.
CHART = (-0.34, 0.58, 0.34, 1.02)
BEHIND = 0.04
# The lower teeth are nearer to the jaw's hinge than the chin, so they move less.
TEETH_OVER_CHIN = 0.9
# Of the widest opening, from where a frame may show upper teeth, and lower teeth apart from them.
OPEN, OPEN_BELOW = 0.3, 0.65
VIEWS, NEXT_VIEW = 12, 0.2  # frames that are mixed; what each counts less than the one before
LIP_ERROR = 2.0  # pixels
TEETH_DARKEST, TEETH_REDDEST = 100.0, 146.0  # Y and V
FEATHER = 10.0  # pixels
HIGHEST = 0.15  # of the mesh that is drawn, y in head space


@dataclass(frozen=True, slots=True)
class Texture:
    """The face with closed lips.

    Attributes:
        picture: uint8[H*3/2, W], I420.
        uv: f32[V, 2], the vertices in its pixels.
        triangles: int32[T, 3], those that may be in the crop, the farthest first.
    """

    picture: U8
    uv: F32
    triangles: I32


@dataclass(frozen=True, slots=True)
class Charts:
    """The teeth, as rigid pictures on quads of the mesh.

    Attributes:
        mean, basis: f32[8, 3], f32[C, 8, 3], corners of the upper and then of the lower chart.
        uv: f32[8, 2], the corners in pixels of their chart.
        upper, lower: uint8[H*3/2, W], I420.
    """

    mean: F32
    basis: F32
    uv: F32
    upper: U8
    lower: U8


def posed(geometry: Geometry, index: int) -> NDArray[np.float64]:
    """Return the fitted mesh of a frame, float64[V, 3], in its pixels."""
    shape = geometry.mean + np.tensordot(geometry.coefficients[index], geometry.basis, 1)
    pose = geometry.pose[index].astype(np.float64)
    moved: NDArray[np.float64] = shape @ pose[:, :3].T + pose[:, 3]
    return moved


def join(y: NDArray[np.float64], u: NDArray[np.float64], v: NDArray[np.float64]) -> U8:
    """Return the I420 frame of float planes."""
    parts = [np.clip(np.rint(plane), 16, 240).astype(np.uint8).ravel() for plane in (y, u, v)]
    return np.concatenate(parts).reshape(-1, y.shape[1])


def neutral_frame(geometry: Geometry) -> int:
    """Return the frame whose lips are closed and whose pose is nearest to the usual one."""
    pose = geometry.pose[:, :2].reshape(len(geometry.pose), -1)
    scale = np.linalg.norm(geometry.pose[:, 0, :3], axis=1).mean()
    # Turning by 1/100 counts as much as moving by 1/100 of the eyes' distance.
    distance = np.linalg.norm((pose - np.median(pose, axis=0)) / scale, axis=1)
    lips = np.linalg.norm(geometry.coefficients - np.median(
        geometry.coefficients[geometry.aperture <= np.quantile(geometry.aperture, 0.2)], axis=0
    ), axis=1)  # fmt: skip
    score = distance / distance.std() + lips / lips.std()
    score[geometry.aperture > np.quantile(geometry.aperture, 0.2)] = np.inf
    return int(score.argmin())


def _between(lips: I32) -> I32:
    """Return triangles that close the gap between the lips, from corner to corner.

    They stretch the line where the closed lips meet, so that the gap's border has no step in the
    texture: what is between the lips is for the renderer to draw.
    """
    count, corner = len(lips), 5  # of MediaPipe's contour, which begins in the middle
    upper = [lips[(corner + k) % count] for k in range(count // 2 + 1)]
    lower = [lips[(corner - k) % count] for k in range(count // 2 + 1)]
    faces = []
    for k in range(count // 2):
        faces += [(upper[k], upper[k + 1], lower[k]), (upper[k + 1], lower[k + 1], lower[k])]
    return np.array([face for face in faces if len(set(face)) == 3], np.int32)


def visible_triangles(geometry: Geometry) -> I32:
    """Return the triangles that may be in the crop, int32[T, 3], the farthest first."""
    centre = geometry.mean[geometry.triangles].mean(axis=1)
    visible = centre[:, 1] > HIGHEST
    ring: NDArray[np.bool_] = np.any(geometry.triangles >= 468, axis=1)
    # Rings lie behind the face; among them the outer ones behind the inner ones.
    depth = centre[:, 2] + np.where(ring, 10.0 + geometry.triangles.max(axis=1), 0.0)
    order = np.argsort(-depth, kind="stable")
    # What is between the lips comes before the face, so that the lips cover it.
    order = order[visible[order]]
    behind = int(np.count_nonzero(ring[order]))
    triangles = np.insert(geometry.triangles[order], behind, _between(geometry.lips), axis=0)
    return np.ascontiguousarray(triangles, np.int32)


def face_texture(frames: U8, geometry: Geometry, taught: NDArray[np.int64]) -> Texture:
    """Cut the texture from the neutral one of the frames that may be learnt from."""
    index = int(taught[neutral_frame(geometry.of(taught))])
    points = posed(geometry, index)
    height, width = frames.shape[1] * 2 // 3, frames.shape[2]
    triangles = visible_triangles(geometry)
    used = points[np.unique(triangles), :2]
    left, top = (2 * int(max(0, edge) // 2) for edge in used.min(axis=0) - 4)
    right = 2 * int(min(width, used[:, 0].max() + 6) // 2)
    bottom = 2 * int(min(height, used[:, 1].max() + 6) // 2)
    y, u, v = planes_of(frames[index])
    half = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
    picture = join(
        y[top:bottom, left:right].astype(np.float64),
        u[half].astype(np.float64),
        v[half].astype(np.float64),
    )
    uv = (points[:, :2] - (left, top)).astype(np.float32)
    return Texture(picture, uv, triangles)


def inside(
    contour: NDArray[np.float64], x: NDArray[np.floating], y: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Say which points lie inside a closed contour (even-odd rule)."""
    within = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(contour, np.roll(contour, -1, axis=0), strict=True):
        crosses = (ay > y) != (by > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            within ^= crosses & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return within


def teeth_charts(
    frames: U8, geometry: Geometry, taught: NDArray[np.int64], unit: float = 1.0
) -> Charts:
    """Collect what is seen between the lips, fixed to the skull and fixed to the jaw.

    Teeth come from the frame that shows most of them; towards the lips, which hide the rest there,
    the frames that show the next most come in. What is around them comes from the widest opening.

    Args:
        frames: uint8[N, H*3/2, W], I420.
        geometry: fitted to them.
        taught: the frames that may be learnt from.
        unit: pixels for each one of a crop of the usual size.
    """
    scale = float(np.linalg.norm(geometry.pose[:, 0, :3], axis=1).mean())
    left, top, right, bottom = CHART
    width = 2 * round((right - left) * scale / 2)
    height = 2 * round((bottom - top) * scale / 2)
    z = float(geometry.mean[geometry.lips, 2].mean()) + BEHIND
    corners = np.array(
        [(left, top, z), (right, top, z), (left, bottom, z), (right, bottom, z)], np.float32
    )
    uv = np.array([(0, 0), (width, 0), (0, height), (width, height)], np.float32)
    jaw = TEETH_OVER_CHIN * geometry.basis[:, list(CHIN)].mean(axis=1)
    lower = np.repeat(jaw[:, None], 4, axis=1)

    column, row = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    grid = np.stack(
        [
            left + column / width * (right - left),
            top + row / height * (bottom - top),
            np.full(column.shape, z),
        ],
        axis=-1,
    )
    pictures = []
    for moves, below in ((np.zeros_like(jaw), False), (jaw, True)):
        opening = geometry.aperture[taught] / geometry.aperture[taught].max()
        candidates = taught[opening > (OPEN_BELOW if below else OPEN)]
        seen = [_look(frames[i], geometry, int(i), grid, moves, below, unit) for i in candidates]
        most = sorted(seen, key=lambda view: -np.count_nonzero(view[2]))[:VIEWS]
        soft = 1.5 * unit
        views = [(levels, depth * np.clip(ndimage.gaussian_filter(teeth.astype(float), soft) * 4,
                  0.0, 1.0)) for levels, depth, teeth in most]  # fmt: skip
        widest = np.argsort(-geometry.aperture[candidates], kind="stable")[:VIEWS]
        views += [seen[i][:2] for i in widest]
        total, weight = np.zeros((3, height, width)), np.zeros((height, width))
        for rank, (levels, depth) in enumerate(views):
            share = NEXT_VIEW**rank * depth
            total += share * levels
            weight += share
        hidden = weight == 0.0
        total /= np.maximum(weight, 1e-300)
        nearest = ndimage.distance_transform_edt(hidden, return_distances=False,
                                                 return_indices=True)  # fmt: skip
        total = total[:, nearest[0], nearest[1]]
        halves = total[1:].reshape(2, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
        pictures.append(join(total[0], halves[0], halves[1]))
    return Charts(
        mean=np.concatenate([corners, corners]),
        basis=np.concatenate([np.zeros_like(lower), lower], axis=1).astype(np.float32),
        uv=np.concatenate([uv, uv]),
        upper=pictures[0],
        lower=pictures[1],
    )


def _look(
    frame: U8,
    geometry: Geometry,
    index: int,
    grid: NDArray[np.float64],
    moves: NDArray[np.float32],
    below: bool,
    unit: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return a frame's view of a chart: levels [3, H, W], how surely each is seen, where teeth are.

    Args:
        grid: float64[H, W, 3], the chart in head space.
        moves: f32[C, 3], how the chart moves with the coefficients.
        below: look for the teeth of the lower jaw, which are in the lower half of the opening.
        unit: see `teeth_charts`.
    """
    pose = geometry.pose[index].astype(np.float64)
    place = (grid + geometry.coefficients[index] @ moves) @ pose[:2, :3].T + pose[:2, 3]
    x, y = place[..., 0], place[..., 1]
    levels = np.stack([
        ndimage.map_coordinates(
            values.astype(np.float64), [y / unit - 0.5, x / unit - 0.5], order=1, mode="nearest"
        )
        for values, unit in zip(planes_of(frame), (1.0, 2.0, 2.0), strict=True)
    ])  # fmt: skip
    contour = posed(geometry, index)[geometry.lips, :2]
    within = inside(contour, x, y)
    # The tracked lips are off by a pixel or two, and lips must not get among the teeth.
    away = ndimage.distance_transform_edt(within) / unit
    depth = np.clip((away - LIP_ERROR) / 3.0, 0.0, 1.0)
    teeth = (depth > 0) & (levels[2] < TEETH_REDDEST) & (levels[0] > TEETH_DARKEST)
    middle = contour[:, 1].mean()
    third = 0.35 * (contour[:, 1].max() - middle)
    teeth &= (y > middle + third) if below else (y < middle + third)
    return levels, depth * depth, teeth


def crop_mask(
    geometry: Geometry, anchor: tuple[float, float, float], size: int, feather: float = FEATHER
) -> U8:
    """Return where in the crop the renderer's picture is used, uint8[S, S], in 255ths.

    From under the nose to the neck, over the jaw's outline and what its shadow falls on, in every
    pose of the clip; whatever the mouth does, it is the same.
    """
    mean = geometry.mean[:468]
    oval = mean[max(loops(geometry.triangles[(geometry.triangles < 468).all(axis=1)]), key=len)]
    top = float(mean[UNDER_NOSE, 1]) + 0.01
    bottom = float(mean[CHIN[0], 1]) + 0.34
    ys = np.linspace(top, bottom, 40)
    sides = []
    for side in (-1.0, 1.0):
        outline = oval[(oval[:, 0] * side > 0) & (oval[:, 1] > 0)]
        outline = outline[np.argsort(outline[:, 1])]
        reach = np.interp(ys, outline[:, 1], outline[:, 0] * side)
        # Inside the face where the cheeks are, outside it where the jaw moves; over the neck.
        reach += np.interp(ys, [top, top + 0.35], [-0.14, 0.08])
        reach = np.where(ys > top + 0.35, np.maximum(reach, 0.50), reach)
        sides.append(np.stack([side * reach, ys, np.full(len(ys), outline[:, 2].mean())], axis=1))
    contour = np.concatenate([sides[0], sides[1][::-1]])
    contour[:, 2] = mean[list(CHIN), 2].mean()
    x, y = np.meshgrid(
        (np.arange(size) + 0.5).astype(np.float32), (np.arange(size) + 0.5).astype(np.float32)
    )
    covered = np.zeros((size, size), bool)
    for pose in geometry.pose[:: max(1, len(geometry.pose) // 200)].astype(np.float64):
        middle = pose[:2, :3] @ anchor + pose[:2, 3]
        place = contour @ pose[:2, :3].T + pose[:2, 3] - middle + size / 2
        covered |= inside(place, x, y)
    covered[[0, 1, -2, -1]] = False
    covered[:, [0, 1, -2, -1]] = False
    depth = np.clip(ndimage.distance_transform_edt(covered) / feather, 0.0, 1.0)
    share = depth * depth * (3.0 - 2.0 * depth)
    return np.rint(255.0 * share).astype(np.uint8)
