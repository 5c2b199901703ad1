"""The whole measurement once, with the real server, engine and page, in a real browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser import find_chromium
from tests.engines.tiny_person import tiny_file, voice
from visavis.benchmarks import live
from visavis.benchmarks.live import browser, correlate, session, speech
from visavis.engines.errors import ConfigError

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Figures of the tiny person's leg, over a few seconds."""
    program = Path(find_chromium())
    folder = tmp_path_factory.mktemp("live")
    (folder / "tiny.person").write_bytes(tiny_file())
    spoken = correlate.resample(voice(8.0), 16_000, speech.RATE).astype(np.float32)
    speech.write(folder / "microphone.wav", speech.varied(spoken, 30, seed=1))
    with browser.launched(program, folder / "microphone.wav") as chromium:
        return session.measure(
            "person",
            person=str(folder / "tiny.person"),
            browser=chromium,
            browser_pid=live.driver_pid(),
            seconds=6,
            mouth=(48, 64, 32, 32),
            control=(48, 24, 32, 32),
            folder=folder / "person",
            starts=1,
        )


def test_pictures_come_and_are_read(measured: dict[str, Any]) -> None:
    assert measured["flow"]["distinct_per_second"] > 5
    assert measured["flow"]["unread"] < 5
    assert measured["browser"]["errors"] == []


def test_the_delay_is_known_and_is_the_sum_of_its_parts(measured: dict[str, Any]) -> None:
    delay = measured["delay"]
    # No frame can come before the audio that it needs.
    assert delay["median_ms"] > 100
    assert delay["timed"] > 0.5
    parts = [part["median_ms"] for part in delay["parts"].values()]
    assert all(part >= 0 for part in parts)
    assert sum(parts) == pytest.approx(delay["median_ms"], rel=0.25)


def test_the_voice_comes_back_and_is_found(measured: dict[str, Any]) -> None:
    assert measured["voice"]["found_in_microphone"] > 0.5
    assert measured["voice"]["found_in_voice"] > 0.5
    assert measured["offset"]["median_ms"] is not None


def test_both_trees_of_processes_did_something(measured: dict[str, Any]) -> None:
    assert 0 < measured["cores"]["server"] < 64
    assert 0 < measured["cores"]["browser"] < 64
    assert 0 < measured["first_motion"]["slowest_s"] < 15


def test_the_figures_are_plain_json(measured: dict[str, Any]) -> None:
    json.dumps(measured, allow_nan=False)


def test_a_table_is_printed_of_it(measured: dict[str, Any]) -> None:
    result = {
        "name": "tiny",
        "machine": {"cpu": "a processor", "cores": 2, "load_before": 0.0},
        "versions": {"chromium": "1"},
        "echo": measured,
        "person": measured,
    }
    result["targets"] = live.report.judge(result)
    text = live.table(result)
    assert "microphone to picture, median ms" in text
    assert sum(line.startswith("(") for line in text.splitlines()) == 8


def test_a_server_that_does_not_start_is_told_with_its_own_words(tmp_path: Path) -> None:
    command = ["python3", "-c", "print('no person of that name')"]
    with (
        pytest.raises(ConfigError, match="no person of that name"),
        session.served(command, session.free_port(), tmp_path / "log"),
    ):
        pass
