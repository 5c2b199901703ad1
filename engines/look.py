"""`look` of `person.json`: what a visitor's choice of background and framing needs of a person.

A **matte** says how much of each pixel is the person, for every frame of the footage; the **plate**
is what stood behind them. Both were made with the person, so a frame before another background
costs no network: what is not the person is known, and changes by the difference of the two
backgrounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from visavis.engines.errors import PersonFileError
from visavis.engines.fields import as_list, as_object, check_keys

__all__ = ["LookSpec", "face_of", "look_of"]

SMALLEST_FACE = 0.02  # of the frame's height

PartOf = Callable[[str, Any, tuple[str, ...]], str]


@dataclass(frozen=True, slots=True)
class LookSpec:
    """The checked entry.

    Attributes:
        face: x and y of the face's middle and its height, as shares of the frame's width, height
            and height; None where nobody said.
        matte, plate: names of parts; both or neither.
    """

    face: tuple[float, float, float] | None = None
    matte: str | None = None
    plate: str | None = None


def look_of(value: Any, part: PartOf) -> LookSpec:
    """Check the entry.

    Args:
        value: as it was parsed; None where there is none.
        part: returns a name if it is among the parts and ends as it must.

    Raises:
        PersonFileError: it is malformed.
    """
    if value is None:
        return LookSpec()
    entry = as_object("look", value)
    check_keys("look", entry, frozenset(), frozenset({"face", "matte", "plate"}))
    if ("matte" in entry) != ("plate" in entry):
        raise PersonFileError("look must have a matte and a plate, or neither.")
    face = face_of("look: face", entry["face"]) if "face" in entry else None
    if "matte" not in entry:
        return LookSpec(face)
    return LookSpec(
        face,
        part("look: matte", entry["matte"], (".mp4",)),
        part("look: plate", entry["plate"], (".jpg",)),
    )


def face_of(where: str, value: Any) -> tuple[float, float, float]:
    """Return where a face is; see `LookSpec`.

    Args:
        where: begins the sentence.

    Raises:
        PersonFileError: it is no such thing.
    """
    numbers = as_list(where, value, 3)
    lows = (0.0, 0.0, SMALLEST_FACE)
    if len(numbers) != 3 or not all(
        isinstance(number, int | float) and not isinstance(number, bool) and low <= number <= 1.0
        for number, low in zip(numbers, lows, strict=True)
    ):
        raise PersonFileError(
            f"{where} must be x, y and a height, shares of the frame from 0 to 1, "
            f"the height at least {SMALLEST_FACE}."
        )
    x, y, height = map(float, numbers)
    return x, y, height
