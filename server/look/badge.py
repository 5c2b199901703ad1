"""The badge: 'AI-generated', at the bottom left, in the picture's own pixels.

Whoever records, forwards or photographs the picture has it too. It is drawn at the size that is
sent, so that it stays sharp when the picture gets smaller.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from visavis.engines.i420 import planes_of
from visavis.server.media.picture_file import decode_picture

__all__ = ["Badge", "badge_for"]

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
F32 = NDArray[np.float32]

WORDS = Path(__file__).with_name("badge.png")
"""White on black, from the highest letter's top to the lowest one's foot: scripts/make-badge."""
TEXT_SHARE = 0.034
"""Height of the letters, of the picture's shorter side."""
LEAST_TEXT = 11
"""Pixels: with fewer the letters cannot be read, and an encoder blurs them."""
PAD_ACROSS, PAD_DOWN = 0.62, 0.38
"""Of the letters' height: from them to the plate's edge."""
MARGIN_SHARE = 0.028
"""Of the shorter side: from the plate to the picture's edges."""
DARK = 0.58
"""How much of the picture the plate covers: enough for white letters on a white wall."""
BLACK, WHITE, GREY = 16, 235, 128
ONE = 256


class Badge(NamedTuple):
    """The badge for pictures of one size.

    Attributes:
        width, height: of the pictures.
        x, y: of its corner, even.
        keep: u16[h, w], how much of the picture shines through, of 256.
        light: u16[h, w], the luma that is added, times 256.
        keep_chroma: u16[h / 2, w / 2], likewise.
    """

    width: int
    height: int
    x: int
    y: int
    keep: U16
    light: U16
    keep_chroma: U16

    def stamp(self, i420: U8) -> None:
        """Draw it into a picture, ``u8[height * 3 / 2, width]``."""
        luma, *chroma = planes_of(i420)
        _over(self._part(luma, 1), self.keep, self.light)
        grey = (ONE - self.keep_chroma) * np.uint16(GREY)
        for plane in chroma:
            _over(self._part(plane, 2), self.keep_chroma, grey)

    def stamp_matte(self, matte: U8) -> None:
        """Cover what is below it in a matte, ``u8[height, width]`` from 16 to 235."""
        _over(self._part(matte, 1), self.keep, (ONE - self.keep) * np.uint16(WHITE))

    def _part(self, plane: U8, step: int) -> U8:
        rows, columns = self.keep.shape
        x, y = self.x // step, self.y // step
        return plane[y : y + rows // step, x : x + columns // step]


@lru_cache(maxsize=32)
def badge_for(width: int, height: int) -> Badge | None:
    """The badge of a size of pictures; None where it would not fit in."""
    short = min(width, height)
    text = max(LEAST_TEXT, round(short * TEXT_SHARE))
    words = _words()
    across = round(words.shape[1] * text / words.shape[0])
    rows, columns = _even(text * (1 + 2 * PAD_DOWN)), _even(across + 2 * text * PAD_ACROSS)
    margin = _even(max(4, short * MARGIN_SHARE))
    if columns + margin > width or rows + margin > height:
        return None
    letters = np.zeros((rows, columns), np.float32)
    top, left = (rows - text) // 2, (columns - across) // 2
    letters[top : top + text, left : left + across] = _resized(words, text, across)
    plate = DARK * _rounded(rows, columns, rows / 2)
    # Letters over the plate over the picture.
    keep = (1 - letters) * (1 - plate)
    light = letters * WHITE + (1 - letters) * plate * BLACK
    quarter = keep.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
    return Badge(
        width,
        height,
        margin,
        (height - margin - rows) // 2 * 2,
        np.round(keep * ONE).astype(np.uint16),
        np.round(light * ONE).astype(np.uint16),
        np.round(quarter * ONE).astype(np.uint16),
    )


def _over(part: U8, keep: U16, added: U16) -> None:
    mixed = part * keep
    mixed += added
    mixed += ONE // 2
    mixed >>= 8
    np.copyto(part, mixed, casting="unsafe")


@lru_cache(maxsize=1)
def _words() -> F32:
    return np.asarray(decode_picture(WORDS.read_bytes())[..., 0] / 255, np.float32)


def _resized(picture: F32, rows: int, columns: int) -> F32:
    """Each pixel is the mean of the area that it covers."""
    return _averaged(_averaged(picture, rows).T, columns).T


def _averaged(picture: F32, rows: int) -> F32:
    sums = np.vstack([np.zeros((1, picture.shape[1])), np.cumsum(picture, axis=0, dtype=float)])
    edges = np.linspace(0, picture.shape[0], rows + 1)
    whole = edges.astype(int).clip(max=picture.shape[0] - 1)
    at = sums[whole] + (edges - whole)[:, None] * picture[whole]
    return np.asarray(np.diff(at, axis=0) * rows / picture.shape[0], np.float32)


def _rounded(rows: int, columns: int, radius: float) -> F32:
    """How much of each pixel a rectangle with round corners covers."""
    y = np.abs(np.arange(rows) + 0.5 - rows / 2) - (rows / 2 - radius)
    x = np.abs(np.arange(columns) + 0.5 - columns / 2) - (columns / 2 - radius)
    outside = np.hypot(np.maximum(y, 0)[:, None], np.maximum(x, 0)[None, :])
    return np.asarray(np.clip(radius - outside + 0.5, 0, 1), np.float32)


def _even(length: float) -> int:
    return round(length / 2) * 2
