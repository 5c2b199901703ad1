"""Findings about length, rate and kind of a video, and how findings are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from visavis.finetune.check.findings import Finding, format_findings, listed
from visavis.finetune.check.probe import probe
from visavis.finetune.check.source import Facts

GOOD = Facts(
    path=Path("clip.mp4"),
    coded=(1280, 720),
    turns=0,
    aspect=1.0,
    depth=8,
    transfer="",
    interlaced=False,
    time=np.arange(500) / 25.0,
    keys=10,
    length_s=20.0,
    sound=True,
    sound_start_s=0.0,
)


def kinds(facts: Facts) -> dict[str, Finding]:
    return {finding.kind: finding for finding in probe(facts)}


def test_there_is_nothing_to_say_of_a_usual_video() -> None:
    assert probe(GOOD) == []
    assert format_findings([]) == "nothing to remark"


def test_too_short() -> None:
    found = kinds(replace(GOOD, time=np.arange(250) / 25.0, length_s=10.0))
    assert found["short"].level == "refused" and "10.0 s" in found["short"].text


def test_too_long() -> None:
    found = kinds(replace(GOOD, time=np.arange(7500) / 25.0, length_s=612.0))
    assert found["long"].level == "warning" and "10.2 minutes" in found["long"].text


@pytest.mark.parametrize("rate", [23.976, 30.0, 50.0, 59.94])
def test_other_rates(rate: float) -> None:
    found = kinds(replace(GOOD, time=np.arange(20 * rate) / rate))
    assert set(found) == {"other-rate"} and f"{rate:.2f}" in found["other-rate"].text


def test_a_rate_that_varies() -> None:
    step = np.where(np.arange(500) % 10 < 6, 1 / 30, 1 / 24)
    found = kinds(replace(GOOD, time=np.cumsum(step)))
    assert set(found) == {"variable-rate"} and "24.0 to 30.0" in found["variable-rate"].text


def test_times_in_whole_milliseconds_do_not_vary() -> None:
    assert set(kinds(replace(GOOD, time=np.rint(np.arange(600) * 1e3 / 30) / 1e3))) == {
        "other-rate"
    }


def test_too_few_pictures() -> None:
    found = kinds(replace(GOOD, time=np.arange(300) / 15.0))
    assert found["slow-rate"].level == "warning" and "15.0" in found["slow-rate"].text


def test_kinds_of_pictures() -> None:
    found = kinds(
        replace(GOOD, coded=(3840, 2160), turns=1, depth=10, transfer="HLG", interlaced=True)
    )
    assert set(found) == {"rotated", "large", "hdr", "interlaced"}
    assert found["interlaced"].level == "warning"
    assert {found[kind].level for kind in ("rotated", "large", "hdr")} == {"note"}
    assert set(kinds(replace(GOOD, depth=10))) == {"deep"}


def test_findings_are_told_the_gravest_first() -> None:
    told = format_findings(
        [
            Finding("a", "note", "One."),
            Finding("b", "warning", "Two."),
            Finding("c", "refused", "3."),
        ]
    )
    assert told.splitlines() == ["refused  3.", "warning  Two.", "note     One."]


def test_times_in_words() -> None:
    assert listed([1.0]) == "1.00 s"
    assert listed([1.0, 2.5, 3.0]) == "1.00, 2.50 and 3.00 s"
    assert listed(range(12)).endswith("7.00 s and 4 more")
