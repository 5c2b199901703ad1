"""`visavis delete` at the command line: what it says, asks and refuses. What goes and what stays:
`tests/finetune/test_erase.py`.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.cli.command import sentence, visavis
from tests.engines import sample_file
from visavis.cli.exit_codes import ExitCode
from visavis.cli.main import main
from visavis.engines.person import read_person, write_person
from visavis.finetune.record import Record
from visavis.persons import builtin

PERSON = write_person(sample_file.manifest(), sample_file.parts())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A training from which `sample.person` beside it was written."""
    folder = tmp_path / "training"
    folder.mkdir()
    Record(folder, "c" * 64).add_made(tmp_path / "sample.person", read_person(PERSON).id)
    (tmp_path / "sample.person").write_bytes(PERSON)
    return folder


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir())


def test_it_lists_and_deletes(folder: Path) -> None:
    done = visavis("delete", folder, "--yes")
    assert done.returncode == ExitCode.OK, done.stderr
    assert left(folder) == [] and done.stderr == ""
    assert "sample.person" in done.stdout and done.stdout.endswith("Deleted.\n")


def test_where_nobody_can_be_asked_nothing_goes(folder: Path) -> None:
    done = visavis("delete", folder)
    assert done.returncode == ExitCode.STARTUP_FAILURE
    assert "--yes" in sentence(done) and "sample.person" in done.stdout
    assert left(folder) == ["sample.person", "training"]


@pytest.mark.parametrize(
    ("answer", "goes"),
    [("y\n", True), (" YES \n", True), ("n\n", False), ("\n", False), ("", False)],
)
def test_it_asks(
    folder: Path,
    answer: str,
    goes: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", terminal)
    code = main(["delete", str(folder)])
    assert code == (ExitCode.OK if goes else ExitCode.FAILURE)
    assert left(folder) == ([] if goes else ["sample.person", "training"])
    assert capsys.readouterr().out.endswith("Deleted.\n" if goes else "Nothing was deleted.\n")


@pytest.mark.parametrize("kind", ["foreign folder", "link", "root", "home", "text", "missing"])
def test_what_is_not_ours_is_refused(folder: Path, kind: str, tmp_path: Path) -> None:
    match kind:
        case "foreign folder":
            path = tmp_path / "photos"
            path.mkdir()
        case "link":
            path = tmp_path / "link"
            path.symlink_to(folder)
        case "root":
            path = Path("/")
        case "home":
            path = folder
        case "text":
            path = tmp_path / "notes.person"
            path.write_text("milk, bread")
        case _:
            path = tmp_path / "gone"
    before = left(folder)
    done = visavis("delete", path, "--yes", HOME=str(folder))
    assert done.returncode == ExitCode.PERSON_REFUSED
    assert str(path) in sentence(done)
    assert left(folder) == before and done.stdout == ""


def test_the_built_in_person_is_refused(tmp_path: Path) -> None:
    path = Path(str(builtin()))
    before = path.stat()
    for words in ("presenter", path, path.parent):
        done = visavis("delete", words, "--yes")
        assert done.returncode == ExitCode.PERSON_REFUSED
        assert str(words) in sentence(done)
    assert path.stat() == before


def test_a_failure_says_that_nothing_went(folder: Path) -> None:
    (folder.parent / ".deleting-training").mkdir()
    done = visavis("delete", folder, "--yes")
    assert done.returncode == ExitCode.FAILURE
    assert "nothing was deleted" in sentence(done)
    assert left(folder) == [".deleting-training", "sample.person", "training"]
