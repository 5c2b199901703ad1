"""A clip's frames, in the colours that everything after the build uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError

__all__ = ["Taker", "View", "bt709_to_bt601", "read_clip", "to_rgb"]

# Kr, Kb of the two standards (ITU-R BT.709-6 item 3.2, BT.601-7 item 2.5.1).
BT709, BT601 = (0.2126, 0.0722), (0.299, 0.114)
# Lines above which a picture that does not name its matrix has that of BT.709, as players take it.
STANDARD_LINES = 576
UNNAMED = 2  # AVCOL_SPC_UNSPECIFIED


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


@dataclass(frozen=True, slots=True)
class View:
    """Which part of a decoded picture is wanted, and how large. All numbers of pixels are even.

    Attributes:
        turns: quarter turns counterclockwise that set the picture upright.
        one_field: take every other line alone, those of one moment of an interlaced picture.
        left, top, width, height: of the part, in decoded pixels of the upright picture; with
            `one_field` in its lines as they are left.
        out_width, out_height: of what is made of it.
    """

    turns: int
    one_field: bool
    left: int
    top: int
    width: int
    height: int
    out_width: int
    out_height: int


def _matrix_of(frame: av.VideoFrame) -> int:
    """Return the colour space that a picture has, or, where it does not say so, probably has."""
    named = int(frame.colorspace)
    if named in (Colorspace.ITU709, Colorspace.FCC, Colorspace.SMPTE240M, Colorspace.BT2020):
        return named
    if named == UNNAMED and min(frame.width, frame.height) > STANDARD_LINES:
        return int(Colorspace.ITU709)
    return int(Colorspace.ITU601)


def _part(plane: NDArray[np.generic], view: View, unit: int) -> NDArray[np.generic]:
    """Return what a view takes of a plane that has one sample in `unit` x `unit` pixels."""
    lines = plane[::2] if view.one_field else plane
    upright = np.rot90(lines, view.turns)
    top, left = view.top // unit, view.left // unit
    return upright[top : top + view.height // unit, left : left + view.width // unit]


class Taker:
    """Makes a part of any decoded picture I420, BT.601, limited range.

    Args:
        view: what to take.
        tone: bring high dynamic range to the standard one; preparing for it takes seconds.
    """

    def __init__(self, view: View, *, tone: bool = True) -> None:
        self._view = view
        self._tone = tone
        # These keep what they prepared for one kind of picture.
        self._plain, self._small = VideoReformatter(), VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Return uint8[out_height * 3/2, out_width]."""
        view = self._view
        hdr = self._tone and frame.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
        deep = max(part.bits for part in frame.format.components) > 8
        matrix = _matrix_of(frame)
        plain = self._plain.reformat(
            frame,
            frame.width // 2 * 2,
            frame.height // 2 * 2,
            "yuv420p10le" if deep else "yuv420p",
            src_colorspace=matrix,
            dst_colorspace=Colorspace.ITU601 if frame.format.is_rgb else matrix,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        stored = plain.to_ndarray()
        rows, width = stored.shape
        chroma = stored[rows * 2 // 3 :].reshape(2, rows // 3, width // 2)
        planes = (stored[: rows * 2 // 3], chroma[0], chroma[1])
        parts = [_part(p, view, u).ravel() for p, u in zip(planes, (1, 2, 2), strict=True)]
        small = av.VideoFrame.from_ndarray(
            np.concatenate(parts).reshape(-1, view.width), plain.format.name
        )
        small.colorspace, small.color_range = plain.colorspace, ColorRange.MPEG
        small.color_trc, small.color_primaries = frame.color_trc, frame.color_primaries
        made = self._small.reformat(
            small,
            view.out_width,
            view.out_height,
            "yuv420p",
            src_colorspace=Colorspace.ITU601 if frame.format.is_rgb else matrix,
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            dst_color_trc=ColorTrc.BT709 if hdr else None,
            dst_color_primaries=ColorPrimaries.BT709 if hdr else None,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
            threads=1,
        )
        return made.to_ndarray().astype(np.uint8, copy=False)
