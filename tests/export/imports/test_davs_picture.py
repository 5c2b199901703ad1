"""The picture of a person of `davs`: where the face is, and what is no face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.export.imports.davs_sample import eyes_and_mouth, photograph
from visavis.export.imports.davs_picture import Aligned, align, seen
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.request import Request

# Of an aligned face, in pixels; the published places, cut and made smaller by hand.
EYES_AND_MOUTH = [[91.1, 114.4], [168.7, 114.4], [129.9, 188.1]]


def test_the_photograph_stays_and_the_face_is_where_it_was() -> None:
    picture = photograph(301, 240)
    points = np.array(eyes_and_mouth(picture))
    aligned = align(picture, points)
    assert aligned.frame.shape == (300, 240, 3) and aligned.face.shape == (256, 256, 3)
    assert np.array_equal(aligned.frame, picture[:300])
    check_places(aligned, points)
    large = photograph(1300, 1040)
    points = np.array(eyes_and_mouth(large))
    aligned = align(large, points)
    assert aligned.frame.shape == (1024, 820, 3)
    scale = np.array([820 / 1040, 1024 / 1300])
    check_places(aligned, (points + 0.5) * scale - 0.5)


def check_places(aligned: Aligned, points: NDArray[np.float64]) -> None:
    there = np.array(EYES_AND_MOUTH) @ aligned.place[:, :2].T + aligned.place[:, 2]
    size = np.linalg.norm(points[1] - points[0])
    assert np.linalg.norm(there - points, axis=1).max() < 0.1 * size
    for (x, y), (u, v) in zip(EYES_AND_MOUTH, points, strict=True):
        face = aligned.face[round(y), round(x)].astype(int)
        assert np.abs(face - aligned.frame[round(v), round(u)]).max() < 25
        assert face[1] < 60  # what was drawn there, and not the skin beside it


def test_points_of_all_kinds_say_the_same() -> None:
    picture = photograph()
    left, right, mouth = np.array(eyes_and_mouth(picture))
    five = np.stack((left, right, [0.0, 0.0], mouth - [9.0, 0.0], mouth + [9.0, 0.0]))
    all_68 = np.zeros((68, 2))
    all_68[36:42], all_68[42:48] = left, right
    all_68[48], all_68[54] = mouth - [9.0, 0.0], mouth + [9.0, 0.0]
    faces = [align(picture, points).face for points in ((left, right, mouth), five, all_68)]
    assert np.array_equal(faces[0], faces[1]) and np.array_equal(faces[0], faces[2])


@pytest.mark.parametrize("size", [256, 260])
def test_an_aligned_picture_is_taken_as_it_is(size: int) -> None:
    picture = photograph(size, size)
    edge = (size - 256) // 2
    inner = picture[edge : edge + 256, edge : edge + 256]
    near = np.array(EYES_AND_MOUTH) + edge + [[2.0, -3.0]]
    for points in ((), near):
        aligned = align(picture, points)
        assert np.array_equal(aligned.face, inner) and np.array_equal(aligned.frame, inner)
        assert np.array_equal(aligned.place, np.eye(2, 3))
    assert not np.array_equal(align(picture, near + 40.0).face, inner)


@pytest.mark.parametrize(
    ("points", "word"),
    [
        ((), "aligned"),
        ([[10.0, 10.0]], "68 points"),
        ([[90.0, 120.0], [60.0, 120.0], [75.0, 180.0]], "left eye"),
        ([[60.0, 120.0], [90.0, 120.0], [75.0, 60.0]], "below"),
        ([[60.0, 120.0], [900.0, 120.0], [75.0, 180.0]], "within"),
        ([[60.0, float("nan")], [90.0, 120.0], [75.0, 180.0]], "within"),
    ],
)
def test_points_that_are_no_face_are_refused(points: list[list[float]], word: str) -> None:
    with pytest.raises(ImportRefused, match=word):
        align(photograph(), points)


def test_a_missing_tracker_matters_to_photographs_alone() -> None:
    def missing(pictures: NDArray[np.uint8]) -> list[NDArray[np.float32] | None]:
        raise ImportRefused("There is no tracker.")

    asked = Request(system="davs", checkpoints=(), find_points=missing)
    assert seen(asked, [photograph(256, 256), photograph(256, 256)]) is None
    with pytest.raises(ImportRefused, match="no tracker"):
        seen(asked, [photograph(300, 240)])
    # Who looks and sees no face is believed, whatever the size.
    asked = replace(asked, find_points=lambda pictures: [None] * len(pictures))
    assert seen(asked, [photograph(256, 256)]) == [None]
    assert seen(replace(asked, find_points=None), [photograph()]) is None
