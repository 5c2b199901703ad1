"""Consent and provenance in a person file: what counts, what is refused, what is shown."""

from __future__ import annotations

import datetime
import json
import logging
from typing import Any

import pytest

from tests.engines import sample_file
from tests.engines.tiny_person import tiny_person
from visavis.engines.consent import Consent, consent_of, require_consent
from visavis.engines.errors import NoConsent, PersonFileError
from visavis.engines.info import describe, lines
from visavis.engines.person import read_person, write_person
from visavis.engines.strict_json import parse_json
from visavis.persons import BUILTIN, builtin

GIVEN: dict[str, Any] = {
    "subject": "Anna Example",
    "given": "I agree to be shown by the machines of my employer.",
    "on": "2026-11-27",
    "by": "Bert Example",
}
MADE_BY: dict[str, Any] = {
    "tool": "visavis.finetune",
    "version": "0.1.0",
    "clip_sha256": "5" * 64,
    "clip_frames": 1500,
    "settings": {"steps": 5000, "adversary": True, "crop": None, "held_out": [1400, 1500]},
    "seed": 0,
    "made_on": "2026-11-27",
    "metrics": {"psnr": 31.2345678, "mouth": {"psnr": 28.5, "lip_error_px": 1.25}},
}


def with_fields(**fields: Any) -> dict[str, Any]:
    return {**sample_file.manifest(), **fields}


def test_every_field_is_read() -> None:
    assert consent_of({"consent": {**GIVEN, "synthetic": False}}) == Consent(
        subject="Anna Example",
        given="I agree to be shown by the machines of my employer.",
        on=datetime.date(2026, 11, 27),
        by="Bert Example",
        synthetic=False,
    )
    assert consent_of({"consent": {}}) == Consent()


STATED: dict[str, tuple[dict[str, Any], bool]] = {
    "all of it": (GIVEN, True),
    "who and what": ({"subject": "Anna", "given": "yes"}, True),
    "nobody to ask": (
        {"subject": "nobody", "given": "not needed: drawn", "synthetic": True},
        True,
    ),
    "nothing": ({}, False),
    "not what": ({"subject": "Anna", "on": "2026-11-27", "by": "Bert"}, False),
    "empty": ({**GIVEN, "given": ""}, False),
    "blank": ({**GIVEN, "given": " \n\t"}, False),
    "not who": ({"given": "yes"}, False),
    "drawn, and no reason": ({"subject": "nobody", "synthetic": True}, False),
    "an older file": ({"by": "nobody", "on": "2026-01-01"}, False),
}


@pytest.mark.parametrize("case", STATED)
def test_what_counts_as_consent(case: str) -> None:
    consent, stated = STATED[case]
    person = read_person(write_person(with_fields(consent=consent), sample_file.parts()))
    assert consent_of(person.manifest).stated == stated
    assert describe(person)["consent_stated"] == stated


@pytest.mark.parametrize("name", BUILTIN)
def test_the_built_in_persons_state_theirs(name: str) -> None:
    person = read_person(builtin(name).read_bytes())
    assert consent_of(person.manifest).stated
    require_consent(name, person.manifest, promised=False)


def test_without_consent_nobody_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(NoConsent, match=r"^anna\.person .* say --i-have-consent\.$"):
        require_consent("anna.person", sample_file.MANIFEST, promised=False)
    assert not caplog.records
    require_consent("anna.person", sample_file.MANIFEST, promised=True)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and "anna.person" in record.getMessage()


def test_a_promise_changes_nothing_where_consent_is_stated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for promised in (False, True):
        require_consent("anna.person", {"consent": GIVEN}, promised=promised)
    assert not caplog.records


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "list": ({"consent": []}, "consent must be an object"),
    "unknown": ({"consent": {**GIVEN, "givven": "yes"}}, "consent has 'givven'"),
    "number": ({"consent": {"given": 1}}, "consent: given must be a text"),
    "long": ({"consent": {"given": "x" * 4001}}, "consent: given must be a text of 0 to 4000"),
    "long subject": ({"consent": {"subject": "x" * 401}}, "subject must be a text of 0 to 400"),
    "control": ({"consent": {"by": "\x1b[2J"}}, "consent: by must not contain control"),
    "day": ({"consent": {"on": "27.11.2026"}}, "consent: on must be a day"),
    "no such day": ({"consent": {"on": "2026-02-30"}}, "consent: on must be a day"),
    "day of week": ({"consent": {"on": "2026-W48-5"}}, "consent: on must be a day"),
    "day by number": ({"consent": {"on": 20261127}}, "consent: on must be a text"),
    "synthetic": ({"consent": {"synthetic": "yes"}}, "synthetic must be true or false"),
    "made": ({"made_by": "me"}, "made_by must be an object"),
    "made with": ({"made_by": {"tool": ["a"]}}, "made_by: tool must be a text"),
    "version": ({"made_by": {"version": 1}}, "made_by: version must be a text"),
    "clip": ({"made_by": {"clip_sha256": "5" * 63}}, "made_by: clip_sha256 must look like"),
    "frames": ({"made_by": {"clip_frames": 0}}, "made_by: clip_frames must be a whole number"),
    "seed": ({"made_by": {"seed": -1}}, "made_by: seed must be a whole number"),
    "made on": ({"made_by": {"made_on": "today"}}, "made_by: made_on must be a day"),
    "settings": ({"made_by": {"settings": [1]}}, "made_by: settings must be an object"),
    "metrics": ({"made_by": {"metrics": 3.0}}, "made_by: metrics must be an object"),
    "made control": ({"made_by": {"other": ["\x1b[2J"]}}, "made_by: other must not contain"),
    "name control": ({"made_by": {"a": {"\x07": 1}}}, "A name in made_by: a must not contain"),
    "long name": ({"made_by": {"a" * 65: 1}}, "A name in made_by must be a text of 1 to 64"),
    "long text": ({"made_by": {"other": "x" * 1001}}, "made_by: other must be a text of 0 to 1000"),
    "many": ({"made_by": {"a": {str(k): k for k in range(129)}}}, "a has more than 128 entries"),
    "long list": ({"made_by": {"a": [0] * 257}}, "made_by: a must be a list of at most 256"),
    "large": (
        {"made_by": {str(k): {str(n): "x" * 100 for n in range(100)} for k in range(10)}},
        "made_by is larger than 64 KiB",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_field_is_refused(case: str) -> None:
    fields, sentence = WRONG[case]
    with pytest.raises(PersonFileError, match=sentence):
        write_person(with_fields(**fields), sample_file.parts())


def test_what_finetune_will_write_is_read() -> None:
    data = write_person(with_fields(consent=GIVEN, made_by=MADE_BY), sample_file.parts())
    person = read_person(data)
    assert person.manifest["made_by"] == MADE_BY
    assert describe(person)["made_by"] == MADE_BY
    assert parse_json("it", json.dumps(describe(person)).encode())["consent"] == GIVEN


def test_what_older_tools_wrote_is_read() -> None:
    made_by = {"tool": "mine", "clip_sha256": "0" * 64, "renderer_steps": 5200, "notes": {"a": []}}
    person = read_person(write_person(with_fields(made_by=made_by), sample_file.parts()))
    assert person.manifest["made_by"] == made_by


def test_people_can_read_both() -> None:
    person = read_person(
        write_person(with_fields(consent=GIVEN, made_by=MADE_BY), sample_file.parts())
    )
    text = lines(describe(person))
    for line in (
        "  consent     subject: Anna Example",
        "              on: 2026-11-27",
        "  made by     tool: visavis.finetune",
        "              settings: steps 5000, adversary yes, crop none, held_out (1400 1500)",
        "              metrics: psnr 31.23, mouth (psnr 28.5, lip_error_px 1.25)",
    ):
        assert line in text
    assert "none is stated" not in "\n".join(text)


def test_long_words_are_wrapped_and_stay_in_their_place() -> None:
    given = "I agree.\n\n  visavis 9.9, made by somebody else\n" + "word " * 200
    person = read_person(
        write_person(with_fields(consent={**GIVEN, "given": given}), sample_file.parts())
    )
    text = lines(describe(person))
    assert max(map(len, text)) <= 100
    assert [line for line in text if "somebody else" in line][0].startswith(" " * 14 + "given: I")


def test_people_see_that_there_is_none() -> None:
    assert any("none is stated" in line for line in lines(describe(tiny_person())))
    bare = read_person(write_person(with_fields(consent={}), sample_file.parts()))
    assert any(line.startswith("  consent     none is st") for line in lines(describe(bare)))
