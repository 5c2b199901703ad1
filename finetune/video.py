"""A clip's frames, in the colours that everything after the build uses."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError

__all__ = ["bt709_to_bt601", "read_clip", "to_rgb"]

# Kr, Kb of the two standards (ITU-R BT.709-6 item 3.2, BT.601-7 item 2.5.1).
BT709, BT601 = (0.2126, 0.0722), (0.299, 0.114)


def _to_rgb_matrix(kr: float, kb: float) -> NDArray[np.float64]:
    """Return the matrix from limited-range Y, Cb, Cr (offsets taken off) to R, G, B of 0..1."""
    kg = 1.0 - kr - kb
    full = np.array(
        [
            [1.0, 0.0, 2 * (1 - kr)],
            [1.0, -2 * kb * (1 - kb) / kg, -2 * kr * (1 - kr) / kg],
            [1.0, 2 * (1 - kb), 0.0],
        ]
    )
    limited: NDArray[np.float64] = full / np.array([219.0, 224.0, 224.0])
    return limited


def bt709_to_bt601(i420: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the same picture, coded with the other matrix.

    Args:
        i420: uint8[..., H*3/2, W], limited range.

    Returns:
        uint8 of the same shape, limited range.
    """
    *lead, rows, width = i420.shape
    height = rows * 2 // 3
    matrix = np.linalg.inv(_to_rgb_matrix(*BT601)) @ _to_rgb_matrix(*BT709)
    flat = i420.reshape(-1, rows * width)
    luma = flat[:, : height * width].reshape(-1, height, width).astype(np.float32) - 16.0
    stored = flat[:, height * width :].reshape(-1, 2, height // 2, width // 2)
    chroma = stored.astype(np.float32) - 128.0
    mixed = np.einsum("ij,njhw->nihw", matrix[1:, 1:].astype(np.float32), chroma)
    shift = np.einsum("j,njhw->nhw", matrix[0, 1:].astype(np.float32), chroma)
    luma += shift.repeat(2, axis=1).repeat(2, axis=2)
    out = np.concatenate(
        [(luma + 16.0).reshape(len(flat), -1), (mixed + 128.0).reshape(len(flat), -1)], axis=1
    )
    levels: NDArray[np.uint8] = np.clip(np.rint(out), 16, 240).astype(np.uint8)
    return levels.reshape(*lead, rows, width)


def read_clip(path: Path) -> NDArray[np.uint8]:
    """Return a clip's frames as I420, BT.601, limited range.

    Returns:
        uint8[N, H*3/2, W].

    Raises:
        PersonFileError: it cannot be decoded, or is not 25 frames a second.
    """
    frames = []
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate
            if rate is None or abs(float(rate) - 25.0) > 0.01:
                raise PersonFileError(f"{path} has {rate} frames a second; convert it to 25.")
            wide = False
            for frame in container.decode(stream):
                wide = frame.colorspace == Colorspace.ITU709
                if frame.color_range == ColorRange.JPEG:
                    frame = frame.reformat(format="yuv420p", dst_color_range=ColorRange.MPEG)
                frames.append(frame.to_ndarray(format="yuv420p").astype(np.uint8, copy=False))
    except (FFmpegError, IndexError) as error:
        raise PersonFileError(f"{path} cannot be decoded: {error}.") from None
    if not frames:
        raise PersonFileError(f"{path} holds no pictures.")
    if not wide:
        return np.stack(frames)
    return np.stack([bt709_to_bt601(frame) for frame in frames])


def to_rgb(i420: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8[H, W, 3] of one BT.601 limited-range frame uint8[H*3/2, W]."""
    rows, width = i420.shape
    height = rows * 2 // 3
    luma = i420[:height].astype(np.float32) - 16.0
    chroma = i420[height:].reshape(2, height // 2, width // 2).astype(np.float32) - 128.0
    wide = chroma.repeat(2, axis=1).repeat(2, axis=2)
    ycc = np.stack([luma, wide[0], wide[1]], axis=-1)
    rgb = ycc @ _to_rgb_matrix(*BT601).T.astype(np.float32)
    return np.clip(np.rint(rgb * 255.0), 0, 255).astype(np.uint8)
