"""What the network benchmark makes of delays, pictures, counters and SDP."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from visavis.benchmarks import network
from visavis.benchmarks.network import candidates, report
from visavis.benchmarks.network.figures import counted, freezes, recovery_s, spread
from visavis.engines.errors import ConfigError

AT = np.arange(0, 30, 0.04)
TROUBLE = {"begin": 10.0, "end": 15.0, "until": 30.0}


def back(delay: np.ndarray) -> float | None:
    return recovery_s(AT, delay, **TROUBLE)


def test_a_delay_that_returns_is_timed_from_the_end_of_the_trouble() -> None:
    delay = np.where((AT > 10) & (AT < 18), 0.3, 0.1)
    assert back(delay) == 3.0


def test_a_delay_that_never_rose_was_back_at_once() -> None:
    assert back(np.full(AT.size, 0.1)) == 0.0


def test_a_delay_that_stays_is_never_back() -> None:
    assert back(np.where(AT > 10, 0.111, 0.1)) is None
    assert back(np.where(AT > 10, 0.109, 0.1)) == 0.0


def test_half_a_second_within_is_not_yet_back() -> None:
    delay = np.where((AT > 10) & (AT < 20) & ~((AT >= 16) & (AT < 16.5)), 0.3, 0.1)
    assert back(delay) == 5.0


def test_a_session_that_shows_nothing_more_is_never_back() -> None:
    """The toy: no delay is no high delay."""
    assert back(np.where(AT > 10, np.nan, 0.1)) is None
    assert recovery_s(AT[AT < 10], np.full((AT < 10).sum(), 0.1), **TROUBLE) is None


def test_without_a_before_nothing_is_said() -> None:
    assert back(np.where(AT < 10, np.nan, 0.1)) is None


def test_freezes_are_waits_of_over_a_fifth_of_a_second() -> None:
    shown = np.array([0.0, 0.1, 0.29, 0.5, 0.9, 1.0])
    assert freezes(shown, 0.0, 1.0) == (2, 400.0)


def test_a_picture_that_never_comes_again_is_a_freeze() -> None:
    assert freezes(np.array([0.0, 0.1]), 0.0, 5.0) == (1, 4900.0)
    assert freezes(np.zeros(0), 2.0, 5.0) == (1, 3000.0)


def test_what_is_not_known_is_not_in_the_spread() -> None:
    assert spread(np.array([0.1, np.nan, 0.1])) == {"median_ms": 100.0, "p95_ms": 100.0, "known": 2}
    assert spread(np.array([np.nan]))["median_ms"] is None


def test_counters_grow_from_mark_to_mark_and_may_begin_anew() -> None:
    samples = [{"lost": 5.0}, {"lost": 9.0, "new": 1.0}, {"lost": 2.0, "new": 1.0}]
    assert counted(samples) == [{"lost": 4.0}, {"lost": 2.0, "new": 0.0}]


OFFER = (
    "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=candidate:1 1 udp 2 192.0.2.7 5000 typ host\r\n"
    "a=ice-ufrag:x\r\na=end-of-candidates\r\n"
)
ANSWER = (
    "v=0\r\nm=audio 5 UDP/TLS/RTP/SAVPF 111\r\n"
    "a=candidate:a 1 udp 9 127.0.0.1 4000 typ host\r\n"
    "a=candidate:b 1 udp 9 2001:db8::1 4001 typ host\r\n"
    "a=candidate:c 1 udp 8 192.0.2.2 4002 typ host\r\na=ice-ufrag:y\r\n"
    "m=video 5 UDP/TLS/RTP/SAVPF 96\r\na=candidate:c 1 udp 8 192.0.2.2 4002 typ host\r\n"
    "a=end-of-candidates\r\n"
)


def test_no_address_of_the_browser_reaches_the_server() -> None:
    offer = candidates.without_candidates(OFFER)
    assert "192.0.2.7" not in offer
    assert offer == OFFER.split("a=candidate")[0] + "a=ice-ufrag:x\r\n"


def test_the_server_is_found_where_others_would_find_it() -> None:
    assert candidates.server_address(ANSWER) == ("192.0.2.2", 4002)
    alone = "a=candidate:a 1 udp 9 127.0.0.1 4000 typ host\r\n"
    assert candidates.server_address(alone) == ("127.0.0.1", 4000)
    with pytest.raises(ValueError, match="no IPv4"):
        candidates.server_address("v=0\r\n")


def test_the_browser_learns_of_the_relay_alone() -> None:
    answer = candidates.through(ANSWER, ("192.0.2.2", 7000))
    found = [line for line in answer.splitlines() if line.startswith("a=candidate:")]
    assert found == ["a=candidate:relay 1 udp 2130706431 192.0.2.2 7000 typ host"] * 2
    assert "4000" not in answer
    assert "4002" not in answer
    assert "a=ice-ufrag:y" in answer


def leg(during: float, back_s: float | None, found: float = 1.0) -> dict[str, Any]:
    def phase(ms: float | None) -> dict[str, Any]:
        figure = {"median_ms": ms, "p95_ms": ms}
        return {"pixel": figure, "ear": figure, "to_the_browser": figure, "freezes": 1}

    return {
        "before": phase(100.0),
        "during": phase(during),
        "after": phase(None),
        "back_s": {"to_the_browser": back_s},
        "found_in_microphone": found,
    }


@pytest.mark.parametrize(
    ("own", "passed"),
    [
        (leg(150, 2.0), [True, True, True]),
        (leg(161, 2.0), [True, False, False]),
        (leg(150, 5.5), [False, True, True]),
        (leg(150, None), [False, True, True]),
        (leg(150, 0.0, found=0.1), [False, False, False]),
    ],
)
def test_targets_hold_for_our_stack(own: dict[str, Any], passed: list[bool]) -> None:
    result: dict[str, Any] = {"scenarios": {"loss-5": {"visavis": own, "aiortc": leg(400, None)}}}
    assert [row["passed"] for row in report.judge(result)] == passed


def test_the_table_shows_both_stacks_and_the_verdicts() -> None:
    result: dict[str, Any] = {
        "machine": {"cpu": "a processor", "cores": 2, "load_before": 0.0, "load_after": 1.0},
        "versions": {"chromium": "1"},
        "scenarios": {"loss-5": {"visavis": leg(150, 2.0), "aiortc": leg(400, None)}},
    }
    result["targets"] = report.judge(result)
    lines = network.table(result).splitlines()
    assert sum("100/150/-" in line and "visavis" in line for line in lines) == 1
    assert sum("100/400/-" in line and "aiortc" in line for line in lines) == 1
    assert sum(line.endswith("pass") for line in lines) == 3
    json.dumps(result, allow_nan=False)


def test_an_unknown_trouble_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="no scenario flood"):
        network.run(scenarios=["flood"])
