"""`visavis export` and `visavis verify` as commands: tables, JSON, exit codes, sentences."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import sentence, visavis
from tests.engines.referenced import arrays, person_with
from tests.engines.tiny_person import tiny_person
from visavis.cli import verify
from visavis.cli.exit_codes import ExitCode
from visavis.cli.main import main
from visavis.engines.person import Person


def give(monkeypatch: pytest.MonkeyPatch, person: Person) -> None:
    """Let the command find this person, without the detour through a process of its own."""
    monkeypatch.setattr(verify, "load", lambda name: person)


def test_what_agrees(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    give(monkeypatch, person_with(arrays()))
    assert main(["verify", "any"]) == ExitCode.OK
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["graph", "variant", "backend"]
    assert all(row.endswith("ok") for row in rows)
    backends = {row.split()[2] for row in rows}
    assert {"onnx-cpu", "torch-cpu"} <= backends and len(rows) == 2 * len(backends)
    assert main(["verify", "any", "--json"]) == ExitCode.OK
    networks = json.loads(capsys.readouterr().out)["networks"]
    assert {network["graph"] for network in networks} == {"motion", "renderer"}
    assert all(network["ok"] for network in networks)


def test_of_one_backend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, person_with(arrays()))
    assert main(["verify", "any", "--backend", "onnx-cpu"]) == ExitCode.OK
    rows = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) == 2 and all("onnx-cpu (" in row for row in rows)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert main(["verify", "any", "--backend", "tensorrt"]) == ExitCode.STARTUP_FAILURE
    assert "tensorrt cannot be used: TensorRT is not installed" in capsys.readouterr().err
    assert main(["verify", "any", "--backend", "gpu"]) == ExitCode.STARTUP_FAILURE
    assert "There is no backend 'gpu'" in capsys.readouterr().err


def test_what_is_off(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    made = {name: {side: dict(a) for side, a in sides.items()} for name, sides in arrays().items()}
    made["renderer"]["outputs"]["y"] = made["renderer"]["outputs"]["y"] ^ np.uint8(4)
    give(monkeypatch, person_with(made))
    assert main(["verify", "any"]) == ExitCode.CHECK_FAILED
    assert "more than the" in capsys.readouterr().out


def test_a_file_without_references(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, tiny_person())
    assert main(["verify", "any"]) == ExitCode.PERSON_REFUSED
    assert "keeps nothing to compare" in capsys.readouterr().err


def test_a_folder_that_is_no_person(tmp_path: Path) -> None:
    done = visavis("export", tmp_path, "--out", tmp_path / "out.person")
    assert done.returncode == ExitCode.PERSON_REFUSED
    assert "neither person/ nor about.json" in sentence(done)
    assert done.stdout == "" and list(tmp_path.iterdir()) == []


def test_an_export_without_its_extra_says_which() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from visavis.cli.main import main\n"
        "sys.exit(main(['export', 'somewhere', '--out', 'some.person']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == ExitCode.STARTUP_FAILURE
    assert "visavis[export]" in sentence(done)


def test_verify_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = None\n"
        "from visavis.engines.backends import available\n"
        "from visavis.engines.verify import verify\n"
        "assert available() and verify"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
