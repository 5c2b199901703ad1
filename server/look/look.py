"""A session's look: its choice, and everything that painting it needs, worked out beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import PersonInfo
from visavis.engines.errors import EngineError
from visavis.engines.i420 import planes_of
from visavis.server.look.choice import LookChoice, PictureName
from visavis.server.look.cutout import blurred, difference_of, solid
from visavis.server.look.framing import Crop, crop_for

__all__ = ["BLACK", "Look", "cropped", "filmed", "make_look"]

U8 = NDArray[np.uint8]

BLACK = (16, 128, 128)
"""Y, U and V of black in BT.601's limited range."""
MOST_BLOCKS = 3600
"""Of 16 x 16 pixels in a frame of H.264 at level 3.1, which is what browsers offer (H.264, A.3)."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What is made of each frame of a session. It never changes; any thread may use it.

    Attributes:
        width, height: of the engine's frames.
        choice: what was chosen.
        badge: whether a badge says that the picture is AI-generated.
        crop: the part that is shown; None for all of it.
        behind: I420 of the new background, of the part's size; None for the one that was filmed.
        difference: ``i16``, from the one that was filmed to the new one, likewise.
        stacked: whether the matte is sent below the picture.
    """

    width: int
    height: int
    choice: LookChoice = LookChoice()
    badge: bool = True
    crop: Crop | None = None
    behind: U8 | None = None
    difference: NDArray[np.int16] | None = None
    stacked: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what is sent at full size; twice as high with the matte below."""
        if not self.stacked:
            return self.width, self.height
        return _within(self.width, self.height)

    @property
    def wants_matte(self) -> bool:
        """Whether frames need alpha."""
        return self.behind is not None

    def flat(self) -> Look:
        """The same for who cannot take transparency: black behind, the person's own size."""
        return replace(self, stacked=False) if self.stacked else self

    def said(self) -> dict[str, Any]:
        """Return `background` and `framing` as JSON."""
        return self.choice.said()


def filmed(person: PersonInfo, *, badge: bool) -> Look:
    """The look of a session that chose nothing."""
    return Look(person.width, person.height, badge=badge)


def make_look(
    person: PersonInfo,
    choice: LookChoice,
    *,
    badge: bool,
    plate: U8 | None = None,
    picture: U8 | None = None,
) -> Look:
    """Work out a look; takes up to a hundred milliseconds.

    Args:
        person: who is shown.
        choice: what is wanted of them.
        badge: whether a badge is drawn.
        plate: ``u8[H * 3 / 2, W]``, what stood behind them; needed by every new background.
        picture: of the same size, where the choice is a picture.

    Raises:
        EngineError: there is no plate, or it has another size.
    """
    width, height = person.width, person.height
    crop = crop_for(choice.framing, width, height, person.face)
    look = Look(width, height, choice, badge, crop)
    if not choice.wants_matte:
        return look
    if plate is None or plate.shape != (height * 3 // 2, width):
        raise EngineError("What stood behind this person is not known; show them as filmed.")
    new = cropped(_background(choice, plate, picture), crop)
    return replace(
        look,
        behind=new,
        difference=difference_of(new, cropped(plate, crop)),
        stacked=choice.is_transparent,
    )


def cropped(i420: U8, crop: Crop | None) -> U8:
    """A part of an I420 picture, in memory of its own; the picture itself for all of it."""
    if crop is None:
        return i420
    x, y, width, height = crop
    out = np.empty((height * 3 // 2, width), np.uint8)
    for plane, part, step in zip(planes_of(i420), planes_of(out), (1, 2, 2), strict=True):
        rows = slice(y // step, (y + height) // step)
        part[:] = plane[rows, x // step : (x + width) // step]
    return out


def _background(choice: LookChoice, plate: U8, picture: U8 | None) -> U8:
    height, width = plate.shape[0] * 2 // 3, plate.shape[1]
    background = choice.background
    if isinstance(background, PictureName):
        if picture is None or picture.shape != plate.shape:
            raise EngineError("A background picture must have the size of the person's frames.")
        return picture
    if background == "blurred":
        return blurred(plate)
    if background == "transparent":
        return solid(*BLACK, width, height)
    red, green, blue = (int(background[at : at + 2], 16) for at in (1, 3, 5))
    return solid(*_yuv(red, green, blue), width, height)


def _yuv(red: int, green: int, blue: int) -> tuple[int, int, int]:
    """BT.601, limited range (ITU-R BT.601-7, 2.5)."""
    r, g, b = red / 255, green / 255, blue / 255
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return (
        round(16 + 219 * y),
        round(128 + 224 * (b - y) / 1.772),
        round(128 + 224 * (r - y) / 1.402),
    )


def _within(width: int, height: int) -> tuple[int, int]:
    """Twice the height; smaller where a decoder of level 3.1 could not take that."""
    share = 1.0
    across, down = width, height
    while math.ceil(across / 16) * math.ceil(2 * down / 16) > MOST_BLOCKS:
        share -= 0.01
        across, down = int(width * share) // 2 * 2, int(height * share) // 2 * 2
    return across, 2 * down
