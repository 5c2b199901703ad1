"""Another background, against the equation in floating point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.engines.i420 import planes_of
from visavis.server.look.cutout import Blender, blurred, difference_of, solid

U8 = NDArray[np.uint8]


def noise(rng: np.random.Generator, *shape: int) -> U8:
    return rng.integers(0, 256, shape, dtype=np.uint8)


def blend(picture: U8, alpha: U8, new: U8, old: U8) -> U8:
    return Blender().blend(picture, alpha, new, difference_of(new, old))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_each_pixel_is_what_the_equation_says(down: int, across: int, seed: int) -> None:
    """The toys: no rounding, a chroma matte of another size, sums that wrap around."""
    rng = np.random.default_rng(seed)
    height, width = 2 * down, 2 * across
    picture, new, old = (noise(rng, 3 * down, width) for _ in range(3))
    alpha = noise(rng, height, width)
    alpha[rng.random(alpha.shape) < 0.3] = 0
    alpha[rng.random(alpha.shape) < 0.3] = 255
    quarter = alpha.reshape(down, 2, across, 2).mean(axis=(1, 3))
    result = blend(picture, alpha, new, old)
    for share, out, i, n, o in zip(
        (alpha, quarter, quarter),
        *map(planes_of, (result, picture, new, old)),
        strict=True,
    ):
        exact = i + (255 - share.astype(float)) / 255 * (n.astype(float) - o)
        exact = np.where(share == 0, n, np.clip(exact, 0, 255))
        # A mean of four that rounds to none of the person is none of them.
        assert ((np.abs(out - exact) <= 2) | ((share < 0.5) & (out == n))).all()
        assert (out[share == 255] == i[share == 255]).all()
        assert (out[share == 0] == n[share == 0]).all()


def test_the_scratch_memory_does_not_outlive_a_picture() -> None:
    """The toy: what is returned is what the next call writes to."""
    rng = np.random.default_rng(0)
    blender = Blender()
    made = []
    for size in (8, 8, 12, 8):
        picture, new, old = (noise(rng, size * 3 // 2, size) for _ in range(3))
        alpha = noise(rng, size, size)
        out = blender.blend(picture, alpha, new, difference_of(new, old))
        made.append((out, out.copy(), blend(picture, alpha, new, old)))
    for out, then, alone in made:
        assert (out == then).all() and (out == alone).all()


def test_a_picture_and_its_plate_are_left_alone() -> None:
    rng = np.random.default_rng(1)
    picture, new, old = (noise(rng, 12, 8) for _ in range(3))
    alpha = noise(rng, 8, 8)
    given = [one.copy() for one in (picture, alpha, new, old)]
    blend(picture, alpha, new, old)
    for one, before in zip((picture, alpha, new, old), given, strict=True):
        assert (one == before).all()


def test_a_solid_colour_is_in_all_planes() -> None:
    y, u, v = planes_of(solid(81, 90, 240, 12, 6))
    assert y.shape == (6, 12) and u.shape == v.shape == (3, 6)
    assert (set(y.flat), set(u.flat), set(v.flat)) == ({81}, {90}, {240})


@pytest.mark.parametrize(("width", "height"), [(160, 120), (90, 130)])
def test_blurring_takes_the_detail_and_leaves_the_light(width: int, height: int) -> None:
    rng = np.random.default_rng(2)
    plate = solid(100, 110, 140, width, height)
    luma = planes_of(plate)[0]
    luma[:, width // 2 :] = 200
    luma += rng.integers(0, 2, luma.shape, dtype=np.uint8) * 40
    out = blurred(plate)
    soft, u, v = planes_of(out)
    assert (u == 110).all() and (v == 140).all()
    assert abs(soft.mean() - luma.mean()) < 1
    assert soft[:, :10].std() < 3 and np.abs(np.diff(soft.astype(int), axis=1)).max() < 16
    # Only blurred: it is still darker on the left, up to the edges.
    assert abs(soft[:, 0].mean() - 120) < 4 and abs(soft[:, -1].mean() - 220) < 4
