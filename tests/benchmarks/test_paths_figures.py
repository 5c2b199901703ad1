"""What the benchmark of paths says of what it measured."""

from __future__ import annotations

import json
from typing import Any

import pytest

from visavis.benchmarks import paths
from visavis.benchmarks.turn import Turn
from visavis.engines.errors import ConfigError


def leg(picture: float | None, ear: float | None, found: float = 1.0) -> dict[str, Any]:
    return {
        "delay": {"median_ms": picture, "p95_ms": picture},
        "voice": {"median_ms": ear, "p95_ms": ear, "found_in_microphone": found},
        "offset": {"median_ms": -20.0},
        "flow": {"distinct_per_second": 25.0},
        "cores": {"server": 0.2},
        "first_motion": {"slowest_s": 0.4},
    }


def result(**legs: dict[str, Any]) -> dict[str, Any]:
    usual = {"webrtc": leg(90, 110), "turn-udp": leg(95, 115), "turn-tcp": leg(99, 118)}
    made: dict[str, Any] = {"paths": {**usual, "ws": leg(105, 90), **legs}}
    made["machine"] = {"cpu": "a", "cores": 2, "load_before": 0.1, "load_after": 0.2}
    made["versions"] = {"chromium": "1"}
    made["targets"] = paths.judge(made)
    return made


def missed(made: dict[str, Any]) -> list[str]:
    return [row["what"].split(",")[0] for row in made["targets"] if not row["passed"]]


def test_what_is_near_webrtc_passes() -> None:
    made = result()
    assert missed(made) == [] and len(made["targets"]) == 6
    text = paths.table(made)
    assert "turn-tcp" in text and "FAIL" not in text
    json.dumps(made, allow_nan=False)


@pytest.mark.parametrize(
    ("legs", "what"),
    [
        ({"turn-udp": leg(111, 115)}, ["turn-udp: microphone to picture"]),
        ({"ws": leg(105, 195)}, ["ws: microphone to ear"]),
        ({"ws": leg(None, 90)}, ["ws: microphone to picture"]),
        (
            {"turn-tcp": leg(95, 115, found=0.5)},
            ["turn-tcp: microphone to picture", "turn-tcp: microphone to ear"],
        ),
    ],
)
def test_what_costs_more_or_was_not_measured_fails(legs: dict[str, Any], what: list[str]) -> None:
    made = result(**legs)
    assert missed(made) == what and "FAIL" in paths.table(made)


def test_each_path_is_asked_for_as_a_visitor_would(tmp_path: Any) -> None:
    relay = Turn(3478, "secret", tmp_path)
    assert paths._query("webrtc") == "path=webrtc" and paths._options("webrtc", relay) == []
    assert paths._query("ws") == "path=ws" and paths._options("ws", relay) == []
    assert "relay" in paths._query("turn-tcp")
    assert "turn:127.0.0.1:3478?transport=tcp" in paths._options("turn-tcp", relay)


def test_too_short_a_measurement_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 10 seconds"):
        paths.run(seconds=5)
