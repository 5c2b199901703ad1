from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engines import sample_file
from visavis.engines import person as person_module
from visavis.engines.errors import PersonFileError
from visavis.engines.info import describe, lines
from visavis.engines.person import read_person, write_person
from visavis.engines.share import share

AGREED = {"subject": "Anna", "given": "Show me to everybody.", "on": "2026-11-27"}
REASON = "it holds vertices of BFM 2009"


@pytest.fixture(autouse=True)
def vetted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that were tried in a process of their own; that takes seconds and is not done."""
    tried: list[bytes] = []
    monkeypatch.setattr(person_module, "vet", tried.append)
    return tried


def person_file(path: Path, **changes: Any) -> Path:
    manifest = {**sample_file.manifest(), "consent": AGREED, **changes}
    path.write_bytes(write_person(manifest, sample_file.parts()))
    return path


def test_a_person_goes_with_its_licence_and_notices(tmp_path: Path, vetted: list[bytes]) -> None:
    source, outbox = person_file(tmp_path / "x.person"), tmp_path / "out" / "box"
    files = share(source, outbox).files
    assert [file.name for file in files] == [
        "sample.person",
        "sample.licence.txt",
        "sample.notices.txt",
    ]
    assert files[0].read_bytes() == source.read_bytes() == vetted[0]
    assert files[1].read_text() == "CC0-1.0\n"
    notices = files[2].read_text()
    for words in ("A drawing of nothing.", "Show me to everybody.", "2026-11-27", "Anna"):
        assert words in notices
    assert sorted(outbox.iterdir()) == sorted(files)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"contains_licensed": True, "made_by": {"licensed": f"{REASON}."}}, REASON),
        ({"contains_licensed": True}, "its notices say"),
        ({"consent": {"subject": "Anna"}}, "does not state"),
        ({"consent": {"synthetic": True}}, "does not state"),
    ],
)
def test_what_may_not_be_given_on_stays(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    source = person_file(tmp_path / "x.person", **changes)
    with pytest.raises(PersonFileError, match=words):
        share(source, tmp_path / "outbox")
    assert not (tmp_path / "outbox").exists()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    source = person_file(tmp_path / "x.person")
    mine = tmp_path / "sample.notices.txt"
    mine.write_text("mine")
    with pytest.raises(PersonFileError, match="exists already"):
        share(source, tmp_path)
    assert mine.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sample.notices.txt", "x.person"]


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    source = person_file(tmp_path / "x.person")
    with pytest.raises(PersonFileError, match="cannot be written"):
        share(source, source)


def test_info_says_why_a_person_is_licensed(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"contains_licensed": True, "made_by": {"licensed": REASON}}
    person = read_person(person_file(tmp_path / "x.person", **changes).read_bytes())
    assert f"licensed    yes, {REASON}" in "\n".join(lines(describe(person)))
