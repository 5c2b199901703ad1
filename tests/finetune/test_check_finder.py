"""The face tracker's process, with stand-ins for the tracker."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from visavis.engines.errors import PersonFileError
from visavis.finetune.check.finder import FaceFinder

PICTURE = np.zeros((4, 6, 3), np.uint8)
FACE = np.arange(468 * 3).reshape(468, 3).tolist()


def tracker(folder: Path, body: str) -> Path:
    """A program that is started like the tracker's Python."""
    path = folder / "python"
    path.write_text(
        f"#!{sys.executable} -SE\nimport sys\n"
        "size = int(sys.argv[2]) * int(sys.argv[3]) * 3\nread = sys.stdin.buffer.read\n" + body
    )
    path.chmod(0o755)
    return path


def answers(folder: Path, *lines: str) -> Path:
    """A tracker that says these lines, one a picture."""
    (folder / "lines").write_text("\n".join(lines) + "\n")
    return tracker(
        folder,
        f"for line in open({str(folder / 'lines')!r}):\n"
        "    assert len(read(size)) == size\n    print(line, end='', flush=True)\n",
    )


def test_every_picture_is_answered(tmp_path: Path) -> None:
    lines = ["[]", json.dumps([FACE]), json.dumps([FACE, FACE])]
    with FaceFinder(answers(tmp_path, *lines), 6, 4) as find:
        found = [find(PICTURE) for _ in lines]
    assert [len(faces) for faces in found] == [0, 1, 2]
    assert found[1][0].shape == (468, 3) and found[1][0].dtype == np.float32
    assert found[1][0][2].tolist() == [6.0, 7.0, 8.0]


def test_another_size_is_a_mistake(tmp_path: Path) -> None:
    with FaceFinder(answers(tmp_path, "[]"), 6, 4) as find, pytest.raises(ValueError):
        find(np.zeros((6, 4, 3), np.uint8))


def test_a_tracker_that_is_not_there() -> None:
    with pytest.raises(PersonFileError, match="cannot be started"):
        FaceFinder(Path("/nowhere/python"), 6, 4)


def test_the_last_words_of_a_tracker_are_told(tmp_path: Path) -> None:
    path = tracker(tmp_path, "sys.exit('No module named mediapipe')\n")
    with FaceFinder(path, 6, 4) as find, pytest.raises(PersonFileError, match="named mediapipe"):
        find(PICTURE)


@pytest.mark.parametrize(
    "line",
    ["nonsense", "7", '{"a": 1}', "[[1, 2]]", json.dumps([FACE[:-1]]), json.dumps([FACE] * 4),
     json.dumps([[[float("nan")] * 3] * 468])],
)  # fmt: skip
def test_what_is_no_list_of_faces_is_refused(tmp_path: Path, line: str) -> None:
    with (
        FaceFinder(answers(tmp_path, line), 6, 4) as find,
        pytest.raises(PersonFileError, match="no list of faces"),
    ):
        find(PICTURE)
