"""What a visitor may choose of a person: a style of speaking, where the head comes from, a
performance that is played instead of the voice, and whether frames come with alpha.

`controls` of `person.json` says what there is. A session's choice is a `Controls`, which never
changes; another choice is another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import ControlNames
from visavis.engines.errors import ControlError, PersonFileError
from visavis.engines.fields import as_integer, as_list, as_object, as_text, check_keys
from visavis.engines.person import Person

__all__ = ["HEADS", "ControlSpec", "Controls", "control_names", "controls_of"]

F32 = NDArray[np.float32]

HEADS = ("own", "still", "generated", "driven")
"""Where the head's pose comes from: the person's footage as filmed; one frame of it; what the
motion network says; a track in the person file."""
STYLES, PERFORMANCES = "controls: styles", "controls: performances"
MAX_CODE = 100.0  # of a style code's numbers, which are standard deviations


@dataclass(frozen=True, slots=True)
class Controls:
    """A session's choice.

    Attributes:
        style: the code, f32[D]; None where the person has none.
        head: one of `HEADS`; None where the person's head is not to be chosen.
        performance: which one is played; None for the voice.
        matte: frames come with alpha.
    """

    style: tuple[float, ...] | None = None
    head: str | None = None
    performance: int | None = None
    matte: bool = False


@dataclass(frozen=True, slots=True)
class ControlSpec:
    """What can be chosen.

    Attributes:
        styles: names of the style codes.
        codes: f32[K, D], one of each name.
        heads: some of `HEADS`, the first is the default.
        performances: names.
        played: per performance f32[T, C], coefficients that take the place of the voice's.
        start: the choice of a session that chose nothing.
        matte: the person has one.
    """

    styles: tuple[str, ...] = ()
    codes: F32 = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    heads: tuple[str, ...] = ()
    performances: tuple[str, ...] = ()
    played: tuple[F32, ...] = ()
    start: Controls = Controls()
    matte: bool = False

    def changed(self, controls: Controls, changes: Mapping[str, Any]) -> Controls:
        """Return `controls` with changes as a visitor writes them.

        Args:
            changes: any of `style`: a name, an object of names and weights, which are divided by
                their sum, or a list of D numbers; `head`: one of `heads`; `performance`: a name, or
                None for the voice; `matte`: true or false.

        Raises:
            ControlError: the person does not offer it, or it is no such thing.
        """
        if unknown := sorted(set(changes) - {"style", "head", "performance", "matte"}):
            raise ControlError(f"There is no control {str(unknown[0])[:60]!r}.")
        if "style" in changes:
            controls = replace(controls, style=self._style(changes["style"]))
        if "head" in changes:
            head = _one_of("head", changes["head"], self.heads)
            controls = replace(controls, head=head)
        if "performance" in changes:
            name = changes["performance"]
            place = (
                None
                if name is None
                else self.performances.index(_one_of("performance", name, self.performances))
            )
            controls = replace(controls, performance=place)
        if "matte" in changes:
            controls = replace(controls, matte=self._matte(changes["matte"]))
        return controls

    def said(self, controls: Controls) -> dict[str, Any]:
        """Return a choice as JSON; see `client.EngineSession.control`."""
        played = controls.performance
        return {
            "style": None if controls.style is None else list(controls.style),
            "head": controls.head,
            "performance": None if played is None else self.performances[played],
            "matte": controls.matte,
        }

    def _matte(self, asked: Any) -> bool:
        if not isinstance(asked, bool):
            raise ControlError("The matte is true or false.")
        if asked and not self.matte:
            raise ControlError("This person has no matte, so there is no other background.")
        return asked

    def _style(self, asked: Any) -> tuple[float, ...]:
        if not self.styles:
            raise ControlError("This person has no styles to choose from.")
        if isinstance(asked, list):
            return self._code(asked)
        weights = asked if isinstance(asked, dict) else {asked: 1.0}
        if not weights or len(weights) > len(self.styles):
            raise ControlError("A blend is of one or more of the person's styles.")
        total = np.zeros(self.codes.shape[1])
        whole = 0.0
        for name, weight in weights.items():
            place = self.styles.index(_one_of("style", name, self.styles))
            if not _is_number(weight) or not 0.0 <= weight <= 1e6:
                raise ControlError(f"The weight of the style {name!r} must be a number from 0 on.")
            total += float(weight) * self.codes[place]
            whole += float(weight)
        if whole <= 0.0:
            raise ControlError("The weights of a blend must not all be 0.")
        return tuple((total / whole).tolist())

    def _code(self, numbers: Sequence[Any]) -> tuple[float, ...]:
        count = self.codes.shape[1]
        if len(numbers) != count:
            raise ControlError(f"A style code of this person has {count} numbers.")
        if not all(_is_number(value) and abs(value) <= MAX_CODE for value in numbers):
            raise ControlError(f"A style code is of numbers from -{MAX_CODE:g} to {MAX_CODE:g}.")
        return tuple(float(value) for value in numbers)


def control_names(manifest: Mapping[str, Any]) -> ControlNames:
    """Return what a `person.json` says can be chosen, without looking at any part.

    Raises:
        PersonFileError: it is malformed.
    """
    entry = _entry(manifest)
    styles: tuple[str, ...] = ()
    style = None
    if (value := entry.get("styles")) is not None:
        given = as_object(STYLES, value)
        check_keys(STYLES, given, frozenset({"names", "codes"}), frozenset({"default"}))
        styles = _names(STYLES, given["names"])
        first = as_integer(f"{STYLES}: default", given.get("default", 0), 0, len(styles) - 1)
        style = styles[first]
    heads = tuple(
        as_text("controls: heads", head) for head in as_list("heads", entry.get("heads", []))
    )
    if set(heads) - set(HEADS) or len(set(heads)) != len(heads):
        raise PersonFileError(f"controls: heads must be some of {', '.join(HEADS)}.")
    performances: tuple[str, ...] = ()
    if (value := entry.get("performances")) is not None:
        given = as_object(PERFORMANCES, value)
        check_keys(PERFORMANCES, given, frozenset({"names", "parts"}), frozenset())
        performances = _names(PERFORMANCES, given["names"])
    return ControlNames(styles, style, heads, performances)


def controls_of(person: Person) -> ControlSpec:
    """Return what a person file says can be chosen.

    Raises:
        PersonFileError: it is malformed.
    """
    names, entry = control_names(person.manifest), _entry(person.manifest)
    codes = np.zeros((0, 0), np.float32)
    style = None
    if names.style is not None:
        codes = _array(person, STYLES, entry["styles"]["codes"])
        if codes.ndim != 2 or len(codes) != len(names.styles) or not codes.size:
            raise PersonFileError(f"{STYLES} must have one code for each name.")
        style = tuple(codes[names.styles.index(names.style)].tolist())
    played: tuple[F32, ...] = ()
    if names.performances:
        parts = as_list(PERFORMANCES, entry["performances"]["parts"])
        played = tuple(_array(person, PERFORMANCES, part) for part in parts)
        if len(played) != len(names.performances) or any(
            track.ndim != 2 or not track.size for track in played
        ):
            raise PersonFileError(f"{PERFORMANCES} must have one part of rows for each name.")
    start = Controls(style=style, head=names.heads[0] if names.heads else None)
    return ControlSpec(
        names.styles,
        codes,
        names.heads,
        names.performances,
        played,
        start,
        matte=person.matte is not None,
    )


def _entry(manifest: Mapping[str, Any]) -> dict[str, Any]:
    value = manifest.get("controls")
    if value is None:
        return {}
    entry = as_object("controls", value)
    check_keys("controls", entry, frozenset(), frozenset({"styles", "heads", "performances"}))
    return entry


def _names(where: str, value: Any) -> tuple[str, ...]:
    names = tuple(as_text(f"{where}: names", name, 60) for name in as_list(where, value, 64))
    if not names or len(set(names)) != len(names):
        raise PersonFileError(f"{where}: names must be different, and there must be one.")
    return names


def _array(person: Person, where: str, name: Any) -> F32:
    array = person.arrays.get(as_text(where, name, 200))
    if array is None:
        raise PersonFileError(f"{where} refers to {name!r}, which is not an array among the parts.")
    return np.ascontiguousarray(array, np.float32)


def _one_of(what: str, name: Any, offered: Sequence[str]) -> str:
    if not offered:
        raise ControlError(f"This person has no {what} to choose.")
    if not isinstance(name, str) or name not in offered:
        shown = f" {name[:60]!r}" if isinstance(name, str) else " of that kind"
        raise ControlError(f"There is no {what}{shown}; there is {', '.join(offered)}.")
    return name


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300  # false of NaN as well; an integer may be larger than any float
