"""Who is shown without having agreed: nobody, unless whoever runs it says that they have."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import sentence, visavis
from tests.engines.tiny_person import tiny_file, tiny_person
from visavis.cli.exit_codes import ExitCode
from visavis.cli.main import main
from visavis.engines import local, person
from visavis.engines.client import EngineClient
from visavis.engines.person import write_person
from visavis.server import run
from visavis.server.config import ServerConfig


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """A person whose file does not state their consent."""
    path = tmp_path / "silent.person"
    path.write_bytes(tiny_file())
    return path


@pytest.fixture
def agreed(tmp_path: Path) -> Path:
    """The same person, who agreed."""
    tiny = tiny_person()
    manifest = {key: value for key, value in tiny.manifest.items() if key != "parts"}
    manifest["consent"] = {"subject": "Tiny", "given": "not needed: a drawing"}
    path = tmp_path / "agreed.person"
    path.write_bytes(write_person(manifest, tiny.parts))
    return path


def test_serve_refuses(silent: Path) -> None:
    done = visavis("serve", "--port", "0", "--person", silent)
    assert done.returncode == ExitCode.PERSON_REFUSED
    assert str(silent) in sentence(done) and "--i-have-consent" in done.stderr
    assert done.stdout == ""


def test_a_promise_in_other_words_is_none() -> None:
    done = visavis("serve", VISAVIS_I_HAVE_CONSENT="perhaps")
    assert done.returncode == ExitCode.STARTUP_FAILURE
    assert "VISAVIS_I_HAVE_CONSENT" in sentence(done)


# From here on in this process: a server and its engine take seconds to start.


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the persons that a server was given."""
    names: list[str] = []

    def run_server(config: ServerConfig, engine: Callable[[], EngineClient]) -> int:
        engine()
        return 0

    monkeypatch.setattr(person, "vet", lambda data: None)
    monkeypatch.setattr(run, "run_server", run_server)
    monkeypatch.setattr(
        local, "LocalEngine", lambda given, **_: names.extend(p.name for p in given.persons())
    )
    monkeypatch.delenv("VISAVIS_I_HAVE_CONSENT", raising=False)
    return names


def test_the_built_in_person_needs_no_promise(
    served: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["serve"]) == ExitCode.OK
    assert served == ["presenter"] and not warnings(caplog)


def test_who_agreed_needs_no_promise(
    served: list[str], agreed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["serve", "--person", str(agreed)]) == ExitCode.OK
    assert served == ["tiny"] and not warnings(caplog)


@pytest.mark.parametrize("way", ["option", "variable"])
def test_with_a_promise_it_is_served_and_said(
    served: list[str],
    silent: Path,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if way == "variable":
        monkeypatch.setenv("VISAVIS_I_HAVE_CONSENT", "1")
    words = ["--i-have-consent"] if way == "option" else []
    assert main(["serve", "--person", "presenter", "--person", str(silent), *words]) == ExitCode.OK
    assert served == ["presenter", "tiny"]
    (warning,) = warnings(caplog)
    assert str(silent) in warning


@pytest.mark.parametrize("variable", ["0", ""])
def test_one_of_several_is_enough_to_refuse(
    served: list[str], silent: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_I_HAVE_CONSENT", variable)
    words = ["serve", "--person", "presenter", "--person", str(silent)]
    assert main(words) == ExitCode.PERSON_REFUSED
    assert served == []


def test_render_refuses_and_writes_nothing(served: list[str], silent: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    words = ["render", "--person", str(silent), "--audio", str(tmp_path / "no.wav")]
    assert main([*words, "--out", str(out)]) == ExitCode.PERSON_REFUSED
    assert not out.exists()
    # It goes on to what comes next: the sound, which is not there.
    assert main([*words, "--out", str(out), "--i-have-consent"]) == ExitCode.INPUT_REFUSED


def test_info_shows_everybody(
    served: list[str], silent: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(silent)]) == ExitCode.OK
    assert "none is stated" in capsys.readouterr().out


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as a warning."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
