"""The person's own frames as the engine reads them: video, places to jump between, calm stretches.

A jump is unseen where for its length both places show nearly the same picture outside the mouth's
crop, eyes above all, once both heads are carried to one pose, and move alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from visavis.engines.walk import LEAD
from visavis.engines.warp import HeadWarp
from visavis.export.video_coding import encode_video, jpeg
from visavis.finetune.blinks import eye_ellipses, find_blinks, openness
from visavis.finetune.geometry import Geometry
from visavis.finetune.head import head_parts
from visavis.finetune.parts import SIZE
from visavis.finetune.sway import least_sway

__all__ = [
    "BLEND",
    "WalkParts",
    "aligned",
    "encode_video",
    "find_jumps",
    "jpeg",
    "unrest",
    "walk_parts",
]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]

BLEND = 15  # frames of a jump
APART = 25  # frames that a jump spans at least
# A cost of 1: aligned pictures differ by so many levels; motion, by so many pixels a frame; poses,
# by so many pixels, which the warp has to carry the two pictures between them.
LEVELS, PIXELS_A_FRAME, PIXELS = 14.0, 4.0, 11.0
HIGHEST_COST = 1.0
EYE_WEIGHT = 8.0
COARSE = 4  # pixels of the frame in one of the compared pictures
EYES = np.array([(-0.34, 0.0), (0.34, 0.0)])  # head space
EYE_SIZE = np.array([0.24, 0.14])  # half axes
FACE = np.array([(-0.4, -0.3, -0.2), (0.4, -0.3, -0.2), (0.0, 1.0, -0.2)])


@dataclass(frozen=True, slots=True)
class WalkParts:
    """What the engine's background reads.

    Attributes:
        params: those that are measured.
        arrays: by role.
    """

    params: Mapping[str, Any]
    arrays: Mapping[str, NDArray[np.generic]]


def aligned(frames: U8, geometry: Geometry, warp: HeadWarp) -> F32:
    """Return luma with the head carried to its usual pose, f32[N, H/4, W/4], mean of 4x4 pixels."""
    usual = np.median(geometry.pose, axis=0)
    height, width = frames.shape[1] * 2 // 3, frames.shape[2]
    out = np.empty((len(frames), height // COARSE, width // COARSE), np.float32)
    for index, frame in enumerate(frames):
        luma = warp.warp(frame, geometry.pose[index], usual)[:height]
        blocks = luma.reshape(height // COARSE, COARSE, -1, COARSE)
        out[index] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return out


def _compared(pictures: F32, geometry: Geometry, hidden: U8, origin: tuple[int, int]) -> F32:
    """Return f32[N, K], pictures whose squared distance says how different frames look."""
    rows, columns = pictures.shape[1:]
    visible = np.ones((rows * COARSE, columns * COARSE), bool)
    size, (left, top) = len(hidden), origin
    visible[top : top + size, left : left + size] &= hidden == 0
    weight = visible.reshape(rows, COARSE, columns, COARSE).mean(axis=(1, 3))
    # Only what moves counts; a wide still background must not make every jump look good.
    weight *= ndimage.maximum_filter(pictures.std(axis=0), 3) > 2.0
    pose = np.median(geometry.pose, axis=0).astype(np.float64)
    y, x = np.mgrid[:rows, :columns] * COARSE + COARSE / 2
    for eye in EYES:
        middle = pose[:2, :2] @ eye + pose[:2, 3]
        half = EYE_SIZE * np.linalg.norm(pose[0, :3])
        near = ((x - middle[0]) / half[0]) ** 2 + ((y - middle[1]) / half[1]) ** 2 < 1.0
        weight[near] = EYE_WEIGHT
    weight /= weight.sum()
    flat: F32 = (pictures * np.sqrt(weight)).reshape(len(pictures), -1).astype(np.float32)
    return flat


def find_jumps(
    pictures: F32,
    geometry: Geometry,
    hidden: U8,
    origin: tuple[int, int],
    *,
    blend: int = BLEND,
    unit: float = 1.0,
) -> tuple[I32, F32]:
    """Return jumps int32[J, 2] and their costs f32[J]; see `engines.walk.Walk`.

    Args:
        pictures: f32[N, H/4, W/4], of `aligned`.
        geometry: fitted to them.
        hidden: uint8[S, S], not 0 where the renderer's picture is used.
        origin: left and top of the crop in the usual pose.
        blend: frames of a jump.
        unit: pixels for each one of a crop of the usual size.
    """
    count = len(pictures)
    flat = _compared(pictures, geometry, hidden, origin)
    square = (flat * flat).sum(axis=1)
    picture = np.maximum(square[:, None] + square[None] - 2.0 * flat @ flat.T, 0.0)
    place = np.einsum("nij,pj->npi", geometry.pose[:, :2, :3].astype(np.float64), FACE)
    place = (place + geometry.pose[:, None, :2, 3]).reshape(count, -1) / unit
    speed = np.gradient(ndimage.gaussian_filter1d(place, 2.0, axis=0), axis=0)
    motion = ((speed[:, None] - speed[None]) ** 2).sum(axis=2) / len(FACE)
    apart = ((place[:, None] - place[None]) ** 2).sum(axis=2) / len(FACE)
    cost = picture / LEVELS**2 + motion / PIXELS_A_FRAME**2 + apart / PIXELS**2
    last = count - blend
    total = np.zeros((last, last))
    for offset in range(blend + 1):
        # Frames in the middle of the blend are mixed most.
        share = offset / blend
        total += 4.0 * share * (1.0 - share) * cost[offset : offset + last, offset : offset + last]
    total = np.sqrt(total / sum(4.0 * k / blend * (1 - k / blend) for k in range(blend + 1)))
    index = np.arange(last)
    total[np.abs(index[:, None] - index[None]) < APART] = np.inf
    # Neighbouring jumps are as good as the same: keep the best of each 3x3.
    total[total > ndimage.minimum_filter(total, 3)] = np.inf
    enter_before = last - APART - LEAD - blend
    total[:, enter_before:] = np.inf
    order = np.flatnonzero(total <= HIGHEST_COST)
    # Whatever it costs, the walk must be able to leave the clip's end.
    tail = total[-APART:]
    leave = np.argsort(tail, axis=None)[:8]
    leave = leave[np.isfinite(tail.ravel()[leave])] + (last - APART) * last
    order = np.union1d(order, leave)
    jumps = np.stack(np.divmod(order, last), axis=1).astype(np.int32)
    return jumps, total.ravel()[order].astype(np.float32)


def unrest(geometry: Geometry) -> F32:
    """Return f32[N], 0 where the person is silent, still and faces the camera as usual, to 1."""
    iod = np.linalg.norm(geometry.pose[:, :1, :3], axis=2)
    place = geometry.pose[:, :2, 3] / iod
    speed = np.linalg.norm(np.gradient(place, axis=0), axis=1)
    moving = ndimage.gaussian_filter1d(speed.astype(np.float64), 12.0)
    mouth = np.abs(np.gradient(geometry.aperture.astype(np.float64)))
    speaking = ndimage.gaussian_filter1d(mouth, 12.0)
    turn = (geometry.pose[:, :2, 2] / iod).astype(np.float64)
    away = np.linalg.norm(turn - np.median(turn, axis=0), axis=1)
    value = sum(
        share * part / max(float(np.quantile(part, at)), 1e-9)
        for share, part, at in ((0.25, moving, 0.95), (0.6, speaking, 0.5), (0.15, away, 0.9))
    )
    clipped: F32 = np.clip(value, 0.0, 1.0).astype(np.float32)
    return clipped


def walk_parts(
    frames: U8, geometry: Geometry, hidden: U8, size: int, anchor: tuple[float, float, float]
) -> WalkParts:
    """Return what `engines.background.Background` reads, but the video.

    Args:
        frames: uint8[N, H*3/2, W], I420; geometry: fitted to them.
        hidden: uint8[S, S], not 0 where the renderer's picture is used.
        size: S; anchor: the crop's middle in head space.
    """
    head = head_parts(frames, geometry)
    arrays = {**head.arrays, "eyes": eye_ellipses(geometry)}
    shape = {"height": frames.shape[1] * 2 // 3, "width": frames.shape[2]}
    pictures = aligned(frames, geometry, HeadWarp({**head.params, **shape}, arrays))
    middle = np.median(geometry.pose, axis=0)[:2] @ np.array([*anchor, 1.0])
    left, top = (2 * round((float(at) - size // 2) / 2) for at in middle)
    jumps, costs = find_jumps(pictures, geometry, hidden, (left, top), unit=size / SIZE)
    walk: dict[str, NDArray[np.generic]] = {
        **arrays,
        "pose": geometry.pose,
        "jumps": jumps,
        "costs": costs,
        "unrest": unrest(geometry),
        "blinks": find_blinks(openness(frames, geometry)),
    }
    params = {**head.params, "blend": BLEND}
    crop = {"size": size, "anchor": list(anchor)}
    sway = least_sway({**params, **crop, **shape}, walk)
    return WalkParts({**params, "sway": sway}, walk)
