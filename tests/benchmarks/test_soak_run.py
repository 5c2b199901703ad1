"""Short soaks with the real server in its own process, and real sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from visavis.benchmarks import soak


@pytest.fixture(scope="module")
def cycled() -> dict[str, Any]:
    return soak.run(leg="echo", cycles=12)


def test_every_visitor_gets_voice_and_picture(cycled: dict[str, Any]) -> None:
    assert cycled["failures"] == []
    assert cycled["visits"] == 12 + 4


def test_sessions_give_their_handles_back(cycled: dict[str, Any]) -> None:
    assert cycled["after"]["handles"] <= cycled["before"]["handles"] + 2
    assert cycled["slopes"]["memory_per_cycle"]["samples"] >= 8


def test_its_result_is_plain_json_and_a_table(cycled: dict[str, Any]) -> None:
    json.dumps(cycled, allow_nan=False)
    assert "memory_per_cycle" in soak.table(cycled)


def test_a_visitor_who_stays_has_a_delay_and_an_offset() -> None:
    soaked = soak.run(leg="echo", minutes=0.25)
    assert soaked["failures"] == []
    for name in ("memory", "delay", "offset"):
        assert soaked["slopes"][name]["samples"] >= 8
    assert "95 % interval" in soak.table(soaked)
