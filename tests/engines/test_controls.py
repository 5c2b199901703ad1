"""What a visitor may choose, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.engines import sample_file
from visavis.engines.client import ControlNames
from visavis.engines.controls import Controls, ControlSpec, control_names, controls_of
from visavis.engines.errors import ControlError, PersonFileError
from visavis.engines.npy import dump_array
from visavis.engines.person import read_person, write_person

CODES = np.array([[0, 1, 2], [4, 5, 6]], np.float32)
PLAYED = np.arange(8, dtype=np.float32).reshape(4, 2)
WHOLE: dict[str, Any] = {
    "styles": {"names": ["calm", "lively"], "codes": "codes.npy", "default": 1},
    "heads": ["still", "driven"],
    "performances": {"names": ["greeting"], "parts": ["played.npy"]},
}


def spec(controls: Any) -> ControlSpec:
    parts = {
        **sample_file.parts(),
        "codes.npy": dump_array(CODES),
        "played.npy": dump_array(PLAYED),
    }
    manifest = {**sample_file.manifest(), "controls": controls}
    return controls_of(read_person(write_person(manifest, parts)))


def test_what_a_person_offers() -> None:
    made = spec(WHOLE)
    assert made.styles == ("calm", "lively")
    assert made.heads == ("still", "driven") and made.performances == ("greeting",)
    assert made.start == Controls(style=(4.0, 5.0, 6.0), head="still")
    assert np.array_equal(made.played[0], PLAYED)
    assert spec({}).start == Controls()
    assert (
        controls_of(read_person(write_person(sample_file.manifest(), sample_file.parts()))).start
        == Controls()
    )


def test_styles_are_chosen_blended_and_brought() -> None:
    made = spec(WHOLE)
    assert made.changed(made.start, {"style": "calm"}).style == (0.0, 1.0, 2.0)
    blend = made.changed(made.start, {"style": {"calm": 3, "lively": 1}})
    assert blend.style == (1.0, 2.0, 3.0)
    own = made.changed(made.start, {"style": [1, -2.5, 3]})
    assert own.style == (1.0, -2.5, 3.0) and own.head == "still"


def test_heads_and_performances() -> None:
    made = spec(WHOLE)
    driven = made.changed(made.start, {"head": "driven", "performance": "greeting"})
    assert driven == replace(made.start, head="driven", performance=0)
    assert made.changed(driven, {"performance": None}).performance is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"style": "wild"}, "no style 'wild'; there is calm, lively"),
        ({"style": 7}, "no style of that kind"),
        ({"style": {}}, "one or more"),
        ({"style": {"calm": -1}}, "number from 0 on"),
        ({"style": {"calm": True}}, "number from 0 on"),
        ({"style": {"calm": float("nan")}}, "number from 0 on"),
        ({"style": {"calm": 10**400}}, "number from 0 on"),
        ({"style": {"calm": 0, "lively": 0}}, "not all be 0"),
        ({"style": [1, 2]}, "has 3 numbers"),
        ({"style": [1, 2, float("inf")]}, "from -100 to 100"),
        ({"style": [1, 2, 10**400]}, "from -100 to 100"),
        ({"style": [1, 2, "3"]}, "from -100 to 100"),
        ({"head": "generated"}, "no head 'generated'; there is still, driven"),
        ({"performance": "farewell"}, "there is greeting"),
        ({"speed": 2}, "no control 'speed'"),
    ],
)
def test_what_is_not_offered_is_refused_in_a_sentence(changes: dict[str, Any], words: str) -> None:
    made = spec(WHOLE)
    with pytest.raises(ControlError, match=words):
        made.changed(made.start, changes)


@pytest.mark.parametrize("changes", [{"style": "calm"}, {"head": "own"}, {"performance": "a"}])
def test_a_person_without_controls_has_none(changes: dict[str, Any]) -> None:
    with pytest.raises(ControlError, match="This person has no"):
        ControlSpec().changed(Controls(), changes)


@pytest.mark.parametrize(
    "controls",
    [
        7,
        {"moods": []},
        {"heads": ["backwards"]},
        {"heads": ["own", "own"]},
        {"heads": [3]},
        {"styles": {"names": ["calm"], "codes": "codes.npy"}},
        {"styles": {"names": ["calm", "calm"], "codes": "codes.npy"}},
        {"styles": {"names": ["calm", "b"], "codes": "missing.npy"}},
        {"styles": {"names": ["calm", "b"], "codes": "codes.npy", "default": 2}},
        {"styles": {"names": [], "codes": "codes.npy"}},
        {"performances": {"names": ["a", "b"], "parts": ["played.npy"]}},
    ],
)
def test_malformed_controls_are_refused(controls: Any) -> None:
    with pytest.raises(PersonFileError):
        spec(controls)


def test_what_is_offered_is_said_without_looking_at_parts() -> None:
    names = control_names({"controls": WHOLE})
    assert names == ControlNames(("calm", "lively"), "lively", ("still", "driven"), ("greeting",))
    assert control_names({}) == control_names({"controls": {}}) == ControlNames()
    for bad in (
        {"styles": {"names": ["a", "a"], "codes": "codes.npy"}},
        {"styles": {"names": ["a"], "codes": "codes.npy", "default": 1}},
        {"heads": ["sideways"]},
        {"performances": {"names": ["x" * 61], "parts": []}},
        {"volume": 11},
    ):
        with pytest.raises(PersonFileError):
            control_names({"controls": bad})


def test_a_choice_is_said_as_it_may_be_asked_for() -> None:
    made = spec(WHOLE)
    choice = made.changed(made.start, {"style": "calm", "performance": "greeting"})
    said = made.said(choice)
    assert said == {
        "style": [0.0, 1.0, 2.0],
        "head": "still",
        "performance": "greeting",
        "matte": False,
    }
    assert made.changed(made.start, said) == choice
    assert spec({}).said(spec({}).start) == {
        "style": None,
        "head": None,
        "performance": None,
        "matte": False,
    }
