"""The command line: help, JSON alone on standard output, one sentence an error, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import sentence, visavis
from visavis.cli.exit_codes import ExitCode
from visavis.cli.main import main

COMMANDS = (
    "serve",
    "render",
    "export",
    "verify",
    "info",
    "delete",
    "bench",
    "evaluate",
    "doctor",
)


@pytest.mark.parametrize(
    "command",
    [
        (),
        *((c,) for c in COMMANDS),
        ("bench", "live"),
        ("evaluate", "lips"),
        ("evaluate", "person"),
    ],
)
def test_help_is_written_for_people(command: tuple[str, ...]) -> None:
    done = visavis(*command, "--help")
    assert done.returncode == 0
    assert "usage: visavis" in done.stdout
    options = [line for line in done.stdout.splitlines() if line.startswith("  --")]
    assert all(len(line.split()) > 1 for line in options)
    assert "==SUPPRESS==" not in done.stdout and "Namespace" not in done.stdout


def test_a_wrong_command_line_is_a_usage_error() -> None:
    assert visavis("serve", "--nonsense").returncode == ExitCode.USAGE
    assert visavis().returncode == ExitCode.USAGE


def test_a_missing_person_file(tmp_path: Path) -> None:
    done = visavis("info", tmp_path / "nobody.person")
    assert done.returncode == ExitCode.PERSON_REFUSED
    assert "nobody.person" in sentence(done)
    assert done.stdout == ""


def test_a_foreign_person_file(tmp_path: Path) -> None:
    path = tmp_path / "photo.person"
    path.write_bytes(b"\xff\xd8\xff\xe0 not a zip" * 100)
    done = visavis("info", path)
    assert done.returncode == ExitCode.PERSON_REFUSED
    sentence(done)


def test_info_in_json_is_json_alone() -> None:
    done = visavis("info", "--json")
    assert done.returncode == ExitCode.OK, done.stderr
    description = json.loads(done.stdout)
    assert description["name"] == "presenter"
    assert done.stderr == ""


def test_info_for_people() -> None:
    done = visavis("info")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "Presenter" in done.stdout and "512" in done.stdout


def test_doctor_in_json_is_json_alone() -> None:
    done = visavis("doctor", "--json")
    assert done.returncode in (ExitCode.OK, ExitCode.CHECK_FAILED)
    checks = json.loads(done.stdout)["checks"]
    assert {"name", "ok", "detail", "advice", "needed"} <= set(checks[0])
    needed = [check for check in checks if check["needed"]]
    assert needed and len(needed) < len(checks)
    assert (done.returncode == ExitCode.OK) == all(check["ok"] for check in needed)


def test_render_refuses_what_is_not_a_sound(tmp_path: Path) -> None:
    text = tmp_path / "notes.wav"
    text.write_text("these are notes, not sound")
    done = visavis("render", "--audio", text, "--out", tmp_path / "out.mp4")
    assert done.returncode == ExitCode.INPUT_REFUSED
    assert "notes.wav" in sentence(done)
    assert not (tmp_path / "out.mp4").exists()


def test_render_refuses_a_look_ahead_that_is_not_offered(tmp_path: Path) -> None:
    sound = tmp_path / "any.wav"
    done = visavis("render", "--audio", sound, "--out", tmp_path / "o.mp4", "--lookahead", "50")
    assert done.returncode == ExitCode.PERSON_REFUSED
    assert "not by 50" in sentence(done)


def test_another_host_needs_a_token_or_open() -> None:
    done = visavis("serve", "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == ExitCode.STARTUP_FAILURE
    assert "--token" in sentence(done) and "--open" in done.stderr


def test_a_port_that_is_no_number() -> None:
    done = visavis("serve", VISAVIS_PORT="eighty")
    assert done.returncode == ExitCode.STARTUP_FAILURE
    assert "VISAVIS_PORT" in sentence(done)


def test_a_person_named_by_the_environment(tmp_path: Path) -> None:
    done = visavis("serve", "--port", "0", VISAVIS_PERSON=str(tmp_path / "gone.person"))
    assert done.returncode == ExitCode.PERSON_REFUSED
    assert "gone.person" in sentence(done)


def test_an_evaluation_without_a_folder_of_clips(tmp_path: Path) -> None:
    done = visavis("evaluate", "lips", "--clips", tmp_path / "nowhere", "--voices", "0")
    assert done.returncode == ExitCode.STARTUP_FAILURE
    assert "nowhere" in sentence(done)
    assert done.stdout == ""


def test_an_evaluation_without_its_extra_says_which() -> None:
    code = (
        "import sys; sys.modules['scipy'] = None\n"
        "from visavis.cli.main import main\n"
        "sys.exit(main(['evaluate', 'lips']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == ExitCode.STARTUP_FAILURE
    assert "visavis[cpu,finetune]" in sentence(done)


def test_a_missed_target_is_an_error_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from visavis.finetune.lips.yardstick import evaluation

    figures: dict[str, float | None] = {"clips_r": 0.1}
    monkeypatch.setattr(
        evaluation,
        "evaluate",
        lambda options: evaluation.Result({"seen": options.lips}, ["a line"], figures),
    )
    out = tmp_path / "out.json"
    assert main(["evaluate", "lips", "--json", "--out", str(out)]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {"seen": "presenter"}
    assert json.loads(out.read_text()) == {"seen": "presenter"}
    assert main(["evaluate", "lips", "--strict"]) == ExitCode.CHECK_FAILED
    assert capsys.readouterr().out == "a line\n"
    figures["clips_r"] = 0.5
    assert main(["evaluate", "lips", "--strict"]) == ExitCode.OK
    nowhere = tmp_path / "none" / "out.json"
    assert main(["evaluate", "lips", "--out", str(nowhere)]) == ExitCode.STARTUP_FAILURE
    with pytest.raises(SystemExit):
        main(["evaluate", "lips", "--draws", "0"])
