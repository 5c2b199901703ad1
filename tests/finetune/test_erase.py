"""What `visavis delete` takes, leaves and refuses, and that it never takes a half."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.engines import sample_file
from visavis.engines.errors import DeletionError, PersonFileError
from visavis.engines.person import peek_person, read_person, write_person
from visavis.finetune import erase as module
from visavis.finetune.erase import erase, plan
from visavis.finetune.record import Made, Record

CLIP = "c" * 64


def file(name: str) -> bytes:
    """A person file of that name."""
    return write_person(
        {**sample_file.manifest(), "name": name, "made_by": {"tool": "tests", "clip_sha256": CLIP}},
        sample_file.parts(),
    )


ANNA, BERT = file("anna"), file("bert")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A training in `anna`, from which `anna.person` and `out/other.person` were written."""
    folder = tmp_path / "anna"
    (folder / "renderer").mkdir(parents=True)
    (folder / "renderer" / "step.pt").write_bytes(b"weights")
    (tmp_path / "out").mkdir()
    record = Record(folder, CLIP)
    record.write()
    for path, data in ((tmp_path / "anna.person", ANNA), (tmp_path / "out/other.person", BERT)):
        record.add_made(path, read_person(data).id)
        path.write_bytes(data)
    (tmp_path / "bystander.person").write_bytes(ANNA)
    return tmp_path


def tree(place: Path) -> set[str]:
    """Everything below a place."""
    return {str(path.relative_to(place)) for path in place.rglob("*")}


# --- the record ---------------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = Record(tmp_path, CLIP)
    record.add_made(tmp_path / "sub" / ".." / "a.person", "1" * 64)
    record.add_made(tmp_path / "a.person", "2" * 64)
    record.add_made(tmp_path / "a.person", "1" * 64)
    assert Record.read(tmp_path) == record
    assert record.made == [
        Made(tmp_path / "a.person", "1" * 64),
        Made(tmp_path / "a.person", "2" * 64),
    ]
    assert tree(tmp_path) == {"finetune.json"}


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    record = Record(tmp_path, CLIP)
    record.add_made(Path("a.person"), "1" * 64)
    assert Record.read(tmp_path).made[0].path == tmp_path / "a.person"


def test_what_would_not_be_read_is_not_written(tmp_path: Path) -> None:
    record = Record(tmp_path, CLIP)
    record.write()
    for path, person_id in ((tmp_path / "a\x1b.person", "1" * 64), (tmp_path / "a", "short")):
        with pytest.raises(PersonFileError, match=r"finetune\.json"):
            record.add_made(path, person_id)
        assert record.made == [] and Record.read(tmp_path) == record
    with pytest.raises(PersonFileError, match="cannot be written: no such file"):
        Record(tmp_path / "gone", CLIP).write()


def entry(path: str) -> dict[str, Any]:
    return {"format": 1, "clip_sha256": CLIP, "made": [{"path": path, "id": "1" * 64}]}


RECORDS: dict[str, tuple[object, str]] = {
    "text": ("hello", "is not valid JSON|must hold"),
    "list": ([], "must hold one object"),
    "empty": ({}, "lacks 'clip_sha256'"),
    "format": ({"format": 2, "clip_sha256": CLIP, "made": []}, "this version reads 1"),
    "unknown": ({"format": 1, "clip_sha256": CLIP, "made": [], "x": 1}, "'x', which is not known"),
    "clip": ({"format": 1, "clip_sha256": "x", "made": []}, "clip_sha256 must look like"),
    "made": ({"format": 1, "clip_sha256": CLIP, "made": ["/a"]}, "made must be an object"),
    "many": ({"format": 1, "clip_sha256": CLIP, "made": [0] * 1025}, "at most 1024"),
    "relative": (entry("a.person"), "must be absolute and plain"),
    "climbing": (entry("/a/../b.person"), "must be absolute and plain"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_folder_without_a_valid_record_stays(place: Path, case: str) -> None:
    value, sentence = RECORDS[case]
    (place / "anna" / "finetune.json").write_text(json.dumps(value))
    before = tree(place)
    with pytest.raises(PersonFileError, match=sentence):
        plan(place / "anna")
    assert tree(place) == before


@pytest.mark.parametrize("kind", ["missing", "link", "folder", "pipe"])
def test_a_record_that_is_no_file_does_not_count(place: Path, kind: str) -> None:
    path = place / "anna" / "finetune.json"
    path.rename(place / "elsewhere.json")
    if kind == "link":
        path.symlink_to(place / "elsewhere.json")
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(PersonFileError, match=r"finetune\.json"):
        plan(place / "anna")


# --- what goes ----------------------------------------------------------------------------------


def test_a_folder_goes_with_every_person_made_from_it(place: Path) -> None:
    planned = plan(place / "anna")
    assert planned.folder == place / "anna"
    assert planned.persons == (place / "anna.person", place / "out/other.person")
    assert (planned.files, planned.left, planned.clip_sha256) == (2, (), CLIP)
    text = "\n".join(planned.lines())
    assert f"{place}/anna.person" in text and "files: 2" in text and "not deleted" not in text
    erase(planned)
    assert tree(place) == {"out", "bystander.person"}


def test_a_person_file_goes_alone(place: Path) -> None:
    before = tree(place)
    planned = plan(place / "anna.person")
    assert any(CLIP in line for line in planned.lines())
    erase(planned)
    assert tree(place) == before - {"anna.person"}


def test_what_is_something_else_by_now_stays(place: Path) -> None:
    record = Record.read(place / "anna")
    for name in ("link", "notes", "gone", "gone/deeper"):
        record.add_made(place / "out" / f"{name}.person", read_person(ANNA).id)
    (place / "anna.person").write_bytes(BERT)
    (place / "out/link.person").symlink_to(place / "bystander.person")
    (place / "out/notes.person").write_text("shopping")
    planned = plan(place / "anna")
    reasons = {path.name: reason for path, reason in planned.left}
    assert reasons == {
        "anna.person": "it is another person now",
        "link.person": "it is a link now",
        "notes.person": "it is no person file now, or cannot be read",
        "gone.person": "it is not there any more",
        "deeper.person": "it is not there any more",
    }
    assert all(f"{path}: {reason}" in "\n".join(planned.lines()) for path, reason in planned.left)
    erase(planned)
    assert tree(place) == {
        "anna.person",
        "bystander.person",
        "out",
        "out/link.person",
        "out/notes.person",
    }
    assert peek_person(place / "anna.person")[0] == read_person(BERT).id


def test_a_person_that_was_made_anew_goes_in_either_form(place: Path) -> None:
    Record.read(place / "anna").add_made(place / "anna.person", read_person(BERT).id)
    for data in (ANNA, BERT):
        (place / "anna.person").write_bytes(data)
        assert place / "anna.person" in plan(place / "anna").persons


def test_a_person_inside_goes_with_the_folder(place: Path) -> None:
    inside = place / "anna" / "anna.person"
    (place / "alias").symlink_to(place / "anna")
    record = Record.read(place / "anna")
    record.add_made(inside, read_person(ANNA).id)
    record.add_made(place / "alias" / "anna.person", read_person(ANNA).id)
    inside.write_bytes(ANNA)
    planned = plan(place / "anna")
    assert inside not in planned.persons and planned.left == ()
    erase(planned)
    assert not inside.exists()


def test_links_in_the_folder_are_not_followed(place: Path) -> None:
    (place / "precious").mkdir()
    (place / "precious" / "photo.jpg").write_bytes(b"photo")
    (place / "anna" / "album").symlink_to(place / "precious")
    (place / "anna" / "photo").symlink_to(place / "precious" / "photo.jpg")
    planned = plan(place / "anna")
    assert planned.size < 1000
    erase(planned)
    assert tree(place) == {"out", "bystander.person", "precious", "precious/photo.jpg"}


# --- what is refused ----------------------------------------------------------------------------


def test_links_stay(place: Path) -> None:
    before = tree(place)
    (place / "a").symlink_to(place / "anna")
    (place / "b").symlink_to(place / "anna.person")
    (place / "c").symlink_to(place / "nothing")
    for name in "abc":
        with pytest.raises(PersonFileError, match="is a link; name what it leads to"):
            plan(place / name)
    assert tree(place) == before | set("abc")


def test_the_root_and_the_home_stay(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PersonFileError, match="is your home folder, or holds it"):
        plan(Path("/"))
    for home in (place / "anna", place / "anna" / "renderer"):
        monkeypatch.setenv("HOME", str(home))
        with pytest.raises(PersonFileError, match="is your home folder, or holds it"):
            plan(place / "anna")


def test_a_file_system_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os.path, "ismount", lambda path: True)
    with pytest.raises(PersonFileError, match="a file system of its own"):
        plan(place / "anna")


def test_a_file_system_in_the_folder_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.lstat

    def other(path: str) -> os.stat_result:
        found = real(path)
        if not str(path).endswith("step.pt"):
            return found
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:10]))

    monkeypatch.setattr(module.os, "lstat", other)
    with pytest.raises(DeletionError, match="step.pt is on another file system"):
        plan(place / "anna")


def test_what_is_protected_stays(place: Path) -> None:
    with pytest.raises(PersonFileError, match="is a part of visavis, or holds one"):
        plan(place / "anna.person", protected=[place / "anna.person"])
    with pytest.raises(PersonFileError, match="is a part of visavis, or holds one"):
        plan(place / "anna", protected=[place / "anna" / "renderer" / "step.pt"])
    planned = plan(place / "anna", protected=[place / "anna.person"])
    assert planned.left == ((place / "anna.person", "it is a part of visavis"),)
    erase(planned)
    assert (place / "anna.person").exists()


@pytest.mark.parametrize("kind", ["missing", "text", "folder", "empty", "pipe", "loop"])
def test_what_is_not_ours_stays(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "it"
    match kind:
        case "text":
            path.write_text("shopping, and a long list of it, longer than the end of a zip")
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
        case "pipe":
            os.mkfifo(path)
        case "loop":
            (tmp_path / "loop").symlink_to(tmp_path / "loop")
            path = tmp_path / "loop" / "it"
    before = tree(tmp_path)
    with pytest.raises(PersonFileError, match=r"^\S+/it (cannot be found|is no .*)") as caught:
        plan(path)
    assert str(caught.value).endswith(".")
    assert tree(tmp_path) == before


# --- nothing half -------------------------------------------------------------------------------


def test_what_has_changed_meanwhile_stays(place: Path) -> None:
    planned = plan(place / "anna")
    (place / "anna.person").write_bytes(BERT)
    before = tree(place)
    with pytest.raises(DeletionError, match="has changed since it was looked at; nothing was"):
        erase(planned)
    assert tree(place) == before


def test_where_one_cannot_go_none_goes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(place / "anna")
    before = tree(place)
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self == place / "anna":
            raise PermissionError(13, "Permission denied")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(DeletionError, match="anna cannot be deleted: permission denied; nothing"):
        erase(planned)
    assert tree(place) == before


def test_what_is_in_the_way_is_not_overwritten(place: Path) -> None:
    (place / ".deleting-anna.person").write_text("something else")
    before = tree(place)
    with pytest.raises(DeletionError, match=r"\.deleting-anna\.person is in the way; nothing was"):
        erase(plan(place / "anna"))
    assert tree(place) == before
    assert (place / ".deleting-anna.person").read_text() == "something else"


def test_a_deletion_that_breaks_off_can_be_finished(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", broken)
        with pytest.raises(DeletionError, match="input/output error; what is left") as caught:
            erase(plan(place / "anna"))
    rest = place / ".deleting-anna"
    assert str(caught.value).endswith(f"{rest}.")
    assert tree(place) >= {".deleting-anna/finetune.json", ".deleting-anna/renderer"}
    assert not (place / "anna.person").exists()
    erase(plan(rest))
    assert tree(place) == {"out", "bystander.person"}


def test_persons_that_were_already_put_aside_are_found(place: Path) -> None:
    (place / "anna.person").rename(place / ".deleting-anna.person")
    planned = plan(place / "anna")
    assert planned.persons == (place / ".deleting-anna.person", place / "out/other.person")
    assert planned.left == ()
    erase(planned)
    assert tree(place) == {"out", "bystander.person"}


def test_what_may_not_be_written_to_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "access", lambda path, mode: not path.endswith("renderer"))
    with pytest.raises(DeletionError, match="renderer cannot be written to"):
        plan(place / "anna")
