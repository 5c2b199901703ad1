"""`look` of a person file: what is refused, what is said of it, and the plate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.matted import (
    FACE,
    MATTE,
    PLATE,
    matted_file,
    mattes,
    plate,
    plate_jpeg,
    tiny_matted,
    with_look,
)
from tests.engines.tiny_person import FRAMES, HEIGHT, WIDTH, tiny_person
from visavis.engines import file_catalogue
from visavis.engines.catalogue import FixedCatalogue
from visavis.engines.errors import PersonFileError
from visavis.engines.file_catalogue import FileCatalogue, PersonSource
from visavis.engines.info import describe, lines
from visavis.engines.look import look_of
from visavis.engines.person import load_person
from visavis.engines.pipeline import Pipeline
from visavis.engines.plate import decode_plate
from visavis.engines.room import resident_bytes

GOOD = {"face": list(FACE), "matte": MATTE, "plate": PLATE}


def parts() -> dict[str, bytes]:
    return {name: tiny_matted().parts[name] for name in (MATTE, PLATE)}


@pytest.mark.parametrize(
    ("look", "words"),
    [
        ([], "look must be an object"),
        ({"matte": MATTE}, "a matte and a plate, or neither"),
        ({"plate": PLATE}, "a matte and a plate, or neither"),
        ({**GOOD, "matte": "look/other.mp4"}, "'look/other.mp4', which is not among the parts"),
        ({**GOOD, "matte": PLATE}, "which is not a .mp4 file"),
        ({**GOOD, "plate": MATTE}, "which is not a .jpg file"),
        ({**GOOD, "plate": None}, "look: plate must be a text"),
        ({**GOOD, "hair": 1}, "look has 'hair', which is not known"),
        ({**GOOD, "face": None}, "look: face must be a list"),
        *(
            ({**GOOD, "face": face}, "look: face must be x, y and a height")
            for face in (
                [],
                [0.5, 0.5],
                [0.5, 0.5, True],
                [0.5, 1.01, 0.5],
                [-0.01, 0.5, 0.5],
                [0.5, 0.5, 0.0],
                [0.5, "0.5", 0.5],
            )
        ),
        ({**GOOD, "face": [0.5] * 4}, "look: face must be a list of at most 3"),
    ],
)
def test_a_look_that_is_none_is_refused(look: Any, words: str) -> None:
    with pytest.raises(PersonFileError) as caught:
        with_look(tiny_person(), look, parts())
    assert words in str(caught.value)


def small(width: int, height: int) -> bytes:
    return plate_jpeg(np.full((height * 3 // 2, width), 100, np.uint8))


def boast(width: int, height: int) -> bytes:
    """A small JPEG that says it is a large one."""
    data = bytearray(plate_jpeg(plate()))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({MATTE: b"\0\0\0 ftypisom, it says"}, "cannot be decoded"),
        ({MATTE: mattes(np.zeros(FRAMES), size=(WIDTH, HEIGHT + 2))}, "is 128x130"),
        ({PLATE: b"not a JPEG"}, "must be a baseline JPEG file of 128x128"),
        ({PLATE: small(WIDTH, HEIGHT - 16)}, "must be a baseline JPEG file of 128x128"),
        ({PLATE: boast(65535, 65535)}, "must be a baseline JPEG file of 128x128"),
        ({PLATE: plate_jpeg(plate(), progressive=True)}, "must be a baseline JPEG file of 128x128"),
        (
            {PLATE: plate_jpeg(plate())[:200]},
            "must be a baseline JPEG|cannot be decoded|no picture",
        ),
        ({PLATE: plate_jpeg(plate())[:16]}, "must be a baseline JPEG file of 128x128"),
    ],
)
def test_parts_that_are_something_else_are_refused(
    changed: Mapping[str, bytes], words: str
) -> None:
    with pytest.raises(PersonFileError, match=words):
        with_look(tiny_person(), GOOD, {**parts(), **changed})


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def _part(where: str, value: Any, suffixes: tuple[str, ...]) -> str:
    if value not in (MATTE, PLATE) or not value.endswith(suffixes):
        raise PersonFileError(f"{where} is none.")
    return str(value)


@settings(max_examples=200, deadline=None)
@given(_ANY | st.fixed_dictionaries({"face": _ANY, "matte": _ANY, "plate": st.just(PLATE)}))
def test_any_value_is_refused_or_read(value: Any) -> None:
    try:
        spec = look_of(value, _part)
    except PersonFileError as error:
        assert str(error).endswith(".")
    else:
        assert (spec.matte is None) == (spec.plate is None)
        assert spec.face is None or all(0 <= number <= 1 for number in spec.face)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_plate_is_a_picture_or_a_sentence(changes: list[tuple[int, int]]) -> None:
    data = bytearray(parts()[PLATE])
    for at, value in changes:
        data[at % len(data)] = value
    try:
        assert len(decode_plate("plate", bytes(data), WIDTH, HEIGHT)) == WIDTH * HEIGHT * 3 // 2
    except PersonFileError as error:
        assert str(error).endswith(".")


def test_a_decoder_sees_no_plate_of_another_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "open", lambda *args, **options: pytest.fail("it was decoded"))
    for data in (boast(65535, 65535), small(64, 64), b"\xff\xd8\xff", b""):
        with pytest.raises(PersonFileError, match="baseline JPEG"):
            decode_plate("plate", data, WIDTH, HEIGHT)


def test_a_matte_of_other_frames_does_not_run() -> None:
    data = with_look(tiny_person(), GOOD, {**parts(), MATTE: mattes(np.zeros(FRAMES - 1))})
    with pytest.raises(PersonFileError, match="matte has 59 frames of 128x128 for 60"):
        Pipeline(load_person(data, trusted=True), variant="fp32")


def test_a_foreign_matte_is_tried_elsewhere_first() -> None:
    """Its first frame is whole, so it passes all but the trial, which comes to the others."""
    video = bytearray(parts()[MATTE])
    first, last = video.index(b"mdat") + 3000, video.index(b"moov") - 4
    video[first:last] = b"\xff" * (last - first)
    damaged = with_look(tiny_person(), GOOD, {**parts(), MATTE: bytes(video)})
    with pytest.raises(PersonFileError, match="matte does not run"):
        load_person(damaged)


def test_a_good_one_is_let_in() -> None:
    person = load_person(matted_file())
    assert person.face == FACE and person.matte is not None and person.plate is not None


def test_a_face_alone_is_a_look_and_nothing_is_one_too() -> None:
    for look, face in (({"face": [0, 1, 0.02]}, (0.0, 1.0, 0.02)), ({}, None)):
        person = load_person(with_look(tiny_person(), look, {}), trusted=True)
        (info,) = FixedCatalogue([person]).persons()
        assert (info.has_matte, info.face) == (False, face)
        assert FixedCatalogue([person]).plate("tiny") is None
    assert FixedCatalogue([tiny_person()]).persons()[0].face is None


def test_the_plate_is_as_frames_are() -> None:
    """Of limited range: black is 16. As full range it would be as many as 20 levels off."""
    data = FixedCatalogue([tiny_matted()]).plate("tiny")
    assert data is not None and len(data) == WIDTH * HEIGHT * 3 // 2
    found = np.frombuffer(data, np.uint8).reshape(HEIGHT * 3 // 2, WIDTH).astype(int)
    assert np.abs(found - plate()).max() <= 4 and np.abs(found - plate()).mean() < 1.5


def folder(place: Path, **options: Any) -> FileCatalogue:
    return FileCatalogue(folder=place, cache=place / "cache", promised=True, **options)


def test_a_list_says_who_has_a_matte_and_where_the_face_is(tmp_path: Path) -> None:
    (tmp_path / "a.person").write_bytes(matted_file("matted"))
    (tmp_path / "b.person").write_bytes(with_look(tiny_person("plain"), {}, {}))
    first = [(info.name, info.has_matte, info.face) for info in folder(tmp_path).persons()]
    assert first == [("matted", True, FACE), ("plain", False, None)]
    again = folder(tmp_path)  # from the index
    assert list(again.persons()) == list(folder(tmp_path).persons())
    assert again.persons()[0] == FixedCatalogue([tiny_matted("matted")]).persons()[0]


@pytest.mark.parametrize("face", [[0.5, 0.5, 2.0], [0.5], "0.5", float("nan")])
def test_an_index_with_a_senseless_face_is_not_used(tmp_path: Path, face: Any) -> None:
    (tmp_path / "a.person").write_bytes(matted_file())
    folder(tmp_path)
    (index,) = (tmp_path / "cache").iterdir()
    document = json.loads(index.read_text())
    (entry,) = document["files"].values()
    entry["info"]["face"] = face
    entry["info"]["display_name"] = "Believed"
    index.write_text(json.dumps(document))
    (info,) = folder(tmp_path).persons()
    assert info.face == FACE and info.display_name == "Tiny"


def test_a_plate_of_a_foreign_file_is_tried_elsewhere_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []

    def noted(path: str, *, trusted: bool) -> Any:
        loads.append(Path(path).name)
        return load_person(path, trusted=True)

    monkeypatch.setattr(file_catalogue, "load_person", noted)
    file = tmp_path / "a.person"
    file.write_bytes(matted_file())
    catalogue = FileCatalogue([PersonSource(str(file))], promised=True)
    first = catalogue.plate("tiny")
    assert first == FixedCatalogue([tiny_matted()]).plate("tiny") and loads == ["a.person"]
    assert catalogue.plate("tiny") == first and loads == ["a.person"], "once is enough"
    # Another file in its place is another matter.
    other = np.full_like(plate(), 90)
    look = {"matte": MATTE, "plate": PLATE}
    file.write_bytes(with_look(tiny_person(), look, {**parts(), PLATE: plate_jpeg(other)}))
    second = catalogue.plate("tiny")
    assert second is not None and second != first and len(loads) == 2


def test_a_file_that_changes_while_its_plate_is_asked_for_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_catalogue, "load_person", lambda path, trusted: tiny_person())
    file = tmp_path / "a.person"
    file.write_bytes(matted_file())
    catalogue = FileCatalogue([PersonSource(str(file))], promised=True)
    with pytest.raises(PersonFileError, match="has changed just now"):
        catalogue.plate("tiny")


def test_a_person_file_without_a_plate_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.person").write_bytes(with_look(tiny_person(), {"face": list(FACE)}, {}))
    assert folder(tmp_path).plate("tiny") is None


def test_info_says_it() -> None:
    description = describe(tiny_matted())
    assert json.loads(json.dumps(description)) == description
    assert description["has_matte"] is True and description["face"] == list(FACE)
    text = "\n".join(lines(description))
    assert "a matte: other backgrounds" in text and "face at 50% of the width, 38%" in text
    assert "no matte" in "\n".join(lines(describe(tiny_person())))


def test_a_matte_counts_for_the_memory_of_a_person() -> None:
    plain, matted = (resident_bytes(1000, 512, 512, 4, has_matte=it) for it in (False, True))
    assert matted - plain == (256 << 20) * 2 // 3
