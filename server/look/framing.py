"""Which part of the frame is shown. Pure.

A part has the frame's own shape, so that nothing is stretched and the size that is sent stays. Its
edges lie at even pixels, where those of the chroma planes lie too.
"""

from __future__ import annotations

from typing import NamedTuple

from visavis.engines.client import PersonInfo
from visavis.server.look.choice import Zoom

__all__ = ["Crop", "crop_for", "framings_of"]

FACE_SHARES = {"face": 0.58, "shoulders": 0.36}
"""How much of the picture's height the face takes, from chin to hairline."""
FACE_HEIGHTS = {"face": 0.54, "shoulders": 0.42}
"""How far down the picture the middle of the face is: hair is wanted above, shoulders below."""
MOST_ZOOM = 4.0
LEAST_CHANGE = 0.95
"""Of the frame's height: a part that is hardly smaller is not worth a word."""


class Crop(NamedTuple):
    """A part of the frame, in even pixels."""

    x: int
    y: int
    width: int
    height: int


def crop_for(
    framing: str | Zoom, width: int, height: int, face: tuple[float, float, float] | None
) -> Crop | None:
    """Return the part that a framing shows; None for all of the frame.

    Args:
        framing: ``filmed``, ``shoulders``, ``face``, or numbers.
        width: of the frame.
        height: of the frame.
        face: x and y of its middle and its height, as shares of the frame's width, height and
            height; needed by ``shoulders`` and ``face``.
    """
    if isinstance(framing, Zoom):
        return _around(framing.x, framing.y, 1 / framing.zoom, width, height)
    if framing == "filmed" or face is None:
        return None
    x, y, size = face
    share = min(1.0, max(1 / MOST_ZOOM, size / FACE_SHARES[framing]))
    return _around(x, y + share * (0.5 - FACE_HEIGHTS[framing]), share, width, height)


def framings_of(person: PersonInfo) -> tuple[str, ...]:
    """The words that show another part of a person's frame than all of it."""
    if person.face is None:
        return ("filmed",)
    size = person.face[2]
    nearer = (word for word in ("shoulders", "face") if size < LEAST_CHANGE * FACE_SHARES[word])
    return ("filmed", *nearer)


def _around(x: float, y: float, share: float, width: int, height: int) -> Crop | None:
    """The part with its middle at (x, y), or as near to it as the frame's edges allow."""
    across, down = _even(share * width), _even(share * height)
    if (across, down) == (width, height):
        return None
    left = _even(min(max(0.0, x * width - across / 2), width - across))
    top = _even(min(max(0.0, y * height - down / 2), height - down))
    return Crop(left, top, across, down)


def _even(length: float) -> int:
    return round(length / 2) * 2
