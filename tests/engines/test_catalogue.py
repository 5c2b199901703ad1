"""Who can be shown: a folder of files that come, go, change, and are not always what they seem."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path

import pytest

from tests.engines.person_folder import agreed, put, write_many
from visavis.engines import listing, person
from visavis.engines.catalogue import FixedCatalogue
from visavis.engines.errors import ConfigError, NoConsent, PersonFileError, UnknownPerson
from visavis.engines.file_catalogue import FileCatalogue, PersonSource, list_persons
from visavis.engines.listing_cache import ListingCache
from visavis.engines.person_file import PersonFile


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class House:
    """A folder, where its index is kept, and who reads heads of files."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.cache = place / "persons", place / "cache"
        self.folder.mkdir()
        self.clock = Hand()
        self.read: list[str] = []
        head = PersonFile.head

        def noted(file: PersonFile) -> object:
            self.read.append(Path(file._path).name)
            return head(file)

        monkeypatch.setattr(PersonFile, "head", noted)

    def open(self, *files: Path, promised: bool = False) -> FileCatalogue:
        sources = [PersonSource(str(path)) for path in files]
        return FileCatalogue(
            sources, self.folder, promised=promised, cache=self.cache, clock=self.clock
        )

    def names(self, catalogue: FileCatalogue) -> list[str]:
        """The list a second later."""
        self.clock.now += 1.0
        return [info.name for info in catalogue.persons()]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def test_a_folder_is_listed_by_file_name(house: House) -> None:
    for file, name in (("b", "anna"), ("a", "zoe")):
        put(house.folder / f"{file}.person", agreed(name, display_name=name.upper()))
    (house.folder / "notes.txt").write_text("no person")
    (house.folder / "below.person").mkdir()
    catalogue = house.open()
    infos = catalogue.persons()
    assert [(info.name, info.display_name) for info in infos] == [("zoe", "ZOE"), ("anna", "ANNA")]
    assert infos[0].lookaheads_ms == (40, 100, 200) and infos[0].width == 64
    assert catalogue.given() == ("zoe",)
    assert any("below.person is not a file" in problem for problem in catalogue.problems())


def test_only_new_and_changed_files_are_read(house: House) -> None:
    write_many(house.folder, 5)
    catalogue = house.open()
    assert sorted(house.read) == [f"p{index:04}.person" for index in range(5)]
    house.read.clear()
    before = catalogue.persons()
    assert house.names(catalogue) == [f"p{index:04}" for index in range(5)]
    assert catalogue.persons() is before and not house.read
    put(house.folder / "p0002.person", agreed("other"))
    put(house.folder / "p0009.person", agreed("p0009"))
    (house.folder / "p0000.person").unlink()
    assert house.names(catalogue) == ["p0001", "other", "p0003", "p0004", "p0009"]
    assert sorted(house.read) == ["p0002.person", "p0009.person"]


def test_the_disk_is_looked_at_once_a_second(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    write_many(house.folder, 1)
    catalogue = house.open()
    looks: list[object] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looks.append(path) or scandir(path))
    for now in (0.2, 0.5, 0.99, 1.0, 1.5, 1.99, 2.0):
        house.clock.now = now
        catalogue.persons()
    assert len(looks) == 2


def test_what_was_read_is_known_after_a_restart(house: House) -> None:
    write_many(house.folder, 3)
    put(house.folder / "bad.person", b"no zip")
    first = house.open()
    house.read.clear()
    second = house.open()
    assert not house.read
    assert second.persons() == first.persons()
    assert second.problems() == first.problems() != ()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"format": 1}',
        b'{"format": 1, "written_by": "0", "folder": "x", "files": {}}',
        "stamp",
        "width",
        "both",
        "folder",
        "fields",
    ],
)
def test_an_index_that_is_odd_is_not_there(house: House, damage: bytes | str) -> None:
    write_many(house.folder, 2)
    house.open()
    (path,) = house.cache.iterdir()
    if isinstance(damage, str):
        document = json.loads(path.read_bytes())
        entry = next(iter(document["files"].values()))
        match damage:
            case "stamp":
                entry["stamp"] = [1, 2]
            case "width":
                entry["info"]["width"] = "64"
            case "both":
                entry["problem"] = "it is bad"
            case "folder":
                document["folder"] = "/elsewhere"
            case "fields":
                del entry["info"]["id"]
        damage = json.dumps(document).encode()
    path.write_bytes(damage)
    house.read.clear()
    assert house.names(house.open()) == ["p0000", "p0001"]
    assert sorted(house.read) == ["p0000.person", "p0001.person"]
    house.read.clear()
    house.open()  # and it was written anew
    assert not house.read


def test_an_index_is_believed_for_lists_only(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who writes the index may rename a person there; nobody is loaded by that name."""
    monkeypatch.setattr(person, "vet", lambda data: None)
    write_many(house.folder, 1)
    house.open()
    (path,) = house.cache.iterdir()
    path.write_text(path.read_text().replace('"name":"p0000"', '"name":"queen"'))
    catalogue = house.open()
    assert house.names(catalogue) == ["queen"]
    for use in (catalogue.load, catalogue.poster, catalogue.preview):
        with pytest.raises(PersonFileError, match="holds 'p0000' by now, not 'queen'"):
            use("queen")


def test_where_no_index_can_be_kept_lists_go_on(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    write_many(house.folder, 1)
    house.cache.write_text("a file where a folder should be")
    assert house.names(house.open()) == ["p0000"]
    assert "cannot be kept" in caplog.text


def test_broken_files_are_said_once_and_hide_nobody(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    write_many(house.folder, 2)
    good = agreed("whole")
    put(house.folder / "short.person", good[:-30])
    put(house.folder / "text.person", b"hello")
    put(house.folder / "shouting.person", agreed("SHOUT"))
    put(house.folder / "new\x1b[31m.person", b"")
    os.mkfifo(house.folder / "pipe.person")
    os.symlink("nowhere", house.folder / "link.person")
    catalogue = house.open()
    for _ in range(3):
        assert house.names(catalogue) == ["p0000", "p0001"]
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == len(set(said)) == len(catalogue.problems()) == 5
    for file in ("short", "text", "shouting", "pipe"):
        assert sum(f"{file}.person" in sentence for sentence in said) == 1
    assert all(sentence.isprintable() and sentence.endswith(".") for sentence in said)
    (house.folder / "text.person").unlink()
    house.names(catalogue)
    assert len(catalogue.problems()) == 4


def test_of_two_with_one_name_the_first_file_is_shown(house: House) -> None:
    put(house.folder / "a.person", agreed("same", display_name="First"))
    put(house.folder / "b.person", agreed("same", display_name="Second"))
    named = put(house.folder.parent / "named.person", agreed("same", display_name="Named"))
    assert house.open().persons()[0].display_name == "First"
    catalogue = house.open(named)
    assert [info.display_name for info in catalogue.persons()] == ["Named"]
    assert len(catalogue.problems()) == 2
    assert all("another person named 'same'" in problem for problem in catalogue.problems())
    (house.folder / "a.person").unlink()
    reopened = house.open()
    assert [info.display_name for info in reopened.persons()] == ["Second"]


def test_who_did_not_agree_is_not_listed_unless_promised(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(person, "vet", lambda data: None)
    write_many(house.folder, 1)
    silent = put(house.folder / "silent.person", agreed("silent", consent={}))
    catalogue = house.open()
    assert house.names(catalogue) == ["p0000"]
    assert "--i-have-consent" in catalogue.problems()[0]
    for use in (catalogue.load, catalogue.poster, catalogue.entry):
        with pytest.raises(UnknownPerson):
            use("silent")
    caplog.clear()
    promised = house.open(promised=True)
    assert house.names(promised) == ["p0000", "silent"]
    assert promised.load("silent").name == "silent"
    assert promised.poster("silent").startswith(b"\xff\xd8")
    assert caplog.text.count("shown because of --i-have-consent") == 1
    # Who takes the place of somebody who agreed is not shown in their name.
    put(house.folder / "p0000.person", agreed("p0000", consent={}))
    for use in (catalogue.load, catalogue.poster, catalogue.preview):
        with pytest.raises(NoConsent):
            use("p0000")
    with pytest.raises(NoConsent, match="silent"):
        house.open(silent)


def test_files_that_were_named_must_be_good(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = put(tmp_path / "good.person", agreed("good"))
    again = put(tmp_path / "again.person", agreed("good"))
    broken = put(tmp_path / "broken.person", b"PK")
    for files, error, sentence in (
        ([good, broken], PersonFileError, "broken.person: This is not a person file"),
        ([tmp_path / "no.person"], PersonFileError, "no.person cannot be read: no such file"),
        ([good, again], ConfigError, "no two of one name"),
        ([], ConfigError, "It holds no .person file"),
    ):
        with pytest.raises(error, match=sentence):
            house.open(*files)
    assert not caplog.records, "what is raised is not logged as well"
    assert house.open(good).given() == ("good",)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(ConfigError, match="is not a folder"):
            list_persons(path, cache=tmp_path / "cache")


def test_a_folder_that_is_away_takes_nobody_off_the_list(house: House) -> None:
    write_many(house.folder, 2)
    catalogue = house.open()
    away = house.folder.rename(house.folder.with_name("away"))
    assert house.names(catalogue) == ["p0000", "p0001"]
    assert "cannot be read" in catalogue.problems()[0]
    away.rename(house.folder)
    assert house.names(catalogue) == ["p0000", "p0001"]
    assert not catalogue.problems()


def test_a_folder_lists_no_more_files_than_it_may(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_FILES", 3)
    write_many(house.folder, 5)
    catalogue = house.open()
    assert len(catalogue.persons()) == 3
    assert "more than 3 person files" in catalogue.problems()[0]


def test_pictures_come_from_the_file_and_are_what_it_lists(house: House) -> None:
    path = put(house.folder / "a.person", agreed("anna"))
    catalogue = house.open()
    poster = catalogue.poster("anna")
    assert poster.startswith(b"\xff\xd8") and catalogue.preview("anna") is None
    with pytest.raises(UnknownPerson):
        catalogue.poster("nobody")
    data = path.read_bytes()
    put(path, data.replace(poster, poster[:-9] + b"x" + poster[-8:]))
    with pytest.raises(PersonFileError, match="damaged"):
        catalogue.poster("anna")
    path.unlink()
    with pytest.raises(PersonFileError, match="cannot be read"):
        catalogue.poster("anna")


def test_nobody_waits_for_somebody_who_reads_new_files(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_many(house.folder, 1)
    catalogue = house.open()
    reading, go = threading.Event(), threading.Event()
    read = listing._read

    def slow(path: str, stamp: listing.Stamp) -> listing.Listed:
        reading.set()
        assert go.wait(20)
        return read(path, stamp)

    monkeypatch.setattr(listing, "_read", slow)
    put(house.folder / "new.person", agreed("new"))
    house.clock.now = 5.0
    other = threading.Thread(target=catalogue.persons)
    other.start()
    assert reading.wait(20)
    assert [info.name for info in catalogue.persons()] == ["p0000"]
    go.set()
    other.join(20)
    assert [info.name for info in catalogue.persons()] == ["new", "p0000"]


def test_reading_new_files_makes_pauses_while_people_talk(
    tmp_path: Path,
) -> None:
    pauses: list[int] = []
    look = listing.Listing((), tmp_path, pause=lambda: pauses.append(1))
    write_many(tmp_path, 3)
    assert look.look() and not pauses  # nobody talks before the first list
    put(tmp_path / "x.person", agreed("x"))
    put(tmp_path / "y.person", agreed("y"))
    assert look.look() and len(pauses) == 2
    assert not look.look() and len(pauses) == 2


def test_an_index_is_one_folder_s_own(tmp_path: Path) -> None:
    one, two = ListingCache(tmp_path / "one", tmp_path), ListingCache(tmp_path / "two", tmp_path)
    assert one.path != two.path and not one.load()


def test_persons_in_memory_are_a_catalogue_too() -> None:
    from tests.engines.fakes import person as made

    catalogue = FixedCatalogue([made("one"), made("two")])
    assert catalogue.given() == ("one", "two")
    assert catalogue.load("two").name == "two" and catalogue.entry("two").bytes > 1000
    assert catalogue.persons() is catalogue.persons()
    with pytest.raises(UnknownPerson, match="known: one, two"):
        catalogue.entry("three")
