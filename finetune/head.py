"""How deep the head is, what of the picture follows it, and where the torso is: for `engines.warp`.

Depth is that of the mean mesh, and goes on behind its border as a head does. What follows is
measured: where the head has moved, the picture has moved with it, or has not (a step of optical
flow with one unknown, B. Lucas and T. Kanade, 1981). Where there is nothing to see it is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import LinearNDInterpolator

from visavis.engines.warp import field_shape
from visavis.engines.warp_kernels import CELL
from visavis.finetune.geometry import Geometry
from visavis.finetune.mesh import loops

__all__ = ["GRID", "HeadParts", "head_parts"]

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]

GRID = (-2.25, -2.5, 0.125)  # left, top and step in head space
COLUMNS, ROWS = 37, 45
MESH = 468  # vertices of the face itself
CHIN = 152
# Behind the mesh's border the head recedes so much for every IOD outward, to the ears and no more.
RECEDES, DEEPEST = 0.8, 0.6
# Hair and ears reach so far beyond the mesh, as a guess; the neck lets go from the chin on.
HAIR_UP, HAIR_OUT, NECK = 0.75, 0.3, 0.6
FALLOFF = 0.35  # IOD, from the head's border to where nothing moves
# Pairs of frames whose heads are so many pixels apart, of a quarter of the size, say what follows.
PAIRS, NEAR, FAR = 80, 0.5, 2.0
COARSE, BLUR = 4, 1.0
TRUST = 0.02  # how much the guess counts, of the strongest measurement


@dataclass(frozen=True, slots=True)
class HeadParts:
    """What `engines.warp.HeadWarp` reads, but the eyes.

    Attributes:
        params: "grid".
        arrays: depth, follow and torso, by role.
    """

    params: Mapping[str, Any]
    arrays: Mapping[str, NDArray[np.generic]]


def head_parts(frames: U8, geometry: Geometry) -> HeadParts:
    """Measure a person's head.

    Args:
        frames: uint8[N, H*3/2, W], I420; geometry: fitted to them.
    """
    height, width = frames.shape[1] * 2 // 3, frames.shape[2]
    depth = _depth(geometry)
    guess, sure = _guess(geometry)
    follow = _followed(frames, geometry, depth, guess)
    follow = np.where(sure, 1.0, follow)
    smooth = _let_go(follow, geometry)
    smooth[[0, -1]] = 0.0
    smooth[:, [0, -1]] = 0.0
    torso = _torso(frames[:, :height], geometry, smooth, field_shape(width, height))
    return HeadParts(
        {"grid": list(GRID)},
        {
            "depth": depth.astype(np.float32),
            "follow": np.rint(255.0 * smooth).astype(np.uint8),
            "torso": np.rint(255.0 * torso).astype(np.uint8),
        },
    )


def _points() -> tuple[F64, F64]:
    """x and y of the grid's points, float64[ROWS, COLUMNS] each."""
    left, top, step = GRID
    x, y = np.meshgrid(left + step * np.arange(COLUMNS), top + step * np.arange(ROWS))
    return x, y


def _oval(geometry: Geometry) -> NDArray[np.int64]:
    """The border of the face."""
    face = geometry.triangles[(geometry.triangles < MESH).all(axis=1)]
    return np.asarray(max(loops(face), key=len), np.int64)


def _depth(geometry: Geometry) -> F64:
    x, y = _points()
    mean = geometry.mean[:MESH].astype(np.float64)
    inside = LinearNDInterpolator(mean[:, :2], mean[:, 2])(x, y)
    border = mean[_oval(geometry)]
    apart = np.hypot(x[..., None] - border[:, 0], y[..., None] - border[:, 1])
    nearest = apart.argmin(axis=-1)
    behind = np.minimum(border[nearest, 2] + RECEDES * apart.min(axis=-1), DEEPEST)
    out: F64 = np.asarray(ndimage.gaussian_filter(np.where(np.isnan(inside), behind, inside), 0.6))
    return out


def _guess(geometry: Geometry) -> tuple[F64, Bools]:
    """What follows as far as one can tell from the mesh alone, and where that is sure."""
    x, y = _points()
    border = geometry.mean[_oval(geometry)].astype(np.float64)
    chin = float(geometry.mean[CHIN, 1])
    top, side = float(border[:, 1].min()), float(np.abs(border[:, 0]).max())
    middle = (top + chin) / 2
    up = np.where(y < middle, middle - top + HAIR_UP, chin - middle)
    radius = np.hypot(x / (side + HAIR_OUT), (y - middle) / up)
    head = np.clip((1.25 - radius) / 0.3, 0.0, 1.0)
    neck = np.clip(1.0 - (y - chin + 0.2) / NECK, 0.0, 1.0) * (np.abs(x) < 0.8 * side)
    mesh = np.hypot(x / side, (y - middle) / (chin - middle)) < 0.9
    return np.where(y > chin - 0.2, np.minimum(np.maximum(head, neck), neck), head), mesh


def _small(frame: U8) -> F32:
    """Luma of a quarter of the size, blurred."""
    height, width = (n // COARSE for n in frame.shape)
    blocks = frame[: height * COARSE, : width * COARSE].reshape(height, COARSE, width, COARSE)
    return np.asarray(ndimage.gaussian_filter(blocks.mean(axis=(1, 3), dtype=np.float32), BLUR))


def _followed(frames: U8, geometry: Geometry, depth: F64, guess: F64) -> F64:
    """Share of the head's motion at each point of the grid."""
    height = frames.shape[1] * 2 // 3
    pose = geometry.pose.astype(np.float64)
    face = np.array([(-0.4, -0.3, -0.2, 1.0), (0.4, -0.3, -0.2, 1.0), (0.0, 0.8, -0.2, 1.0)])
    place = np.einsum("nij,pj->npi", pose[:, :2], face) / COARSE
    random = np.random.default_rng(0)
    left, top, step = GRID
    both, own = np.zeros((2, ROWS, COLUMNS))
    y, x = np.mgrid[: height // COARSE, : frames.shape[2] // COARSE].astype(np.float64)
    taken = 0
    for i, j in random.integers(0, len(frames), (20 * PAIRS, 2)).tolist():
        apart = np.linalg.norm(place[i] - place[j], axis=1)
        if not NEAR <= apart.mean() <= FAR or apart.max() > 1.5 * FAR:
            continue
        taken += 1
        # Which point of the head is at a pixel of j, by its depth, and where i has it.
        at = pose[j][:2] / COARSE
        inverse = np.linalg.inv(at[:, :2])
        z = np.zeros_like(x)
        for _ in range(2):
            head = np.stack([x + 0.5 - at[0, 3] - at[0, 2] * z, y + 0.5 - at[1, 3] - at[1, 2] * z])
            hx, hy = np.tensordot(inverse, head, 1)
            z = ndimage.map_coordinates(
                depth, [(hy - top) / step, (hx - left) / step], order=1, mode="nearest"
            )
        source = pose[i][:2] / COARSE
        moved = np.stack([hx, hy, z, np.ones_like(z)])
        dx, dy = np.tensordot(source - at, moved, 1)
        one, two = _small(frames[i, :height]), _small(frames[j, :height])
        gy, gx = np.gradient((one + two) / 2)
        motion, change = gx * dx + gy * dy, two - one
        row = np.rint((hy - top) / step).astype(int)
        column = np.rint((hx - left) / step).astype(int)
        seen = (row >= 0) & (row < ROWS) & (column >= 0) & (column < COLUMNS)
        at_points = (row * COLUMNS + column)[seen]
        # What a mouth or an eye does there is not motion of the head: no pixel counts for much.
        weight = 1.0 / (1.0 + (change - motion * 0.5) ** 2 / 200.0)
        for total, values in ((both, motion * change), (own, motion * motion)):
            total += np.bincount(at_points, (weight * values)[seen], ROWS * COLUMNS).reshape(
                ROWS, COLUMNS
            )
        if taken == PAIRS:
            break
    if not taken:
        return guess
    trust = TRUST * float(np.quantile(own, 0.98))
    share = (both + trust * guess) / np.maximum(own + trust, 1e-9)
    return np.asarray(np.clip(share, 0.0, 1.0))


def _let_go(follow: F64, geometry: Geometry) -> F64:
    """Let what follows go smoothly: from the head's border outward, along the neck as measured."""
    _, y = _points()
    chin = float(geometry.mean[CHIN, 1])
    smooth = ndimage.gaussian_filter(follow, 0.8)
    # Nothing above the head's lower half belongs to it that does not hang together with it.
    label, _ = ndimage.label(smooth > 0.5)
    left, top, step = GRID
    head = label == label[round(-top / step), round(-left / step)]
    head &= label > 0
    apart = ndimage.distance_transform_edt(~head) * step
    around = np.clip(1.0 - (apart - 1.5 * step) / FALLOFF, 0.0, 1.0)
    around = around * around * (3.0 - 2.0 * around)
    # Beside the neck, too, it ends; the ramp is that of the chin downward.
    down = np.clip(1.0 - (y - chin - 0.05) / NECK, 0.0, 1.0)
    down = down * down * (3.0 - 2.0 * down)
    return np.asarray(ndimage.gaussian_filter(around * down, 0.7))


def _torso(luma: U8, geometry: Geometry, follow: F64, shape: tuple[int, int]) -> F64:
    """Share of the breath at each point of the frame: 1 in the torso, 0 behind it and at the edge.

    The outline is where the picture changes most between what is surely one and surely the other
    (a watershed).
    """
    height, width = luma.shape[1:]
    pose = np.median(geometry.pose, axis=0).astype(np.float64)
    iod = float(np.linalg.norm(pose[0, :3]))
    chin = float((pose[:2] @ [*geometry.mean[CHIN], 1.0])[1])
    middle = float(pose[0, 3])
    still = np.median(luma[:: max(1, len(luma) // 15)], axis=0)
    edge = ndimage.gaussian_gradient_magnitude(still, 2.0)
    edge = np.minimum(edge / max(float(np.quantile(edge, 0.98)), 1e-6), 1.0)
    y, x = np.mgrid[:height, :width]
    markers = np.zeros((height, width), np.int16)
    beside = np.abs(x - middle) / iod
    below = (y - chin) / iod
    # Shoulders are about three eye distances wide and fall from the neck.
    markers[(below > 0.35) & (beside < 0.35)] = 1
    markers[(below > 0.9) & (beside < 0.9)] = 1
    markers[(below < 0.25 + 0.1 * beside) & (beside > 0.75)] = 2
    markers[below < 0.1] = 2
    markers[(below < 0.8) & (beside > 2.2)] = 2
    if not (markers == 1).any():
        return np.zeros(shape)
    cost = np.rint(255 * edge).astype(np.uint8)
    torso = (ndimage.watershed_ift(cost, markers) == 1).astype(np.float64)
    # Soft where it ends, and nothing at the frame's lower edge, which would show.
    torso = ndimage.gaussian_filter(torso, CELL / 2)
    torso *= np.clip((height - 1 - y) / (2.0 * CELL), 0.0, 1.0)
    rows = np.minimum(np.arange(shape[0]) * CELL, height - 1)
    columns = np.minimum(np.arange(shape[1]) * CELL, width - 1)
    return np.asarray(torso[np.ix_(rows, columns)])
