"""What passes and what does not, number by number."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from visavis.benchmarks.live import report

GOOD: dict[str, Any] = {
    "flow": {"distinct_per_second": 24.95, "dropped": 0.001, "freezes": 0},
    "mouth": {"changing": 0.95},
    "delay": {
        "median_ms": 160.0,
        "p95_ms": 180.0,
        "timed": 0.99,
        "parts": {"engine": {"median_ms": 12.0, "p95_ms": 15.0}},
    },
    "voice": {"median_ms": 160.0, "found_in_microphone": 0.98, "found_in_voice": 0.98},
    "offset": {"median_ms": 5.0, "worst_ms": -35.0},
    "engine": {"lookahead_ms": 100},
    "cores": {"server": 0.5, "browser": 0.6},
    "first_motion": {"slowest_s": 0.7},
}


def verdicts(changes: dict[str, Any]) -> list[bool]:
    """Verdicts of a good result with some numbers changed: {"person.delay.median_ms": 300.0}."""
    result = {"echo": copy.deepcopy(GOOD), "person": copy.deepcopy(GOOD)}
    result["echo"]["delay"]["median_ms"] = 90.0
    result["echo"]["engine"]["lookahead_ms"] = 40
    for path, value in changes.items():
        *way, last = path.split(".")
        place: dict[str, Any] = result
        for name in way:
            place = place[name]
        place[last] = value
    return [row["passed"] for row in report.judge(result)]


def test_good_numbers_pass() -> None:
    assert all(verdicts({}))


@pytest.mark.parametrize(
    ("path", "value", "row"),
    [
        ("person.flow.distinct_per_second", 24.89, 0),
        ("person.mouth.changing", 0.9, 1),
        ("person.flow.dropped", 0.005, 2),
        ("person.delay.median_ms", 175.1, 3),  # 90 + (100 - 40) + 25
        ("echo.delay.median_ms", 130.1, 4),
        ("person.offset.worst_ms", -40.1, 5),
        ("person.offset.worst_ms", 40.1, 5),
        ("person.cores.server", 0.61, 6),
        ("person.first_motion.slowest_s", 1.01, 7),
    ],
)
def test_each_limit_holds_alone(path: str, value: float, row: int) -> None:
    passed = verdicts({path: value})
    assert not passed[row]
    assert all(verdict for n, verdict in enumerate(passed) if n != row)


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("person.delay.timed", [3]),
        ("person.voice.found_in_microphone", [3]),
        ("echo.voice.found_in_microphone", [3, 4]),
        ("person.voice.found_in_voice", [5]),
    ],
)
def test_what_rests_on_sound_that_was_not_found_has_not_passed(path: str, rows: list[int]) -> None:
    passed = verdicts({path: 0.5})
    assert [n for n, verdict in enumerate(passed) if not verdict] == rows


def test_a_slow_echo_is_no_excuse() -> None:
    passed = verdicts({"echo.delay.median_ms": 300.0, "person.delay.median_ms": 300.0})
    assert not passed[3] and not passed[4]


@pytest.mark.parametrize("path", ["person.mouth", "person.flow", "person.delay.median_ms"])
def test_what_was_not_measured_has_not_passed(path: str) -> None:
    assert not all(verdicts({path: None}))


def test_the_table_tells_a_failure_from_what_could_not_be_measured() -> None:
    person = copy.deepcopy(GOOD) | {"mouth": {"changing": 0.5}}
    person["voice"]["found_in_voice"] = 0.1
    result: dict[str, Any] = {
        "name": "presenter",
        "machine": {"cpu": "a processor", "cores": 2, "load_before": 0.1},
        "versions": {"chromium": "1.2"},
        "echo": GOOD,
        "person": person,
    }
    result["targets"] = report.judge(result)
    lines = report.table(result).splitlines()
    assert any(line.startswith("(a)") and line.endswith("pass") for line in lines)
    assert any(line.startswith("(b)") and line.endswith("FAIL") for line in lines)
    assert any(line.startswith("(e)") and "not measurable" in line for line in lines)
