"""Fits frames to the appearance model that a person file holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.engines.person import Person
from visavis.finetune.appearance.align import Looks, Shape, Sight, align
from visavis.finetune.appearance.layout import Layout, halved

__all__ = ["seen_coefficients"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

STEPS = 4


def seen_coefficients(person: Person, frames: U8, pose: F32, tracked: F32) -> F32:
    """Return the coefficients f32[N, C] by which the person looks as in the frames.

    Args:
        person: who is seen.
        frames: uint8[N, H*3/2, W], I420, of the person's size.
        pose: f32[N, 3, 4], head space to pixels.
        tracked: f32[N, C], where to begin.
    """
    parts = person.stage_parts("raster")
    mean, basis = (np.asarray(parts[f"appearance_{name}"]) for name in ("mean", "basis"))
    size = mean.shape[1]
    points = np.zeros((len(parts["appearance_uv"]), 3), np.float32)
    points[:, :2] = parts["appearance_uv"]
    iod = float(np.median(np.linalg.norm(pose[:, 0, :3], axis=1)))
    triangles, lips = (np.asarray(parts[name], np.int32) for name in ("triangles", "lips"))
    sight = Sight(Layout(points, triangles, lips, size, iod))
    scale = np.asarray(parts["appearance_scale"], np.float64)

    def read(levels: NDArray[np.generic]) -> F64:
        return sight.of_picture(np.asarray(levels[:size], np.float32))

    looks = Looks(
        read((mean.astype(np.float32) - 128.0) / 128.0),
        np.stack([read(part) for part in basis]) * scale[:, None] / 128.0,
    )
    geometry = person.stage_parts("geometry")
    shape = Shape(
        np.asarray(geometry["mean"], np.float64), np.asarray(geometry["basis"], np.float64)
    )
    rows = [
        align(
            halved(frame),
            turn.astype(np.float64),
            begin.astype(np.float64),
            begin.astype(np.float64),
            shape,
            looks,
            sight,
            steps=STEPS,
        )
        for frame, turn, begin in zip(frames, pose, tracked, strict=True)
    ]
    return np.asarray(rows, np.float32)
