"""What is made of a frame, against the same done by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.server.fake_engine import draw_before_plate, draw_matte, draw_plate
from visavis.engines.client import PersonInfo
from visavis.engines.errors import EngineError
from visavis.engines.i420 import planes_of
from visavis.server.look.choice import LookChoice
from visavis.server.look.cutout import Blender, difference_of, solid
from visavis.server.look.look import Look, cropped, filmed, make_look
from visavis.server.look.painter import MAX_KEPT, Painter
from visavis.server.media.scaling import Scaler
from visavis.server.rate.sizes import SizeLadder

U8 = NDArray[np.uint8]
W, H = 192, 144
PERSON = PersonInfo(
    "a", "A", W, H, 25, 100, (100,), "0" * 64, False, has_matte=True, face=(0.5, 0.4, 0.15)
)
PLATE = draw_plate(W, H)
FRAME, ALPHA = draw_before_plate(5, 0.5, W, H), draw_matte(5, W, H)
PICTURE = np.random.default_rng(0).integers(16, 235, (H * 3 // 2, W), dtype=np.uint8)


def look_of(background: Any = "filmed", framing: Any = "filmed", *, badge: bool = False) -> Look:
    changes = {"background": background, "framing": framing}
    choice = LookChoice().changed(changes, PERSON, ("own",))
    return make_look(PERSON, choice, badge=badge, plate=PLATE, picture=PICTURE)


def test_with_nothing_to_do_it_is_the_frame_itself() -> None:
    assert Painter().paint(look_of(), FRAME, None) is FRAME
    assert Painter().paint(filmed(PERSON, badge=False), FRAME, ALPHA, (W, H)) is FRAME


@pytest.mark.parametrize("background", ["filmed", "blurred", "transparent", "#3050ff"])
@pytest.mark.parametrize("framing", ["filmed", "face", {"zoom": 2, "x": 0.1, "y": 0.9}])
@pytest.mark.parametrize("size", [None, (144, 108), (96, 72)])
def test_the_engine_s_frame_stays_as_it_is(
    background: str, framing: Any, size: tuple[int, int] | None
) -> None:
    frame, alpha, plate = FRAME.copy(), ALPHA.copy(), PLATE.copy()
    look = look_of(background, framing, badge=True)
    if size is not None and look.stacked:
        size = (size[0], 2 * size[1])
    painted = Painter().paint(look, frame, alpha, size)
    width, height = size or look.size
    assert painted.shape == (height * 3 // 2, width) and painted.dtype == np.uint8
    assert not np.shares_memory(painted, frame)
    assert (frame == FRAME).all() and (alpha == ALPHA).all() and (plate == PLATE).all()


def test_a_colour_is_behind_and_the_person_unchanged() -> None:
    painted = Painter().paint(look_of("#ff0000"), FRAME, ALPHA)
    red = solid(81, 90, 240, W, H)
    y, u, v = planes_of(painted)
    assert (y[ALPHA == 0] == 81).all() and (y[ALPHA == 255] == FRAME[:H][ALPHA == 255]).all()
    assert (u[-1, -1], v[-1, -1]) == (90, 240)
    expected = Blender().blend(FRAME, ALPHA, red, difference_of(red, PLATE))
    assert (painted == expected).all()
    # At the soft edge nothing of the old background is left: before its own it would be the same.
    edge = (ALPHA > 0) & (ALPHA < 255)
    share = ALPHA[edge] / 255
    assert edge.sum() > 20 and np.abs(y[edge] - (share * 200 + (1 - share) * 81)).max() < 4


def test_a_part_of_the_picture_is_cut_by_hand() -> None:
    look = look_of("#00ff00", {"zoom": 2, "x": 0.25, "y": 0.75})
    assert look.crop == (0, 72, 96, 72)
    whole = Painter().paint(look_of("#00ff00"), FRAME, ALPHA)
    parts = [
        plane[72 // n : 144 // n, : 96 // n]
        for plane, n in zip(planes_of(whole), (1, 2, 2), strict=True)
    ]
    part = np.concatenate([plane.ravel() for plane in parts]).reshape(108, 96)
    assert (Painter().paint(look, FRAME, ALPHA, (96, 72)) == part).all()
    assert (Painter().paint(look, FRAME, ALPHA) == Scaler().picture(part, W, H)).all()
    assert (cropped(whole, look.crop) == part).all()


def test_the_matte_is_below_the_picture() -> None:
    look = look_of("transparent")
    assert look.size == (W, 2 * H) and look.flat().size == (W, H)
    painted = Painter().paint(look, FRAME, ALPHA)
    y, u, v = planes_of(painted)
    colour, matte = y[:H], y[H:]
    assert np.abs(matte - (16 + ALPHA * (219 / 255))).max() <= 1
    assert (matte[ALPHA == 255] == 235).all() and (matte[ALPHA == 0] == 16).all()
    assert (u[H // 2 :] == 128).all() and (v[H // 2 :] == 128).all()
    # Premultiplied on black: at the edge the person's own light, by as much as there is of them.
    assert (colour[ALPHA == 0] == 16).all() and (
        colour[ALPHA == 255] == FRAME[:H][ALPHA == 255]
    ).all()
    edge = (ALPHA > 0) & (ALPHA < 255)
    assert np.abs(colour[edge] - (16 + (200 - 16) * (ALPHA[edge] / 255))).max() < 4
    flat = Painter().paint(look.flat(), FRAME, ALPHA)
    assert (planes_of(flat)[0] == colour).all() and look.flat().said() == look.said()
    small = Painter().paint(look, FRAME, ALPHA, (96, 144))
    assert abs(float(small[72:144].mean()) - float(matte.mean())) < 1


def test_the_badge_is_not_transparent() -> None:
    plain, badged = (
        Painter().paint(look_of("transparent", badge=on), FRAME, np.zeros_like(ALPHA))
        for on in (False, True)
    )
    assert (plain[:H] == 16).all() and (plain[H : 2 * H] == 16).all()
    above, below = badged[:H] > 16, badged[H : 2 * H] > 16
    assert above.sum() > 200 and (below | ~above).all() and not below[: H // 2].any()
    assert not above[: H // 2].any()


def test_without_a_matte_they_are_as_filmed_until_it_comes() -> None:
    painter, look = Painter(), look_of("#00ff00")
    assert painter.paint(look, FRAME, None) is FRAME
    painted = painter.paint(look, FRAME, ALPHA)
    assert (painted != FRAME).any()
    stacked = Painter().paint(look_of("transparent"), FRAME, None)
    assert (stacked[:H] == FRAME[:H]).all() and (stacked[H : 2 * H] == 235).all()


def test_the_last_matte_is_kept_for_a_second_and_no_longer() -> None:
    """The toys: a flash of another room whenever an engine hiccups; a matte of an hour ago."""
    painter, look = Painter(), look_of("#00ff00")
    painted = painter.paint(look, FRAME, ALPHA)
    for _ in range(MAX_KEPT):
        assert (painter.paint(look, FRAME, None) == painted).all()
    assert painter.paint(look, FRAME, None) is FRAME
    assert painter.paint(look, FRAME, None) is FRAME
    assert (painter.paint(look, FRAME, ALPHA) == painted).all()


def test_a_frame_of_another_size_is_sent_all_the_same() -> None:
    """A person's file was replaced while somebody talked."""
    frame, alpha = draw_before_plate(1, 0.5, 128, 128), draw_matte(1, 128, 128)
    painter = Painter()
    painter.paint(look_of("#00ff00"), FRAME, ALPHA)
    for look in (look_of("#00ff00", "face"), look_of("transparent"), look_of()):
        assert painter.paint(look, frame, alpha).shape == (look.size[1] * 3 // 2, W)


CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "background": st.sampled_from(
            ["filmed", "blurred", "transparent", "#204060", {"picture": "own"}]
        ),
        "framing": st.sampled_from(["filmed", "face", "shoulders", {"zoom": 3, "x": 0, "y": 1}]),
    },
)


@settings(max_examples=30, deadline=None)
@given(st.lists(CHOICES, max_size=5), CHOICES)
def test_a_choice_makes_the_same_picture_whatever_came_before(
    before: list[dict[str, Any]], last: dict[str, Any]
) -> None:
    last = {"background": "filmed", "framing": "filmed", **last}
    painter, choice = Painter(), LookChoice()
    for changes in [*before, last]:
        choice = choice.changed(changes, PERSON, ("own",))
        look = make_look(PERSON, choice, badge=True, plate=PLATE, picture=PICTURE)
        painted = painter.paint(look, FRAME, ALPHA)
    alone = Painter().paint(look_of(**last, badge=True), FRAME, ALPHA)
    assert (painted == alone).all()


def test_a_look_needs_what_stood_behind() -> None:
    choice = LookChoice("blurred")
    for plate in (None, PLATE[:-3]):
        with pytest.raises(EngineError, match="not known"):
            make_look(PERSON, choice, badge=True, plate=plate)
    with pytest.raises(EngineError, match="the size"):
        wanted = choice.changed({"background": {"picture": "own"}}, PERSON, ("own",))
        make_look(PERSON, wanted, badge=True, plate=PLATE, picture=PICTURE[:-3])


@pytest.mark.parametrize(
    ("rgb", "yuv"),
    [("#000000", (16, 128, 128)), ("#ffffff", (235, 128, 128)), ("#0000ff", (41, 240, 110))],
)
def test_colours_are_those_of_the_standard(rgb: str, yuv: tuple[int, int, int]) -> None:
    behind = look_of(rgb).behind
    assert behind is not None
    assert tuple(int(plane[0, 0]) for plane in planes_of(behind)) == yuv


@pytest.mark.parametrize(("width", "height"), [(512, 512), (720, 720), (1280, 720), (270, 404)])
def test_a_stacked_picture_has_even_halves_and_fits_a_decoder(width: int, height: int) -> None:
    person = replace(PERSON, width=width, height=height)
    plate = solid(50, 128, 128, width, height)
    look = make_look(person, LookChoice("transparent"), badge=True, plate=plate)
    across, down = look.size
    assert across / (down / 2) == pytest.approx(width / height, rel=0.02)
    assert -(-across // 16) * -(-down // 16) <= 3600
    assert (across, down) == (width, 2 * height) or width * height > 600 * 600
    ladder = SizeLadder(across, down, halves=2)
    sizes = {ladder.choose(rate, 0.0) for rate in (2_000_000, 600_000, 100_000)}
    assert len(sizes) > 1
    frame, alpha = solid(90, 128, 128, width, height), np.full((height, width), 128, np.uint8)
    for size in sizes:
        assert not any(side % 2 for side in (size[0], size[1] // 2))
        assert Painter().paint(look, frame, alpha, size).shape == (size[1] * 3 // 2, size[0])
