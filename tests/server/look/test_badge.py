"""The badge: there at every size that is sent, readable, and nowhere else."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.engines.i420 import planes_of
from visavis.server.look.badge import badge_for
from visavis.server.look.cutout import solid
from visavis.server.media.encoder import H264Encoder, Vp8Encoder

SIZES = [(512, 512), (384, 384), (256, 256), (720, 720), (960, 544), (180, 320), (1280, 720)]


def letters(width: int, height: int, luma: int) -> tuple[np.ndarray, np.ndarray]:
    """The badge over a wall: its part of the picture, and where it is letters at all."""
    badge = badge_for(width, height)
    assert badge is not None
    picture = solid(luma, 128, 128, width, height)
    badge.stamp(picture)
    rows, columns = badge.keep.shape
    part = picture[badge.y : badge.y + rows, badge.x : badge.x + columns]
    return part, badge.light > 200 * 256


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_white_letters_on_a_dark_plate_before_any_wall(width: int, height: int) -> None:
    for wall in (16, 60, 128, 200, 235):
        part, on = letters(width, height, wall)
        assert part[on].mean() > 210
        # WCAG 2.2 asks for 4.5 to 1; limited range and gamma 2.2 for the eye.
        light, dark = (((part[here].mean() - 16) / 219) ** 2.2 for here in (on, part < 120))
        assert (light + 0.05) / (dark + 0.05) > 4.5
        assert on.any(axis=1).sum() >= 8, "letters of so few rows cannot be read"


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_is_at_the_bottom_left_and_all_else_is_untouched(width: int, height: int) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(16, 236, (height * 3 // 2, width), dtype=np.uint8)
    stamped = picture.copy()
    badge = badge_for(width, height)
    assert badge is not None
    badge.stamp(stamped)
    for before, after in zip(planes_of(picture), planes_of(stamped), strict=True):
        changed = np.argwhere(before != after)
        rows, columns = before.shape
        (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
        assert left > 0 and right < columns and top > 0.8 * rows and bottom < rows - 1
        assert right < 0.6 * columns
    share = badge.keep.size / (width * height)
    assert share < 0.04


@given(st.integers(1, 700), st.integers(1, 700))
def test_no_size_is_too_odd(across: int, down: int) -> None:
    width, height = 2 * across, 2 * down
    picture = solid(100, 100, 100, width, height)
    matte = np.full((height, width), 16, np.uint8)
    badge = badge_for(width, height)
    if width >= 120 and height >= 60:
        assert badge is not None
    if badge is not None:
        badge.stamp(picture)
        badge.stamp_matte(matte)
        assert (matte > 16).any() and (height < 60 or (matte[: height // 2] == 16).all())


def test_where_the_picture_is_transparent_the_badge_is_not() -> None:
    badge = badge_for(512, 512)
    assert badge is not None
    matte = np.full((512, 512), 16, np.uint8)
    badge.stamp_matte(matte)
    assert matte.max() == 235
    rows, columns = badge.keep.shape
    part = matte[badge.y : badge.y + rows, badge.x : badge.x + columns]
    assert (part[badge.light > 200 * 256] > 220).all()
    matte[:] = 235
    badge.stamp_matte(matte)
    assert (matte == 235).all()


@pytest.mark.parametrize("make", [Vp8Encoder, H264Encoder])
@pytest.mark.parametrize("size", [256, 384])
def test_it_survives_the_encoder(make: type[Vp8Encoder], size: int) -> None:
    """The toy: letters so thin that a small picture's bit rate washes them out."""
    badge = badge_for(size, size)
    assert badge is not None
    rng = np.random.default_rng(3)
    texture = np.kron(rng.integers(60, 200, (size * 3 // 2 // 16, size // 16)), np.ones((16, 16)))
    encoder = make(size, size)
    decoder = av.CodecContext.create("libvpx" if make is Vp8Encoder else "h264", "r")
    for index in range(10):
        picture = np.roll(texture, 2 * index, 1).astype(np.uint8)
        badge.stamp(picture)
        data = encoder.encode(index, picture, key=index == 0).data
        frames = decoder.decode(av.Packet(data))  # type: ignore[attr-defined]
    seen = frames[-1].to_ndarray()
    rows, columns = badge.keep.shape
    here = slice(badge.y, badge.y + rows), slice(badge.x, badge.x + columns)
    assert np.corrcoef(seen[here].ravel(), picture[here].ravel())[0, 1] > 0.9
