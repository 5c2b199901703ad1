"""What a visitor chose of background and framing, as they write it and as it is kept. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from visavis.engines.client import PersonInfo
from visavis.engines.errors import ControlError

__all__ = [
    "BACKGROUNDS",
    "FRAMINGS",
    "KEYS",
    "OWN",
    "LookChoice",
    "PictureName",
    "Zoom",
    "backgrounds_of",
]

KEYS = frozenset({"background", "framing"})
"""What of a visitor's changes is the server's to do; the rest is the engine's."""
BACKGROUNDS = ("filmed", "blurred", "color", "transparent", "picture")
FRAMINGS = ("filmed", "shoulders", "face")
OWN = "own"
"""The name of the picture that a session's visitor sent."""
COLOR = re.compile(r"#[0-9a-fA-F]{6}")
ZOOM = (1.0, 4.0)


@dataclass(frozen=True, slots=True)
class PictureName:
    """A background picture: one of the server's, or `OWN`."""

    name: str


@dataclass(frozen=True, slots=True)
class Zoom:
    """A part of the frame.

    Attributes:
        zoom: the frame's width over the part's, 1 to 4.
        x, y: its middle, 0 to 1 of the frame's width and height; moved so that it lies inside.
    """

    zoom: float
    x: float = 0.5
    y: float = 0.5


@dataclass(frozen=True, slots=True)
class LookChoice:
    """A session's choice.

    Attributes:
        background: ``filmed``, ``blurred``, ``transparent``, ``#rrggbb`` or a picture.
        framing: one of `FRAMINGS`, or a part of the frame.
    """

    background: str | PictureName = "filmed"
    framing: str | Zoom = "filmed"

    @property
    def wants_matte(self) -> bool:
        """Whether frames need alpha."""
        return self.background != "filmed"

    @property
    def is_transparent(self) -> bool:
        """Whether the receiver gets the matte and draws what is behind."""
        return self.background == "transparent"

    @property
    def is_own(self) -> bool:
        """Whether it is the picture that the visitor sent."""
        return self.background == PictureName(OWN)

    def changed(
        self, changes: Mapping[str, Any], person: PersonInfo, pictures: Collection[str]
    ) -> LookChoice:
        """Return it with changes as a visitor writes them.

        Args:
            changes: any of `background` and `framing`, as :func:`said` writes them.
            person: who is shown.
            pictures: names of pictures that there are.

        Raises:
            ControlError: the person or the server does not offer it, or it is no such thing.
        """
        choice = self
        if "background" in changes:
            background = _background(changes["background"], person, pictures)
            choice = replace(choice, background=background)
        if "framing" in changes:
            choice = replace(choice, framing=_framing(changes["framing"], person))
        return choice

    def said(self) -> dict[str, Any]:
        """Return it as JSON."""
        background, framing = self.background, self.framing
        return {
            "background": {"picture": background.name}
            if isinstance(background, PictureName)
            else background,
            "framing": {"zoom": framing.zoom, "x": framing.x, "y": framing.y}
            if isinstance(framing, Zoom)
            else framing,
        }


def backgrounds_of(person: PersonInfo) -> tuple[str, ...]:
    """What can be behind a person; ``color`` stands for ``#rrggbb``."""
    return BACKGROUNDS if person.has_matte else BACKGROUNDS[:1]


def _background(asked: Any, person: PersonInfo, pictures: Collection[str]) -> str | PictureName:
    if asked == "filmed":
        return "filmed"
    if not person.has_matte:
        raise ControlError("This person is shown before the background they were filmed with.")
    if isinstance(asked, Mapping):
        return _picture(asked, pictures)
    if isinstance(asked, str):
        if COLOR.fullmatch(asked):
            return asked.lower()
        if asked in ("blurred", "transparent"):
            return asked
        raise ControlError(
            f"There is no background {asked[:60]!r}; there is filmed, blurred, transparent, a "
            'color as "#rrggbb", and {"picture": NAME}.'
        )
    raise ControlError('The background must be a word, a color or {"picture": NAME}.')


def _picture(asked: Mapping[str, Any], pictures: Collection[str]) -> PictureName:
    name = asked.get("picture")
    if set(asked) != {"picture"} or not isinstance(name, str):
        raise ControlError('A picture is chosen as {"picture": NAME}.')
    if name in pictures:
        return PictureName(name)
    if name == OWN:
        raise ControlError("There is no picture of yours; send it first.")
    raise ControlError(f"There is no picture {name[:60]!r}.")


def _framing(asked: Any, person: PersonInfo) -> str | Zoom:
    if asked == "filmed":
        return "filmed"
    if isinstance(asked, Mapping):
        return _zoom(asked)
    if isinstance(asked, str) and asked in FRAMINGS:
        if person.face is None:
            raise ControlError("Nobody said where this person's face is; frame it with numbers.")
        return asked
    shown = f" {asked[:60]!r}" if isinstance(asked, str) else " of that kind"
    raise ControlError(
        f"There is no framing{shown}; there is {', '.join(FRAMINGS)}, and "
        '{"zoom": 1 to 4, "x": 0 to 1, "y": 0 to 1}.'
    )


def _zoom(asked: Mapping[str, Any]) -> Zoom:
    if "zoom" not in asked or set(asked) - {"zoom", "x", "y"}:
        raise ControlError('A framing in numbers has "zoom", and "x" and "y" if you like.')
    return Zoom(
        zoom=_number("zoom", asked["zoom"], *ZOOM),
        x=_number("x", asked.get("x", 0.5), 0.0, 1.0),
        y=_number("y", asked.get("y", 0.5), 0.0, 1.0),
    )


def _number(name: str, value: Any, low: float, high: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:  # which NaN is not either
        raise ControlError(f"The framing's {name} must be a number from {low:g} to {high:g}.")
    return float(value)
