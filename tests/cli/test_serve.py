"""From the command line to one process or many."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from visavis.cli import serving_engine
from visavis.cli.exit_codes import ExitCode
from visavis.cli.main import main
from visavis.engines import cores
from visavis.server import run
from visavis.server.config import ServerConfig
from visavis.server.front import run as front
from visavis.server.front.plan import FleetPlan


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was served: a configuration, and the engine's settings or a plan."""
    found: list[Any] = []

    def run_server(config: ServerConfig, engine: Callable[[], object]) -> int:
        found.extend([config, engine()])
        return 0

    def run_fleet(config: ServerConfig, plan: FleetPlan) -> int:
        found.extend([config, plan])
        return 0

    monkeypatch.setattr(run, "run_server", run_server)
    monkeypatch.setattr(front, "run_fleet", run_fleet)
    monkeypatch.setattr("visavis.cli.serve.make_engine", lambda settings: settings)
    for name in ("VISAVIS_PERSON", "VISAVIS_I_HAVE_CONSENT"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.mark.parametrize(
    ("words", "available", "split"),
    [
        ("", 8, False),
        ("", 16, True),
        ("--workers 0", 16, False),
        ("--workers 3", 2, True),
        ("--max-sessions 20", 16, False),
        ("--max-sessions 100", 16, True),
    ],
)
def test_a_large_machine_gets_several_processes(
    served: list[Any], words: str, available: int, split: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "available_cores", lambda: float(available))
    assert main(["serve", *words.split()]) == ExitCode.OK
    assert isinstance(served[1], FleetPlan) == split


def test_all_processes_are_told_the_same(served: list[Any], tmp_path: Path) -> None:
    words = f"--workers 4 --person a.person --persons {tmp_path} --i-have-consent --max-sessions 50"
    words += " --backend onnx-cpu --memory 500 --encoder x264 --token mif"
    assert main(["-v", "serve", *words.split()]) == ExitCode.OK
    config, plan = served
    assert config.encoder == "x264" and config.max_sessions == 50 and config.token == "mif"
    assert plan.workers == 4 and plan.verbose == 1
    assert json.loads(json.dumps(plan.engine_settings)) == serving_engine.engine_settings(
        persons=["a.person"],
        folder=str(tmp_path),
        promised=True,
        backend="onnx-cpu",
        sessions=50,
        memory_mib=500,
    )


def test_a_folder_needs_nobody_beside_it(served: list[Any], tmp_path: Path) -> None:
    assert main(["serve", "--workers", "0", "--persons", str(tmp_path)]) == ExitCode.OK
    assert served[1]["persons"] == [] and served[1]["folder"] == str(tmp_path)
    served.clear()
    assert main(["serve", "--workers", "0"]) == ExitCode.OK
    assert served[1]["persons"] == ["presenter"]


@pytest.mark.parametrize("words", ["--workers -1", "--memory 0"])
def test_what_makes_no_sense_is_refused(
    served: list[Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *words.split()]) == ExitCode.STARTUP_FAILURE
    assert words.split()[0] in capsys.readouterr().err and not served


@pytest.mark.parametrize(
    ("person", "folder", "kind", "words"),
    [
        ("nobody.person", None, "person", "nobody.person"),
        (None, "no-such-folder", "config", "no-such-folder"),
    ],
)
def test_the_engine_process_says_why_it_cannot_start(
    person: str | None, folder: str | None, kind: str, words: str, tmp_path: Path
) -> None:
    settings = serving_engine.engine_settings(
        persons=[person] if person else [],
        folder=folder,
        promised=False,
        backend="auto",
        sessions=None,
        memory_mib=None,
    )
    tmp_path.chmod(0o700)
    told = {**settings, "socket": str(tmp_path / "engine"), "verbose": 0}
    with subprocess.Popen(
        [sys.executable, "-m", "visavis.cli.engine_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()
        said = json.loads(process.stdout.readline())
        assert process.wait(30) == 1
    assert said["kind"] == kind and words in said["error"]


def test_recordings_are_asked_for_by_name(
    served: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--workers", "0"]) == ExitCode.OK
    assert served[0].recordings is None and not served[0].record_all
    served.clear()
    assert main(["serve", "--workers", "0", "--recordings", "kept", "--record-all"]) == ExitCode.OK
    assert served[0].recordings == "kept" and served[0].record_all
    assert main(["serve", "--record-all"]) != ExitCode.OK
    assert "--recordings FOLDER" in capsys.readouterr().err
