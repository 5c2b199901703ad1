"""`visavis info`: what a person file says of itself."""

from __future__ import annotations

import json

from tests.engines.tiny_person import tiny_person
from visavis.engines.info import describe, lines


def test_everything_that_matters_is_in_it() -> None:
    person = tiny_person()
    description = describe(person)
    assert json.loads(json.dumps(description)) == description
    assert description["id"] == person.id
    assert description["consent"] == {"by": "nobody", "on": "2026-01-01"}
    assert description["bytes"] == sum(description["parts"].values())
    assert description["graphs"]["motion"]["inputs"]["features"] == ["N", 4, 66]
    assert description["requires"][0] == "logmel@1"


def test_people_can_read_it() -> None:
    text = "\n".join(lines(describe(tiny_person())))
    for words in ("Tiny (tiny)", "128x128", "100 ms ahead", "by: nobody", "CC0-1.0", "renderer"):
        assert words in text
    assert "100 ms ahead (40, 60, 110, 140, 230 on demand)" in text
    licensed = {**describe(tiny_person()), "contains_licensed": True}
    assert "yes, see the notices" in "\n".join(lines(licensed))
