"""What a visitor may write, and in which words it is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from visavis.engines.client import PersonInfo
from visavis.engines.errors import ControlError
from visavis.server.look.choice import LookChoice, backgrounds_of
from visavis.server.look.framing import framings_of

PLAIN = PersonInfo("a", "A", 64, 64, 25, 100, (100,), "0" * 64, False)
WHOLE = replace(PLAIN, has_matte=True, face=(0.5, 0.4, 0.3))
PICTURES = ("office", "own")


@pytest.mark.parametrize(
    "background",
    ["filmed", "blurred", "transparent", "#00a0ff", {"picture": "office"}, {"picture": "own"}],
)
@pytest.mark.parametrize(
    "framing", ["filmed", "shoulders", "face", {"zoom": 2.0, "x": 0.25, "y": 1.0}]
)
def test_what_is_said_is_what_was_written(background: Any, framing: Any) -> None:
    changes = {"background": background, "framing": framing}
    choice = LookChoice().changed(changes, WHOLE, PICTURES)
    assert choice.said() == changes
    assert LookChoice("blurred", "face").changed(choice.said(), WHOLE, PICTURES) == choice
    assert choice.changed({}, WHOLE, PICTURES) == choice
    assert choice.wants_matte == (background != "filmed")


def test_shorter_ways_to_write_the_same() -> None:
    choice = LookChoice().changed({"background": "#00A0FF", "framing": {"zoom": 2}}, WHOLE, ())
    assert choice.said() == {"background": "#00a0ff", "framing": {"zoom": 2.0, "x": 0.5, "y": 0.5}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"background": "beach"}, "no background 'beach'; there is filmed, blurred"),
        ({"background": "color"}, "no background 'color'"),
        ({"background": "#12345"}, "no background"),
        ({"background": "#12345g"}, "no background"),
        ({"background": "#123456\n"}, "no background"),
        ({"background": None}, "must be a word"),
        ({"background": 7}, "must be a word"),
        ({"background": ["blurred"]}, "must be a word"),
        ({"background": {}}, 'chosen as {"picture": NAME}'),
        ({"background": {"picture": 3}}, 'chosen as {"picture": NAME}'),
        ({"background": {"picture": "office", "blur": 1}}, 'chosen as {"picture": NAME}'),
        ({"background": {"picture": "../office"}}, "no picture '../office'"),
        ({"background": "x" * 4000}, "x" * 60 + "'"),
        ({"framing": "feet"}, "no framing 'feet'; there is filmed, shoulders, face"),
        ({"framing": None}, "no framing of that kind"),
        ({"framing": {"x": 0.5}}, 'has "zoom"'),
        ({"framing": {"zoom": 2, "z": 1}}, 'has "zoom"'),
        ({"framing": {"zoom": 0.5}}, "zoom must be a number from 1 to 4"),
        ({"framing": {"zoom": 4.01}}, "zoom must be a number from 1 to 4"),
        ({"framing": {"zoom": True}}, "zoom must be a number from 1 to 4"),
        ({"framing": {"zoom": float("nan")}}, "zoom must be a number from 1 to 4"),
        ({"framing": {"zoom": 10**400}}, "zoom must be a number from 1 to 4"),
        ({"framing": {"zoom": 2, "x": -0.1}}, "x must be a number from 0 to 1"),
        ({"framing": {"zoom": 2, "y": "0"}}, "y must be a number from 0 to 1"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ControlError) as refused:
        LookChoice().changed(changes, WHOLE, PICTURES)
    assert words in str(refused.value) and len(str(refused.value)) < 250


def test_what_a_person_does_not_have_cannot_be_chosen() -> None:
    for background in ("blurred", "#ffffff", {"picture": "office"}, "transparent"):
        with pytest.raises(ControlError, match="they were filmed with"):
            LookChoice().changed({"background": background}, PLAIN, PICTURES)
    with pytest.raises(ControlError, match="where this person's face is"):
        LookChoice().changed({"framing": "face"}, PLAIN, PICTURES)
    with pytest.raises(ControlError, match="send it first"):
        LookChoice().changed({"background": {"picture": "own"}}, WHOLE, ("office",))
    numbers = LookChoice().changed({"background": "filmed", "framing": {"zoom": 3}}, PLAIN, ())
    assert not numbers.wants_matte
    assert backgrounds_of(PLAIN) == framings_of(PLAIN) == ("filmed",)
    assert "transparent" in backgrounds_of(WHOLE) and "shoulders" in framings_of(WHOLE)
    near = replace(WHOLE, face=(0.5, 0.5, 0.47))
    assert framings_of(near) == ("filmed", "face")  # half of the picture: nearer than shoulders
