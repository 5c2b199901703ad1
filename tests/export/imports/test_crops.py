from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.export.imports.crops import crop, feather, inverted, similarity
from visavis.export.imports.errors import ImportRefused


@settings(max_examples=50, deadline=None)
@given(angle=st.floats(-3, 3), scale=st.floats(0.1, 5), x=st.floats(-50, 50), y=st.floats(-50, 50))
def test_a_similarity_is_found_again(angle: float, scale: float, x: float, y: float) -> None:
    points = np.random.default_rng(0).normal(100, 30, (5, 2))
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array([[cosine, -sine, x], [sine, cosine, y]])
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(similarity(points, moved), matrix, atol=1e-8)
    np.testing.assert_allclose(
        moved @ inverted(matrix)[:, :2].T + inverted(matrix)[:, 2], points, atol=1e-8
    )


def test_a_similarity_never_mirrors() -> None:
    points = np.array([[0, 0], [10, 0], [5, 8], [5, 3]], float)
    matrix = similarity(points, points * (-1, 1))
    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize(
    "points", [np.zeros((3, 2)), np.full((3, 2), np.nan), np.ones((2, 2)), np.ones((3, 3))]
)
def test_points_that_are_no_face_are_refused(points: np.ndarray) -> None:
    with pytest.raises(ImportRefused, match=r"points"):
        similarity(points, [[0, 0], [1, 0], [0, 1]])


def test_a_crop_of_whole_pixels_is_the_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    cut = crop(picture, [[1, 0, -4], [0, 1, -3]], 12)
    assert np.array_equal(cut, picture[3:15, 4:16])


def test_what_lies_outside_is_the_edge() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[0, 0] = 200
    assert crop(picture, [[1, 0, 2], [0, 1, 2]], 4)[0, 0, 0] == 200


def test_a_smaller_picture_is_the_mean_and_not_a_choice() -> None:
    """The toy that passes a crop of one sample a pixel sees only every fourth stripe."""
    picture = np.zeros((64, 64, 1), np.uint8)
    picture[:, ::2] = 200
    small = crop(picture, [[0.25, 0, -0.375], [0, 0.25, -0.375]], 16)
    assert np.abs(small[2:-2, 2:-2].astype(int) - 100).max() <= 13


def test_a_feather_is_whole_within_and_nothing_at_the_border() -> None:
    mask = feather(64)
    assert mask[0].max() == mask[:, -1].max() == 0
    assert (mask[16:48, 16:48] == 255).all()
    assert np.array_equal(mask, mask.T) and np.array_equal(mask, mask[::-1])
    assert (np.diff(mask[32, :32].astype(int)) >= 0).all()
