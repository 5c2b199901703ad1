"""A picture to look at: frames of a person that hears a voice, and beside them the same in silence.

Rows: the whole frame with the voice; the crop with it, the crop in silence; the mouth with it, and
in silence.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from visavis.export.imports.rehearsal import Rehearsal

__all__ = ["contact_sheet", "png"]

U8 = NDArray[np.uint8]

COLUMNS, CELL = 6, 160


def contact_sheet(seen: Rehearsal, mouth: tuple[int, int, int, int]) -> bytes:
    """Return a PNG of 6 columns and 5 rows.

    Args:
        seen: the frames.
        mouth: x0, y0, x1, y1 in the crop.
    """
    left, top, right, bottom = mouth
    count = min(COLUMNS, len(seen.spoken))
    shown = np.linspace(0, len(seen.spoken) - 1, count).astype(np.int64)
    crops = (seen.spoken_crops, seen.silent_crops)
    rows = [[_fitted(_rgb(seen.spoken[k])) for k in shown]]
    rows += [[_fitted(_grey(crop[k])) for k in shown] for crop in crops]
    rows += [[_fitted(_grey(crop[k][top:bottom, left:right])) for k in shown] for crop in crops]
    return png(np.concatenate([np.concatenate(row, axis=1) for row in rows]))


def png(picture: U8) -> bytes:
    """Return RGB uint8[H, W, 3] as PNG."""
    context: Any = av.CodecContext.create("png", "w")
    context.width, context.height = picture.shape[1], picture.shape[0]
    context.pix_fmt, context.time_base = "rgb24", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def _rgb(i420: U8) -> U8:
    frame = av.VideoFrame.from_ndarray(i420, "yuv420p")
    rgb = frame.reformat(
        format="rgb24",
        src_colorspace=Colorspace.ITU601,
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    return rgb.to_ndarray().astype(np.uint8, copy=False)


def _grey(luma: U8) -> U8:
    full = np.clip((luma.astype(np.float32) - 16.0) * 255.0 / 219.0, 0, 255)
    return np.repeat(np.rint(full).astype(np.uint8)[..., None], 3, axis=2)


def _fitted(picture: U8) -> U8:
    """Return a picture within a cell: as large as it fits, the rest black."""
    height, width = picture.shape[:2]
    scale = CELL / max(height, width)
    rows, columns = max(round(height * scale), 1), max(round(width * scale), 1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
    cell = np.zeros((CELL, CELL, 3), np.uint8)
    top, left = (CELL - rows) // 2, (CELL - columns) // 2
    cell[top : top + rows, left : left + columns] = frame.reformat(columns, rows).to_ndarray()
    return cell
