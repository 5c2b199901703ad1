"""The frame behind the mouth, and the crop laid over it: on the device as on the host."""

from __future__ import annotations

import functools
import io

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines import tiny_person
from tests.engines.cuda.simulator import SimulatedDevice
from tests.engines.cuda.stand import Stand, to_the_bit
from visavis.engines.bearing import Hold, held
from visavis.engines.npy import dump_array
from visavis.engines.person import Person, read_person, write_person
from visavis.engines.walk import FrameChoice
from visavis.engines.warp import field_shape

U8 = NDArray[np.uint8]
WIDTH, HEIGHT, SIZE = (
    136,
    140,
    tiny_person.SIZE,
)  # no whole number of blocks or of the field's cells
MOUTH = np.zeros(tiny_person.COEFFICIENTS, np.float32)


@functools.cache
def person(seed: int = 0) -> Person:
    """The tiny person in a frame of an odd size, with a clip of noise that moves."""
    random = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_person, "WIDTH", WIDTH)
        patch.setattr(tiny_person, "HEIGHT", HEIGHT)
        patch.setattr(tiny_person, "_video", lambda _: _video(random))
        torso = np.zeros(field_shape(WIDTH, HEIGHT), np.uint8)
        torso[6:9] = 255
        parts = {**tiny_person._parts(), "background/torso.npy": dump_array(torso)}
        manifest = tiny_person._manifest(f"odd-{seed}", (1.0,))
        return read_person(write_person(manifest, parts))


def _video(random: np.random.Generator) -> bytes:
    buffer = io.BytesIO()
    base = random.integers(16, 236, (HEIGHT * 3 // 2, WIDTH), np.uint8)
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"g": "10", "bf": "0", "crf": "30", "x264-params": "open-gop=0"}
        for index in range(tiny_person.FRAMES):
            picture = np.roll(base, index, axis=1)
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def choice(
    index: int,
    hold: Hold,
    *,
    second: int | None = None,
    share: float = 0.0,
    breath: float = 0.0,
    eyes: tuple[int, float] | None = None,
    origin: tuple[int, int] = (36, 38),
) -> FrameChoice:
    pose = held(person().stage_parts("background")["pose"][index], hold)
    frames = (index,) if second is None else (index, second)
    return FrameChoice(frames, share, pose, origin, breath, eyes)


def shown(stand: Stand, *choices: FrameChoice) -> U8:
    stand.draw([(0, MOUTH, item) for item in choices])
    return stand.pictures(len(choices))


CHOICES = {
    "still": choice(4, Hold()),
    "a turn": choice(7, Hold(1.5, 0.8, -0.6, 0.02, -0.01), breath=1.7),
    "a wide turn": choice(33, Hold(-3, 2, 2, -0.1, 0.1)),
    "mixed": choice(31, Hold(0.5, 0.5), second=9, share=0.4),
    "mixed, almost": choice(31, Hold(0.5, 0.5), second=9, share=0.999),
    "a blink": choice(40, Hold(1.0, 0.3, -1.0), eyes=(22, 1.0)),
    "lids that come": choice(40, Hold(), eyes=(20, 0.3)),
    "all of it": choice(31, Hold(1, -1, 1), second=9, share=0.7, breath=2.0, eyes=(23, 1.0)),
}


@pytest.fixture(scope="module")
def stand() -> Stand:
    return Stand(SimulatedDevice(), [person()])


def test_the_field_is_the_hosts(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    to_the_bit(monkeypatch)
    wanted = choice(31, Hold(1, -1, 1), second=9, share=0.7, breath=2.0)
    shown(stand, wanted)
    cast = stand.casts[0]
    for slot, index in enumerate(wanted.frames):
        field = cast.warp.field(cast.poses[index], wanted.pose, wanted.breath)
        assert np.array_equal(stand.field(1)[0, slot], field) and np.abs(field).max() > 1


@pytest.mark.parametrize("name", CHOICES)
def test_the_picture_is_the_hosts(name: str, stand: Stand) -> None:
    """Rounding may fall to either side where the host's compiler reorders sums; no more."""
    wanted = stand.casts[0].background.picture(CHOICES[name])
    (found,) = shown(stand, CHOICES[name])
    apart = np.abs(found.astype(int) - wanted)
    assert apart.max() <= 1 and (apart > 0).mean() < 0.002
    if name == "still":
        assert np.array_equal(found, stand.casts[0].background._clip.frame(4))


def test_mixing_and_eyes_are_exact(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    to_the_bit(monkeypatch)
    cast, hold = stand.casts[0], Hold(1, -1, 1)
    first = choice(31, hold, breath=2.0)
    second = FrameChoice((9,), 0.0, first.pose, first.origin, 2.0)
    mixed = FrameChoice((31, 9), 0.37, first.pose, first.origin, 2.0)
    blink = FrameChoice((31, 9), 0.37, first.pose, first.origin, 2.0, (23, 0.6))
    pictures = shown(stand, first, second, mixed, blink)
    expected = cast.warp.mix(pictures[0], pictures[1], 0.37)
    assert np.array_equal(pictures[2], expected)
    cast.warp.paste(expected, cast.background.eyes[23], first.pose, 0.6)
    assert np.array_equal(pictures[3], expected)
    changed = np.abs(pictures[3].astype(int) - pictures[2]) > 10
    assert changed[:HEIGHT].any() and changed[HEIGHT:].any()


@pytest.mark.parametrize(
    "hold", [Hold(20, 20, 40, 1.5, 1.2), Hold(0, 0, 0, 60, -60), Hold(80, -80, 170, 3, 3)]
)
def test_a_head_may_leave_the_frame(hold: Hold, stand: Stand) -> None:
    """Nothing is written outside of the picture, whatever the poses are."""
    away = choice(12, hold, second=50, share=0.5, breath=900.0, eyes=(21, 1.0))
    shown(stand, away)
    flat = FrameChoice((1,), 0.0, np.zeros((3, 4), np.float32), (0, 0), np.inf, (21, 1.0))
    shown(stand, flat)


@pytest.mark.parametrize("origin", [(0, 0), (WIDTH - SIZE, HEIGHT - SIZE), (36, 38), (2, 76)])
def test_the_crop_is_laid_over_exactly(origin: tuple[int, int], stand: Stand) -> None:
    random = np.random.default_rng(3)
    half = SIZE // 2
    y = random.integers(16, 236, (2, SIZE, SIZE), np.uint8)
    u, v = random.integers(16, 241, (2, 2, half, half), np.uint8)
    places = choice(3, Hold(1)), choice(9, Hold(), origin=origin)
    before = shown(stand, *places)
    stand.paste(2, y, u, v)
    after = stand.pictures(2)
    for index, place in enumerate(places):
        stand.casts[0].feather.paste(before[index], place, y[index], u[index], v[index])
    assert np.array_equal(after, before)


TOYS = {
    "the second frame is forgotten": ("shot->frames[1] >= 0", "shot->frames[1] >= 9999"),
    "shares the other way around": ("256 - shot->share", "shot->share"),
    "chroma by the luma's cells": ("cell = CELL / unit", "cell = CELL"),
    "no breath": ("* shot->breath", "* 0.0f"),
    "eyes in luma alone": ("if (shot->eye_frame >= 0)", "if (shot->eye_frame >= 0 && !plane)"),
    "lines between pixels": ("w[0] = 0.5f * t * (t * (2.0f - t) - 1.0f)", "w[0] = 0.0f"),
    "the head the other way": ("share * (sx - wx)", "share * (wx - sx)"),
    "never still": ("moves > STILL", "moves > -1.0f"),
}


@pytest.mark.parametrize("name", TOYS)
def test_toys_fail(name: str, stand: Stand) -> None:
    toy = Stand(SimulatedDevice(change=TOYS[name]), [person()], room=2)
    wanted = CHOICES["all of it"], CHOICES["still"]
    if name == "never still":
        slight = choice(4, Hold(x=0.0004))
        wanted = slight, slight
    assert not np.array_equal(shown(toy, *wanted), shown(stand, *wanted))


def test_u_and_v_are_not_swapped(stand: Stand) -> None:
    half = SIZE // 2
    for change in (
        ("batch->u[from]", "batch->v[from]"),
        ("share * fresh", "(255 - share) * fresh"),
    ):
        toy = Stand(SimulatedDevice(change=change), [person()], room=1)
        results = []
        for device in (toy, stand):
            shown(device, CHOICES["still"])
            levels = np.full((1, half, half), 90, np.uint8), np.full((1, half, half), 150, np.uint8)
            device.paste(1, np.full((1, SIZE, SIZE), 200, np.uint8), *levels)
            results.append(device.pictures(1))
        assert not np.array_equal(*results)
