"""What is sent of each frame: another background, a part of it, its size, and the badge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.engines.i420 import planes_of
from visavis.server.look.badge import badge_for
from visavis.server.look.cutout import Blender
from visavis.server.look.look import Look, cropped
from visavis.server.media.scaling import Scaler

__all__ = ["MAX_KEPT", "Painter"]

U8 = NDArray[np.uint8]

MAX_KEPT = 25
"""Frames without alpha for which the last one's is taken: while an engine is started again, the
person hardly moves, and a second of another background would be noticed. After that they are shown
as filmed, which is wrong for nobody."""
GREY = 128


class Painter:
    """Paints one stream of frames. One caller at a time, from whatever thread."""

    def __init__(self) -> None:
        self._blender = Blender()
        self._scaler = Scaler()
        self._alpha: U8 | None = None
        self._kept = 0

    def paint(
        self, look: Look, i420: U8, alpha: U8 | None, size: tuple[int, int] | None = None
    ) -> U8:
        """Return what is sent of a frame.

        Args:
            look: of the session.
            i420: ``u8[H * 3 / 2, W]``, as the engine drew it; it is not changed.
            alpha: ``u8[H, W]``, how much of each pixel is the person; None where the engine did not
                say, which is also how a frame of another size than the look's is taken.
            size: width and height to send, even; with the matte below, each half of the height is.
                By default the look's own.

        Returns:
            ``u8[h * 3 / 2, w]``; the frame itself where nothing has to be done.
        """
        width, height = size or look.size
        if look.stacked:
            height //= 2
        fits = i420.shape == (look.height * 3 // 2, look.width)
        alpha = self._latest(alpha, i420.shape) if look.wants_matte and fits else None
        if alpha is not None:
            alpha = np.ascontiguousarray(_part(alpha, look))
        picture = cropped(i420, look.crop) if fits else i420
        if alpha is not None and look.behind is not None and look.difference is not None:
            picture = self._blender.blend(picture, alpha, look.behind, look.difference)
        picture = self._scaler.picture(picture, width, height)
        badge = badge_for(width, height) if look.badge else None
        if badge is not None:
            if picture is i420:
                picture = i420.copy()
            badge.stamp(picture)
        if not look.stacked:
            return picture
        if alpha is None:
            matte = np.full((height, width), 235, np.uint8)
        else:
            matte = _as_luma(self._scaler.grey(alpha, width, height))
        if badge is not None:
            badge.stamp_matte(matte)
        return _stacked(picture, matte)

    def _latest(self, alpha: U8 | None, shape: tuple[int, ...]) -> U8 | None:
        if alpha is not None:
            self._alpha, self._kept = alpha, 0
            return alpha
        self._kept += 1
        last = self._alpha
        if last is None or self._kept > MAX_KEPT or last.shape != (shape[0] * 2 // 3, shape[1]):
            self._alpha = None
        return self._alpha


def _part(alpha: U8, look: Look) -> U8:
    if look.crop is None:
        return alpha
    x, y, width, height = look.crop
    return alpha[y : y + height, x : x + width]


def _as_luma(alpha: U8) -> U8:
    """0..255 as 16..235, which a player shows as black to white."""
    luma = alpha * np.uint16(220)
    luma >>= 8
    luma += 16
    return luma.astype(np.uint8)


def _stacked(picture: U8, matte: U8) -> U8:
    """The picture, and below it the matte in grey."""
    height, width = matte.shape
    out = np.empty((height * 3, width), np.uint8)
    luma, *chroma = planes_of(out)
    above, *colors = planes_of(picture)
    luma[:height], luma[height:] = above, matte
    for plane, color in zip(chroma, colors, strict=True):
        plane[: height // 2], plane[height // 2 :] = color, GREY
    return out
