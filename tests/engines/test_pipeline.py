"""One tick of a batch: what stages get, who fails, how the mouth comes back after `clear`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.engines import fakes
from tests.engines.tiny_person import tiny_person
from visavis.engines.controls import Controls, ControlSpec
from visavis.engines.errors import EngineError, PersonFileError
from visavis.engines.person import read_person, write_person
from visavis.engines.pipeline import EASE_TICKS, Pipeline, Work

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline(fakes.person(), _build=fakes.build)


def first(value: float) -> fakes.F32:
    return np.full(1600, value, np.float32)


def tick(value: float) -> fakes.F32:
    return np.full(640, value, np.float32)


def test_a_tick_runs_every_stage(pipeline: Pipeline) -> None:
    work = Work(pipeline.initial_state(7), first(0.5))
    pipeline.advance([work])
    assert work.error is None and work.i420 is not None and work.coefficients is not None
    assert work.coefficients.tolist() == [5.0, 5.0]  # ten rows of a half
    assert work.i420[0, 0] == 5  # the crop
    assert work.i420[50, 50] == 8  # the background, seeded with 7, one step on
    assert work.speech == 1.0


def test_without_a_picture_the_state_moves_all_the_same(pipeline: Pipeline) -> None:
    shown, hidden = pipeline.initial_state(0), pipeline.initial_state(0)
    for step in range(4):
        pcm = first(0.1) if step == 0 else tick(0.1)
        last = [Work(shown, pcm), Work(hidden, pcm, render=step == 3)]
        pipeline.advance(last)
        assert (last[1].i420 is None) == (step < 3)
    assert last[0].i420 is not None and last[1].i420 is not None
    assert np.array_equal(last[0].i420, last[1].i420)
    assert np.array_equal(shown.coefficients, hidden.coefficients)


def test_sessions_of_a_batch_do_not_touch_each_other(pipeline: Pipeline) -> None:
    together = [pipeline.initial_state(k) for k in range(5)]
    alone = [pipeline.initial_state(k) for k in range(5)]
    for step in range(3):
        make = first if step == 0 else tick
        batch = [Work(state, make(k / 10)) for k, state in enumerate(together)]
        pipeline.advance(batch)
        for k, state in enumerate(alone):
            single = Work(state, make(k / 10))
            pipeline.advance([single])
            assert np.array_equal(single.i420, batch[k].i420)
            assert np.array_equal(single.coefficients, batch[k].coefficients)


def test_frames_belong_to_the_receiver(pipeline: Pipeline) -> None:
    state = pipeline.initial_state(0)
    one = Work(state, first(0.1))
    pipeline.advance([one])
    assert one.i420 is not None
    kept = one.i420.copy()
    two = Work(state, tick(0.1))
    pipeline.advance([two])
    assert np.array_equal(one.i420, kept)
    assert not np.shares_memory(one.i420, two.i420)


@pytest.mark.parametrize(("value", "words"), [(99, "loud"), (60, "row"), (5, "picture")])
def test_one_that_fails_does_not_harm_the_others(
    pipeline: Pipeline, value: float, words: str
) -> None:
    """In a stage per session, in the network's batch, and in the picture's batch."""
    good = [pipeline.initial_state(k) for k in range(3)]
    work = [Work(state, first(0.1)) for state in good]
    work.insert(1, Work(pipeline.initial_state(0), first(value)))
    pipeline.advance(work)
    assert words in str(work[1].error)
    for item in (work[0], work[2], work[3]):
        assert item.error is None and item.i420 is not None
        assert item.coefficients is not None
        assert item.coefficients == pytest.approx([1.0, 1.0])


def test_after_clear_the_mouth_eases_into_what_follows(pipeline: Pipeline) -> None:
    state = pipeline.initial_state(0)
    pipeline.advance([Work(state, first(2.0))])
    path = []
    for step in range(EASE_TICKS + 2):
        work = Work(state, tick(0.0), cleared=step == 0)
        pipeline.advance([work])
        assert work.coefficients is not None
        path.append(float(work.coefficients[0]))
    assert path[0] < 20.0 and path[-2:] == [0.0, 0.0]
    steps = -np.diff([20.0, *path[: EASE_TICKS + 1]])
    assert (steps > 0).all() and steps.max() < 20.0 / 2


def test_clear_before_the_first_frame_changes_nothing(pipeline: Pipeline) -> None:
    work = Work(pipeline.initial_state(0), first(0.1), cleared=True)
    pipeline.advance([work])
    assert work.coefficients == pytest.approx([1.0, 1.0])


def test_times_are_kept_for_every_stage(pipeline: Pipeline) -> None:
    state = pipeline.initial_state(0)
    pipeline.advance([Work(state, first(0.1))])
    assert set(pipeline.times) == {
        "audio", "motion", "background", "picture", "geometry", "raster", "render", "composite",
    }  # fmt: skip
    for _ in range(1100):
        pipeline.advance([Work(state, tick(0.0))])
    assert {len(times) for times in pipeline.times.values()} == {1000}


def test_the_background_is_told_of_speech_stress_and_clearing(pipeline: Pipeline) -> None:
    background = pipeline._stages.background
    state = pipeline.initial_state(0)
    loud = [0.01, 0.1, 0.01, 0.01, 0.5, 0.01]
    for index, level in enumerate(loud):
        pcm = first(level) if index == 0 else tick(level)
        pipeline.advance([Work(state, pcm, cleared=index == 3)])
    cues = background.cues[-len(loud) :]
    assert [cue.cleared for cue in cues] == [index == 3 for index in range(len(loud))]
    # The second peak is louder than the first one, and is told a tick later.
    assert [cue.stress > 0 for cue in cues] == [False] * 5 + [True]


def test_warming_up_says_what_batches_take_and_leaves_no_times(pipeline: Pipeline) -> None:
    costs = pipeline.warm_up(3)
    assert set(costs) == {1, 2, 3} and all(seconds > 0 for seconds in costs.values())
    pipeline.get_ready(3)
    assert not pipeline.times


def test_nothing_compiles_after_warming_up() -> None:
    """In a process of its own: here, other tests have compiled everything long ago."""
    code = """
import numba.core.dispatcher, numpy as np
from tests.engines.matted import tiny_matted
from tests.engines.tiny_person import voice
from visavis.engines import raster_kernels, warp_kernels
from visavis.engines.controls import Controls
from visavis.engines.pipeline import Pipeline, Work

def compiled():
    kernels = {k: v for room in (raster_kernels, warp_kernels) for k, v in vars(room).items()
               if isinstance(v, numba.core.dispatcher.Dispatcher)}
    return {name: len(kernel.signatures) for name, kernel in kernels.items()}

pipeline = Pipeline(tiny_matted(), variant="fp32")
pipeline.warm_up(2)
before, sound = compiled(), voice(12)
assert sum(before.values()) > 4
states = [pipeline.initial_state(k) for k in range(2)]
pipeline.control(states[0], Controls(matte=True))
for tick in range(280):
    start = 0 if tick == 0 else 1600 + 640 * (tick - 1)
    work = [Work(state, sound[start : 1600 + 640 * tick]) for state in states]
    pipeline.advance(work)
    assert not any(item.error for item in work)
assert compiled() == before, (before, compiled())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=110, cwd=ROOT)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"lookaheads": [40, 100]}, r"shape \(6, 2, 9\) for 2 look-aheads, not \(2, 2, 9\)"),
        ({"rounding": 1}, "has no parameter rounding"),
        ({"blend": "much"}, "cannot be built"),
        ({"sure": None}, "cannot be built"),
        ({"voice_mode": 9}, "modes 0 to 3"),
    ],
)
def test_a_motion_that_does_not_fit_is_refused(params: dict[str, object], sentence: str) -> None:
    person = tiny_person()
    manifest = json.loads(json.dumps(dict(person.manifest)))
    manifest["stages"]["motion"]["params"].update(params)
    del manifest["parts"]
    with pytest.raises(PersonFileError, match=sentence):
        Pipeline(read_person(write_person(manifest, person.parts)), variant="fp32")


def test_a_person_that_does_not_run_is_refused() -> None:
    class Broken(fakes.FakeRender):
        def draw(self, planes: fakes.F32, coefficients: fakes.F32, choices: object) -> fakes.Crop:
            raise RuntimeError("no such kernel")

    def build(person: fakes.Person, graphs: object) -> fakes.Stages:
        stages = fakes.build(person, {})
        return fakes.Stages(
            stages.audio, stages.motion, stages.background, stages.geometry, stages.raster,
            Broken(), stages.composite,  # type: ignore[arg-type]
        )  # fmt: skip

    with pytest.raises(PersonFileError, match="does not run: no such kernel"):
        Pipeline(fakes.person(), _build=build)
    pipeline = Pipeline(fakes.person(), variant="fp32", _build=build)
    with pytest.raises(EngineError, match="no such kernel"):
        pipeline.warm_up(1)


def test_stages_that_cannot_be_built_are_refused() -> None:
    def build(person: fakes.Person, graphs: object) -> fakes.Stages:
        raise ValueError("basis is [3], not [9]")

    with pytest.raises(PersonFileError, match="cannot be built: basis"):
        Pipeline(fakes.person(), _build=build)


def test_a_raster_that_draws_ahead_is_shown_later_with_its_own_frame() -> None:
    drawn: list[int] = []
    shown: list[int] = []

    class Ahead(fakes.FakeRaster):
        ahead = 2

        def draw(  # type: ignore[override]
            self, vertices: fakes.F32, coefficients: fakes.F32, choices: list[int], *rest: object
        ) -> None:
            drawn.extend(choices)

    class Seen(fakes.FakeComposite):
        def paste(self, picture: fakes.U8, choice: int, *crop: fakes.U8) -> None:
            shown.append(choice)
            assert picture[0, 0] == choice, "a crop belongs to the frame that is shown"

    def build(person: fakes.Person, graphs: object) -> fakes.Stages:
        return replace(fakes.build(person, {}), raster=Ahead(), composite=Seen())

    pipeline = Pipeline(fakes.person(), _build=build)
    drawn.clear()
    shown.clear()
    state = pipeline.initial_state(0)
    for _ in range(5):
        work = Work(state, np.zeros(640, np.float32))
        pipeline.advance([work])
        assert work.error is None
    assert drawn == [1, 2, 3, 4, 5]
    assert shown == [1, 1, 1, 2, 3]


def test_a_batch_that_fails_leaves_the_rasters_memory_as_it_was() -> None:
    class Remembers(fakes.FakeRaster):
        def initial_state(self) -> fakes.Counter:  # type: ignore[override]
            return fakes.Counter()

        def draw(self, *arguments: object) -> None:  # type: ignore[override]
            super().draw(*arguments)  # type: ignore[arg-type]
            for state in arguments[-1]:  # type: ignore[attr-defined]
                state.value += 1

    def build(person: fakes.Person, graphs: object) -> fakes.Stages:
        return replace(fakes.build(person, {}), raster=Remembers())

    pipeline = Pipeline(fakes.person(), _build=build)
    quiet, loud = pipeline.initial_state(0), pipeline.initial_state(0)
    # The renderer of the fakes cannot draw what is this loud; the raster has drawn it before.
    works = [Work(quiet, np.zeros(640, np.float32)), Work(loud, np.full(640, 20, np.float32))]
    pipeline.advance(works)
    assert works[0].error is None and works[1].error is not None
    assert quiet.raster.value == 1 and loud.raster.value == 0


def test_a_performance_takes_the_voices_place() -> None:
    pipeline = Pipeline(fakes.person(), _build=fakes.build)
    pipeline.controls = ControlSpec(
        performances=("nod",), played=(np.array([[3, 4], [5, 6]], np.float32),)
    )
    state = pipeline.initial_state(0)
    made = []
    for tick in range(6):
        if tick == 1:
            pipeline.control(state, Controls(performance=0))
        if tick == 4:
            pipeline.control(state, Controls())
        work = Work(state, np.full(640, 0.5, np.float32))
        pipeline.advance([work])
        assert work.coefficients is not None
        made.append(work.coefficients.tolist())
    # The fakes' motion sums what it hears, and hears on while a performance is played.
    assert made == [[2, 2], [3, 4], [5, 6], [3, 4], [10, 10], [12, 12]]
