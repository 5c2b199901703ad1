"""`paste@1` against a plain warp in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.engines.footage import FootageChoice
from visavis.engines.i420 import planes_of
from visavis.engines.paste import Paste

U8 = NDArray[np.uint8]
W, H, S = 64, 48, 24


def choice(place: Any, index: int = 0) -> FootageChoice:
    return FootageChoice(index, np.zeros(1, np.float32), np.asarray(place, np.float32))


def similarity(scale: float, turn: float, x: float, y: float) -> NDArray[np.float64]:
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    return np.array([[c, -s, x], [s, c, y]])


def bilinear(picture: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    last = len(picture) - 1
    x, y = np.clip(x, 0, last), np.clip(y, 0, last)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, below = np.minimum(left + 1, last), np.minimum(top + 1, last)
    a, b = x - left, y - top
    upper = picture[top, left] * (1 - a) + picture[top, right] * a
    lower = picture[below, left] * (1 - a) + picture[below, right] * a
    return np.asarray(upper * (1 - b) + lower * b)


def wanted(
    plane: NDArray[np.uint8],
    crop: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    place: Any,
    step: int,
) -> NDArray[np.float64]:
    """The plane with the crop in it; pixels are asked where their middle lies in the luma crop."""
    rows, columns = np.mgrid[: plane.shape[0], : plane.shape[1]].astype(np.float64)
    middle = (step - 1) / 2
    luma = np.stack((columns * step + middle, rows * step + middle, np.ones_like(rows)))
    back = np.linalg.inv(np.vstack((place, [0, 0, 1])))
    x, y, _ = np.einsum("ij,jhw->ihw", back, luma)
    x, y = (x - middle) / step, (y - middle) / step
    inside = (x >= 0) & (y >= 0) & (x <= len(crop) - 1) & (y <= len(crop) - 1)
    ratio = len(mask) / len(crop)
    share = bilinear(mask, (x + 0.5) * ratio - 0.5, (y + 0.5) * ratio - 0.5) / 255 * inside
    return plane + share * (bilinear(crop, x, y) - plane)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0.4, 2.5), st.floats(-0.6, 0.6), st.floats(-20, 50), st.floats(-20, 40), st.integers()
)
def test_every_plane_is_laid_where_it_belongs(
    scale: float, turn: float, x: float, y: float, seed: int
) -> None:
    random = np.random.default_rng(abs(seed))
    picture = random.integers(0, 256, (H * 3 // 2, W), dtype=np.uint8)
    mask = random.integers(0, 256, (S, S), dtype=np.uint8)
    luma = random.integers(0, 256, (S, S), dtype=np.uint8)
    u, v = random.integers(0, 256, (2, S // 2, S // 2), dtype=np.uint8)
    place = similarity(scale, turn, x, y).astype(np.float32)
    before = picture.copy()
    Paste({}, {"mask": mask}).paste(picture, choice(place), luma, u, v)
    for now, then, crop, step in zip(
        planes_of(picture), planes_of(before), (luma, u, v), (1, 2, 2), strict=True
    ):
        expected = wanted(then, crop, mask, place.astype(np.float64), step)
        # Where a pixel lies on the crop's very edge, rounding says whether it belongs to it.
        off = np.abs(now - expected) > 1.0
        assert off.mean() < 0.01


def test_a_whole_crop_replaces_what_is_under_it() -> None:
    picture = np.full((H * 3 // 2, W), 50, np.uint8)
    full = np.full((S, S), 255, np.uint8)
    luma, half = np.full((S, S), 200, np.uint8), np.full((S // 2, S // 2), 90, np.uint8)
    Paste({}, {"mask": full}).paste(picture, choice(similarity(1.0, 0.0, 10, 8)), luma, half, half)
    y, u, v = planes_of(picture)
    assert (y[8 : 8 + S, 10 : 10 + S] == 200).all() and (y == 200).sum() == S * S
    assert (u[4:16, 5:17] == 90).all() and (v == 90).sum() == S * S // 4


def test_each_frame_may_have_a_mask_of_its_own() -> None:
    masks = np.zeros((2, 6, 6), np.uint8)
    masks[1] = 255
    stage = Paste({}, {"masks": masks})
    luma, half = np.full((S, S), 200, np.uint8), np.full((S // 2, S // 2), 90, np.uint8)
    for index in (0, 1):
        picture = np.full((H * 3 // 2, W), 50, np.uint8)
        stage.paste(picture, choice(similarity(1.0, 0.0, 0, 0), index), luma, half, half)
        assert (picture != 50).any() == bool(index)


def test_masks_that_are_none() -> None:
    with pytest.raises(PersonFileError, match="must be square"):
        Paste({}, {"mask": np.zeros((4, 6), np.uint8)})
    with pytest.raises(PersonFileError, match="no parameters"):
        Paste({"soft": 1}, {"mask": np.zeros((4, 4), np.uint8)})
