"""One bad path once, with real servers, a real browser and real UDP, for some seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser import find_chromium
from tests.engines.tiny_person import tiny_file, voice
from visavis.benchmarks import network
from visavis.benchmarks.live import correlate, speech
from visavis.benchmarks.network import Lengths

pytestmark = pytest.mark.browser

STACKS = ("visavis", "aiortc")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Both stacks under 5 % of loss."""
    program = Path(find_chromium())
    folder = tmp_path_factory.mktemp("network")
    (folder / "tiny.person").write_bytes(tiny_file())
    spoken = correlate.resample(voice(8.0), 16_000, speech.RATE).astype(np.float32)
    speech.write(folder / "speech.wav", spoken)
    return network.run(
        person=str(folder / "tiny.person"),
        scenarios=["loss-5"],
        lengths=Lengths(settle=0.5, before=2, during=2, after=2),
        speech=folder / "speech.wav",
        chromium=program,
    )


@pytest.mark.parametrize("stack", STACKS)
def test_all_goes_through_the_relay_and_some_of_it_is_lost(
    measured: dict[str, Any], stack: str
) -> None:
    leg = measured["scenarios"]["loss-5"][stack]
    for way in ("up", "down"):
        assert leg["link"][way]["packets"] > 100
        assert leg["link"][way]["lost"] > 0
    assert leg["link"]["crowded"] == 0
    assert leg["sessions_opened"] == 1
    assert leg["problems"] == []


@pytest.mark.parametrize("stack", STACKS)
def test_pictures_come_before_and_during_and_after(measured: dict[str, Any], stack: str) -> None:
    leg = measured["scenarios"]["loss-5"][stack]
    for phase in ("before", "during", "after"):
        assert leg[phase]["pictures"] > 5
        assert leg[phase]["browser"]["framesDecoded"] > 5
    # Two ways of 10 ms each, and the 40 ms that the frame shows.
    assert leg["before"]["pixel"]["median_ms"] > 60


def test_our_own_server_tells_of_its_part(measured: dict[str, Any]) -> None:
    server = measured["scenarios"]["loss-5"]["visavis"]["during"]["server"]
    assert server["delay_median_ms"] > 0
    assert server["packets_recovered"] + server["packets_lost"] > 0


def test_its_result_is_plain_json_and_a_table(measured: dict[str, Any]) -> None:
    json.dumps(measured, allow_nan=False)
    lines = network.table(measured).splitlines()
    assert sum(line.startswith("loss-5 ") for line in lines) == 2
    assert sum(line.startswith("loss-5:") for line in lines) == 3
