"""Real servers in processes of their own, real WebRTC, visitors in processes of theirs."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.engines.tiny_person import tiny_file, tiny_person, voice
from visavis.benchmarks import sessions
from visavis.benchmarks.live import correlate, speech
from visavis.benchmarks.live.session import free_port, served
from visavis.benchmarks.sessions import alone, whole
from visavis.benchmarks.sessions.exposition import parse, total
from visavis.benchmarks.sessions.plot import plot
from visavis.engines.errors import ConfigError
from visavis.engines.local import LocalEngine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person and a recording."""
    place = tmp_path_factory.mktemp("sessions")
    (place / "tiny.person").write_bytes(tiny_file())
    spoken = correlate.resample(voice(6.0), 16_000, speech.RATE).astype(np.float32)
    speech.write(place / "speech.wav", spoken)
    return place


@pytest.fixture(scope="module")
def load(folder: Path) -> Iterator[whole.Load]:
    """The server whose pictures cost nothing, with two places."""
    port = free_port()
    command = [sys.executable, "-m", "visavis.benchmarks.sessions.serving", "--port", str(port)]
    command += ["--person", str(folder / "tiny.person"), "--places", "2"]
    with served(command, port, folder / "server.log") as process:
        yield whole.Load(
            f"http://127.0.0.1:{port}",
            process.pid,
            folder / "speech.wav",
            ["tiny"],
            seconds=1.2,
            loop_s=2.0,
            decode_every=1,
            settle_s=0.5,
        )


@pytest.fixture(scope="module")
def step(load: whole.Load) -> dict[str, Any]:
    """Three visitors, of whom two can be let in."""
    return whole.step(load, 3)


def test_frames_and_voices_of_all_who_were_let_in_are_counted(step: dict[str, Any]) -> None:
    assert (step["sessions"], step["opened"]) == (3, 2)
    assert 5 < step["least_fps"] <= step["median_fps"] < 26.5
    assert 20 < step["least_voice_per_s"] < 55
    assert 0 <= step["picture_after_voice_ms"]["median"] < 200
    assert step["server"]["frames_sent"] > 10


def test_who_was_not_let_in_is_said(step: dict[str, Any]) -> None:
    """The toy: figures of those who came in, and silence about the others."""
    assert not step["carried"]
    assert "1 of 3 were not let in" in step["why_not"]
    assert "503" in step["refused"][0]


def test_what_was_counted_were_pictures(step: dict[str, Any]) -> None:
    decoded = step["decoded"]
    assert decoded["sessions"] == 2 and decoded["frames"] > 20
    assert decoded["size"] == [128, 128]
    assert decoded["distinct"] > 0.5 and decoded["moved"] > 0


def test_the_visitors_are_no_part_of_the_server(step: dict[str, Any]) -> None:
    cores = step["cores"]
    assert cores["by_process"].keys() == {"server"}
    assert 0 < cores["server"] < 3 and 0 < cores["visitors"] < 2
    assert cores["per_session"] == pytest.approx(cores["server"] / 2, abs=0.001)
    assert step["memory_mib"]["server"] > 20


def test_nobody_is_left_behind(load: whole.Load, step: dict[str, Any]) -> None:
    """Whoever comes next must have the server to themselves."""
    with urllib.request.urlopen(f"{load.url}/metrics") as answer:
        samples = parse(answer.read().decode())
    assert total(samples, "visavis_sessions") == 0
    assert total(samples, "visavis_sessions_opened_total") == 2
    assert whole.promise(load.url)["visavis_capacity_sessions"] == 2


def test_it_is_json_a_table_and_a_picture(step: dict[str, Any]) -> None:
    json.dumps(step, allow_nan=False)
    curve = {"persons": 1, "copies": False, "ready_s": 1.0, "knee": 0, "steps": [step]}
    result = {
        "name": "tiny & <small>",
        "size": [128, 128],
        "codec": "vp8",
        "seconds": 1.5,
        "machine": {"cpu": "a", "cores": 2, "load_before": 0.0},
        "criteria": sessions.CRITERIA,
        "promised": {"visavis_capacity_sessions": 2.0},
        "parts": {"packets": {"knee": 2, "steps": [step]}},
        "curves": [curve],
        "limit": {"part": "packets", "sessions": 2},
        "costs": {"whole": 0.5, "engine": None},
        "sizing": [{"cores": 2, "sessions": 3, "mbit_per_s": 3.6}],
    }
    text = sessions.table(result)
    assert "2 cores     3 sessions" in text
    assert "not carried" in text and "1 of 3 were not let in" in text and "503" in text
    drawn = plot(result)
    ElementTree.fromstring(drawn)  # what does not parse is not drawn
    assert "tiny &amp; &lt;small&gt;" in drawn


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seconds": 0.5}, "at least"),
        ({"sessions": (0,)}, "between 1"),
        ({"persons": (600,)}, "between 1"),
        ({"parts": ("glue",)}, "'glue' is no part"),
        ({"plot": Path("/nowhere/plot.svg")}, "no folder"),
    ],
)
def test_what_cannot_be_measured_is_refused_first(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        sessions.run(**arguments)


def test_the_engine_alone_is_fed_in_real_time() -> None:
    engine = LocalEngine([tiny_person()], capacity=2)
    try:
        made = alone.engine_step(
            engine, ["tiny"], tiny_person().lookahead_ms, [voice(1.0), voice(1.2, 3)], 0.6
        )
    finally:
        engine.close()
    assert made["sessions"] == 2 and 10 < made["median_fps"] < 27
    assert made["worst_late_p95_ms"] > 0  # nothing comes before its sound
    assert made["engine_ms"]["p50"] > 0


def test_encoders_alone_are_fed_in_real_time() -> None:
    speech_16k = voice(1.0)
    pictures = alone.rendered(tiny_person(), speech_16k, count=8)
    assert len(pictures) == 8 + 6 and not np.array_equal(pictures[0], pictures[7])
    made = alone.encode_step(pictures, 2, 0.5, "vp8")
    assert made["sessions"] == 2 and made["median_fps"] > 10 and made["cores"]["server"] > 0


@pytest.mark.long
def test_the_whole_command(folder: Path) -> None:
    """Several persons, the server as people start it, and the picture."""
    command = [sys.executable, "-m", "visavis", "bench", "sessions", "--sessions", "1"]
    command += ["--person", str(folder / "tiny.person"), "--persons", "1", "3", "--seconds", "3"]
    command += ["--speech", str(folder / "speech.wav"), "--plot", str(folder / "plot.svg")]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [curve["persons"] for curve in result["curves"]] == [1, 3]
    assert result["parts"].keys() == {"engine", "encode", "packets"}
    assert result["limit"]["part"] in result["parts"]
    assert "<svg" in (folder / "plot.svg").read_text()
