from __future__ import annotations

import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.landmarks import landmarks_of
from visavis.export.imports.request import Request
from visavis.finetune import importing
from visavis.finetune.importing import Points68, parse_points
from visavis.models.points68 import TRACKED

# Sees a face where the first pixel is white: points that count up from it.
FINDER = """
import json, sys
width, height = int(sys.argv[2]), int(sys.argv[3])
while len(raw := sys.stdin.buffer.read(width * height * 3)) == width * height * 3:
    face = [[k, k / 2, 0] for k in range(468)]
    print(json.dumps([face] if raw[0] == 255 else []), flush=True)
"""


@pytest.fixture
def finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Points68:
    script = tmp_path / "finder.py"
    script.write_text(FINDER)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(importing, "find_tracker", lambda given: given)
    return Points68(python)


def drawn(*first: int) -> np.ndarray:
    pictures = np.zeros((len(first), 64, 80, 3), np.uint8)
    pictures[:, 0, 0] = np.array(first)[:, None]
    return pictures


def test_the_tracker_s_mesh_becomes_68_points(finder: Points68) -> None:
    found = finder(drawn(255, 0))
    assert found[1] is None
    assert found[0] is not None and found[0].shape == (68, 2)
    np.testing.assert_allclose(found[0], np.stack([TRACKED, TRACKED / 2], 1))


def test_a_picture_without_a_face_is_refused(finder: Points68) -> None:
    request = Request("davs", (), find_points=finder)
    with pytest.raises(ImportRefused, match=r"No face was found in rabbit\.jpg"):
        landmarks_of(request, drawn(0)[0], "rabbit.jpg")
    assert landmarks_of(request, drawn(255)[0], "anna.jpg").shape == (68, 2)


def test_points_that_are_given_come_before_the_tracker(finder: Points68) -> None:
    request = Request("davs", (), points=((1, 2), (30, 40.5)), find_points=finder)
    assert landmarks_of(request, drawn(0)[0], "a").tolist() == [[1, 2], [30, 40.5]]
    outside = Request("davs", (), points=((81, 2),))
    with pytest.raises(ImportRefused, match="80x64"):
        landmarks_of(outside, drawn(0)[0], "a")


def test_without_points_and_tracker_it_is_said_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="--points"):
        landmarks_of(Request("davs", ()), drawn(0)[0], "a")
    with pytest.raises(ImportRefused, match=r"--points.*--tracker"):
        Points68(tmp_path / "no-python")(drawn(0))


def test_points_are_read_from_texts_and_files(tmp_path: Path) -> None:
    assert parse_points(["1,2", "3.5, 4"]) == ((1, 2), (3.5, 4))
    path = tmp_path / "points.txt"
    path.write_text("1 2\n\n3.5\t4\n")
    assert parse_points([str(path)]) == ((1, 2), (3.5, 4))
    assert parse_points([]) == ()


@pytest.mark.parametrize("texts", [["1,2,3"], ["a,b"], ["/nowhere"], ["1,2"] * 69])
def test_what_are_no_points_is_refused(texts: list[str]) -> None:
    with pytest.raises(ImportRefused, match=r"point"):
        parse_points(texts)
