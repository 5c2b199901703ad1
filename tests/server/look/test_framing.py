"""Which part of the frame is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.server.look.choice import Zoom
from visavis.server.look.framing import FACE_SHARES, Crop, crop_for

SIDES = st.integers(32, 360).map(lambda half: 2 * half)
SHARES = st.floats(0, 1)


@given(SIDES, SIDES, st.floats(1, 4), SHARES, SHARES)
def test_a_part_lies_inside_in_the_frame_s_shape(
    width: int, height: int, zoom: float, x: float, y: float
) -> None:
    crop = crop_for(Zoom(zoom, x, y), width, height, None) or Crop(0, 0, width, height)
    assert not any(side % 2 for side in crop)
    assert crop.x >= 0 and crop.x + crop.width <= width
    assert crop.y >= 0 and crop.y + crop.height <= height
    assert abs(crop.width - width / zoom) <= 1 and abs(crop.height - height / zoom) <= 1
    # Its middle is where it was asked for, or the part touches the edge.
    left, top = x * width - crop.width / 2, y * height - crop.height / 2
    if 0 <= left <= width - crop.width:
        assert abs(crop.x - left) <= 1
    if 0 <= top <= height - crop.height:
        assert abs(crop.y - top) <= 1


@given(SIDES, SIDES, SHARES, SHARES, st.floats(0.02, 1))
def test_words_frame_the_face(width: int, height: int, x: float, y: float, size: float) -> None:
    for word, share in FACE_SHARES.items():
        crop = crop_for(word, width, height, (x, y, size))
        shown = size * height / (height if crop is None else crop.height)
        if size >= share:
            assert crop is None  # it is as near as that already
        elif size >= share / 4:
            assert shown == pytest.approx(share, rel=0.05)
        else:
            assert crop is not None and abs(crop.height - height / 4) <= 1


def test_a_face_in_the_middle_is_in_the_middle() -> None:
    face = crop_for("face", 512, 512, (0.5, 0.4, 0.2))
    shoulders = crop_for("shoulders", 512, 512, (0.5, 0.4, 0.2))
    assert face is not None and shoulders is not None
    assert face.width < shoulders.width < 512
    for crop in (face, shoulders):
        assert abs(crop.x + crop.width / 2 - 256) <= 2
        assert crop.y <= 0.3 * 512 and crop.y + crop.height >= 0.5 * 512  # all of the face
    assert crop_for("filmed", 512, 512, (0.5, 0.4, 0.2)) is None
    assert crop_for(Zoom(1.0, 0.0, 1.0), 512, 512, None) is None
