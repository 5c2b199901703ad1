"""Pictures for people to look at: faces beside each other, and strips of mouths."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from visavis.engines.i420 import planes_of
from visavis.finetune.background import jpeg
from visavis.finetune.lips.yardstick.clips import FPS
from visavis.finetune.video import to_rgb

__all__ = ["Box", "FACE", "MOUTH", "crop", "faces", "mouths", "png"]

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]


class Box:
    """A box that follows the head.

    Args:
        x, y, z: its middle, head space.
        half, up, down: how far it reaches to both sides, up and down, IOD.
    """

    def __init__(self, x: float, y: float, z: float, half: float, up: float, down: float) -> None:
        self._middle = np.array([x, y, z])
        self._half, self._up, self._down = half, up, down

    def size(self, iod: float) -> tuple[int, int]:
        """Width and height in pixels, even."""
        return 2 * round(self._half * iod), 2 * round((self._up + self._down) * iod / 2)

    def corner(self, pose: F32, iod: float, width: int, height: int) -> tuple[int, int]:
        """Left and top in a frame of that size, even and inside it."""
        x, y = (pose[:2, :3] @ self._middle + pose[:2, 3]).tolist()
        own = self.size(iod)
        left = 2 * round((x - own[0] / 2) / 2)
        top = 2 * round((y - self._up * iod) / 2)
        left, top = min(left, width - own[0]), min(top, height - own[1])
        return max(0, left), max(0, top)


BETWEEN = 30  # level of what is between mouths
FACE = Box(0.0, 0.4, -0.2, 0.86, 1.0, 1.0)
MOUTH = Box(0.0, 0.8, -0.2, 0.31, 0.26, 0.28)


def crop(frame: U8, left: int, top: int, width: int, height: int) -> U8:
    """Return a part of an I420 frame, I420; everything even, and cut where the frame ends."""
    parts = []
    for plane, unit in zip(planes_of(frame), (1, 2, 2), strict=True):
        part = plane[
            top // unit : (top + height) // unit,
            left // unit : (left + width) // unit,
        ]
        parts.append(part)
    wide = parts[0].shape[1]
    return np.concatenate([np.ascontiguousarray(p).ravel() for p in parts]).reshape(-1, wide)


def _row(frames: Sequence[U8], poses: Sequence[F32] | F32, box: Box, iod: float) -> list[U8]:
    crops = []
    for frame, pose in zip(frames, poses, strict=True):
        height, width = len(frame) * 2 // 3, frame.shape[1]
        left, top = box.corner(pose, iod, width, height)
        crops.append(crop(frame, left, top, *box.size(iod)))
    return crops


def faces(frames: Sequence[U8], poses: Sequence[F32] | F32, iod: float) -> bytes:
    """Return faces beside each other as JPEG.

    Args:
        frames: uint8[H*3/2, W], I420; poses: f32[3, 4] of each.
        iod: pixels between the eyes, the same for all.
    """
    planes = [planes_of(c) for c in _row(frames, poses, FACE, iod)]
    joined = [np.concatenate([p[i] for p in planes], axis=1) for i in range(3)]
    wide = joined[0].shape[1]
    return jpeg(np.concatenate([plane.ravel() for plane in joined]).reshape(-1, wide))


def mouths(frames: Sequence[U8], poses: Sequence[F32] | F32, iod: float, gap: int = 0) -> U8:
    """Return mouths beside each other, uint8[h, w, 3], RGB; arguments as of `faces`."""
    crops = [to_rgb(c) for c in _row(frames, poses, MOUTH, iod)]
    padded = [np.pad(c, ((0, 0), (0, gap), (0, 0)), constant_values=BETWEEN) for c in crops[:-1]]
    return np.concatenate([*padded, crops[-1]], axis=1)


def png(rgb: U8) -> bytes:
    """Return uint8[h, w, 3] as PNG."""
    context: Any = av.CodecContext.create("png", "w")
    context.height, context.width = rgb.shape[:2]
    context.pix_fmt = "rgb24"
    context.time_base = Fraction(1, FPS)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
    packets = [*context.encode(frame), *context.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
