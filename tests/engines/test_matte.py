"""Alpha: the matte of the frame that is shown, turned and mixed as its picture is."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.engines.fakes import Collector
from tests.engines.matted import mattes, tiny_matted
from tests.engines.test_footage import parts as footage_parts
from tests.engines.tiny_person import FRAMES, HEIGHT, WIDTH, tiny_person, voice
from visavis.engines.background import AHEAD, Background
from visavis.engines.clip import Clip
from visavis.engines.controls import Controls
from visavis.engines.errors import ControlError, EngineError, PersonFileError
from visavis.engines.footage import Footage
from visavis.engines.local import LocalEngine
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.pipeline import Pipeline, SessionState, Work
from visavis.engines.walk import Cue, FrameChoice

U8 = NDArray[np.uint8]
MATTED = Controls(matte=True)


def background(matte: bytes | None = None) -> Background:
    """The tiny person's stage; its matte is its video where no other is given."""
    person = tiny_matted()
    spec = person.stages["background"]
    return Background(spec.params, person.stage_parts("background"), matte or person.matte)


@pytest.fixture(scope="module")
def stage() -> Background:
    return background()


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(tiny_matted(), backend=OnnxCpuBackend(), variant="fp32")


def decoded(clip: Clip | None) -> int:
    assert clip is not None
    return sum(len(group.frames) for group in clip._cache.values())


def eyeless(choice: FrameChoice) -> FrameChoice:
    return dataclasses.replace(choice, eyes=None)


@pytest.mark.parametrize("flagged", ["tv", "pc"])
def test_levels_are_taken_as_they_are_stored(flagged: str) -> None:
    """0 is none and 255 is all, whatever range the video says it has."""
    levels = np.array([0, 1, 16, 128, 235, 254, 255], np.uint8)
    clip = Clip(mattes(levels, size=(72, 66), flagged=flagged), luma=True)
    for index, level in enumerate(levels):
        frame = clip.frame(index)
        assert frame.shape == (66, 72) and frame.dtype == np.uint8
        assert np.abs(frame.astype(int) - int(level)).max() <= 1


def test_a_matte_is_decoded_row_by_row() -> None:
    """A decoder's rows are longer than the picture: what is beyond it is no part of it."""
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (3, 5, 9), np.uint8)
    pictures = np.kron(blocks, np.ones((1, 14, 14), np.uint8))  # 70 x 126
    clip = Clip(mattes(pictures, size=(126, 70)), luma=True)
    for index, wanted in enumerate(pictures):
        assert np.abs(clip.frame(index).astype(int) - wanted).mean() < 2.0


def test_alpha_goes_where_the_picture_goes() -> None:
    """The matte is the video here, so it is the picture's luma: turned, mixed and with breath."""
    stage = background()
    state = stage.initial_state(3)
    turned = mixed = 0
    for tick in range(260):
        choice = eyeless(stage.step(state, Cue(float(tick % 90 < 45), float(tick % 7 == 0))))
        picture, alpha = stage.picture(choice), stage.alpha(choice)
        assert alpha.shape == (HEIGHT, WIDTH) and alpha.dtype == np.uint8
        np.testing.assert_array_equal(alpha, picture[:HEIGHT])
        mixed += len(choice.frames) == 2
        # What is filmed is something else: an alpha that stays behind would not be the picture.
        filmed = stage._clip.frame(choice.frames[0])[:HEIGHT]
        turned += bool(np.abs(alpha.astype(int) - filmed).max() > 20)
    assert mixed > 5 and turned > 100


@settings(max_examples=30, deadline=None)
@given(
    frames=st.lists(st.integers(0, FRAMES - 1), min_size=1, max_size=2),
    share=st.floats(0, 1),
    breath=st.floats(-1, 1),
    to=st.integers(0, FRAMES - 1),
    blink=st.none() | st.floats(0, 1),
)
def test_both_at_once_are_one_after_the_other(
    stage: Background,
    frames: list[int],
    share: float,
    breath: float,
    to: int,
    blink: float | None,
) -> None:
    eyes = None if blink is None else (22, blink)
    choice = FrameChoice(tuple(frames), share, stage.walk.pose[to], (32, 32), breath, eyes)
    picture, alpha = stage.picture_and_alpha(choice)
    np.testing.assert_array_equal(picture, stage.picture(choice))
    np.testing.assert_array_equal(alpha, stage.alpha(choice))


def test_eyes_are_no_part_of_the_matte() -> None:
    stage = background()
    choice = FrameChoice((5,), 0.0, stage.walk.pose[5], (32, 32), 0.0, (22, 1.0))
    assert (stage.picture(choice) != stage.picture(eyeless(choice))).any()
    np.testing.assert_array_equal(stage.alpha(choice), stage.alpha(eyeless(choice)))


def test_alpha_belongs_to_whoever_took_it() -> None:
    stage = background()
    still = FrameChoice((5,), 0.0, stage.walk.pose[5], (32, 32))
    for make in (stage.alpha, lambda choice: stage.picture_and_alpha(choice)[1]):
        make(still)[:] = 0
        assert stage.alpha(still).mean() > 20


def begun(stage: Background, controls: Controls) -> Any:
    """A session's state, all that comes first decoded."""
    state = stage.initial_state(1)
    stage.apply(state, controls)
    while stage.look_ahead(state):
        pass
    return state


def test_a_matte_that_nobody_asks_for_is_not_decoded() -> None:
    stage = background()
    state = begun(stage, Controls())
    for _ in range(100):
        stage.picture(stage.step(state, Cue()))
    assert decoded(stage._clip) > AHEAD // 2 and decoded(stage._matte) == 0


def test_a_matte_is_decoded_before_it_is_shown() -> None:
    stage = background()
    state = begun(stage, MATTED)
    for tick in range(150):
        choice = stage.step(state, Cue(float(tick % 60 < 30)))
        before = decoded(stage._matte)
        stage.picture_and_alpha(choice)
        assert decoded(stage._matte) == before > 0, tick
    stage.rest()
    assert decoded(stage._matte) == decoded(stage._clip) == 0
    stage.apply(state, Controls())
    stage.step(state, Cue())
    assert decoded(stage._matte) == 0


@pytest.mark.parametrize(
    "matte",
    [
        mattes(np.zeros(FRAMES - 1, np.uint8), size=(WIDTH, HEIGHT)),
        mattes(np.zeros(FRAMES, np.uint8), size=(WIDTH, HEIGHT - 2)),
    ],
)
def test_a_matte_of_other_frames_is_refused(matte: bytes) -> None:
    with pytest.raises(PersonFileError, match="matte has (59|60) frames of 128x12[68] for 60 of"):
        background(matte)


def test_a_person_without_a_matte_has_no_alpha() -> None:
    stage = Background(
        tiny_person().stages["background"].params, tiny_person().stage_parts("background")
    )
    choice = stage.step(stage.initial_state(0), Cue())
    for make in (stage.alpha, stage.picture_and_alpha):
        with pytest.raises(EngineError, match="no matte"):
            make(choice)


def test_footage_has_the_alpha_of_the_frame_that_is_shown() -> None:
    parts = footage_parts()
    size = 64
    stage = Footage({}, parts, mattes(np.arange(0, 250, 50).astype(np.uint8), size=(size, size)))
    plain = Footage({}, parts, parts["video"])
    state, never = stage.initial_state(0), stage.initial_state(0)
    for _ in range(4):
        stage.step(never, Cue())
    assert stage._matte is not None and decoded(stage._matte) == 0
    stage.apply(state, MATTED)
    assert stage.look_ahead(state) and decoded(stage._matte) == 1
    for tick in range(12):
        choice = stage.step(state, Cue())
        alpha = stage.alpha(choice)
        assert abs(float(alpha.mean()) - 50 * choice.index) <= 1, tick
        alpha[:] = 7
        picture, again = plain.picture_and_alpha(choice)
        np.testing.assert_array_equal(picture[:size], again)
    stage.rest()
    assert decoded(stage._matte) == 0


# -- the pipeline -------------------------------------------------------------------------------


def session(pipeline: Pipeline, seed: int, controls: Controls = MATTED) -> SessionState:
    state = pipeline.initial_state(seed)
    pipeline.control(state, controls)
    return state


def ticks(seed: int, count: int) -> list[NDArray[np.float32]]:
    sound = voice(0.1 + 0.04 * count, seed)
    return [sound[:1600], *np.split(sound[1600 : 1600 + 640 * (count - 1)], count - 1)]


def run(pipeline: Pipeline, states: list[SessionState], sounds: list[Any]) -> list[list[Work]]:
    """All sessions in one batch, tick by tick."""
    made = []
    for pcm in zip(*sounds, strict=True):
        work = [Work(state, part) for state, part in zip(states, pcm, strict=True)]
        pipeline.advance(work)
        assert not any(item.error for item in work)
        made.append(work)
    return [list(one) for one in zip(*made, strict=True)]


@settings(max_examples=6, deadline=None)
@given(
    seeds=st.lists(st.integers(0, 1000), min_size=1, max_size=4, unique=True),
    asked=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_any_mix_of_sessions_has_the_alpha_of_each_alone(
    pipeline: Pipeline, seeds: list[int], asked: list[bool]
) -> None:
    sounds = [ticks(seed, 8) for seed in seeds]
    together = run(
        pipeline,
        [
            session(pipeline, seed, Controls(matte=matte))
            for seed, matte in zip(seeds, asked, strict=False)
        ],
        sounds,
    )
    for seed, matte, sound, works in zip(seeds, asked, sounds, together, strict=False):
        alone = run(pipeline, [session(pipeline, seed, Controls(matte=matte))], [sound])[0]
        for one, item in zip(alone, works, strict=True):
            np.testing.assert_array_equal(one.i420, item.i420)
            assert (item.alpha is not None) == matte
            if matte:
                np.testing.assert_array_equal(one.alpha, item.alpha)


def test_the_picture_is_the_same_with_and_without_alpha(pipeline: Pipeline) -> None:
    sound = ticks(4, 20)
    with_alpha = run(pipeline, [session(pipeline, 4)], [sound])[0]
    without = run(pipeline, [session(pipeline, 4, Controls())], [sound])[0]
    for one, other in zip(with_alpha, without, strict=True):
        np.testing.assert_array_equal(one.i420, other.i420)
        assert other.alpha is None and one.alpha is not None and one.i420 is not None
        # Outside the crop nothing is pasted, and no eye lies there.
        x, y = one.choice.origin
        outside = np.ones((HEIGHT, WIDTH), bool)
        outside[y : y + 64, x : x + 64] = False
        np.testing.assert_array_equal(one.alpha[outside], one.i420[:HEIGHT][outside])
        assert (one.alpha[~outside] != one.i420[:HEIGHT][~outside]).any()


def test_chosen_later_it_is_as_if_chosen_at_first(pipeline: Pipeline) -> None:
    sound = ticks(5, 12)
    first = run(pipeline, [session(pipeline, 5)], [sound])[0]
    state = session(pipeline, 5, Controls())
    before = run(pipeline, [state], [sound[:6]])[0]
    pipeline.rest()  # nothing is decoded any more
    pipeline.control(state, MATTED)
    after = run(pipeline, [state], [sound[6:]])[0]
    assert all(item.alpha is None for item in before)
    for one, item in zip(first[6:], after, strict=True):
        np.testing.assert_array_equal(one.alpha, item.alpha)


def test_a_tick_without_a_picture_has_no_alpha(pipeline: Pipeline) -> None:
    item = Work(session(pipeline, 1), ticks(1, 2)[0], render=False)
    pipeline.advance([item])
    assert item.i420 is None and item.alpha is None and item.error is None


# -- the engine ---------------------------------------------------------------------------------


def test_a_session_that_asks_gets_alpha_from_the_next_tick_on() -> None:
    engine = LocalEngine([tiny_matted(), tiny_person("plain")], threads=1, capacity=4)
    try:
        seen = Collector()
        live = engine.open("tiny", seen.on_frame, seed=7)
        assert live.control({})["matte"] is False
        sound = ticks(7, 4)
        live.push(sound[0])
        seen.wait(frames=1)
        for wrong in (1, "yes", None):
            with pytest.raises(ControlError, match="true or false"):
                live.control({"matte": wrong})
        assert live.control({"matte": True})["matte"] is True
        live.push(sound[1])
        seen.wait(frames=2)
        assert live.control({"matte": False, "performance": None})["matte"] is False
        live.push(sound[2])
        seen.wait(frames=3)
        assert [frame.alpha is not None for frame in seen.frames] == [False, True, False]
        other = engine.open("plain", Collector().on_frame)
        assert other.control({"matte": False})["matte"] is False
        with pytest.raises(ControlError, match="has no matte"):
            other.control({"matte": True})
    finally:
        engine.close()
