"""Streaming equals the whole utterance, whatever the chunks and whoever else is in the batch."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.engines import reference_voice
from tests.engines.fakes import Collector
from tests.engines.tiny_person import LOOKAHEADS, tiny_person, voice
from visavis.engines.local import LocalEngine
from visavis.engines.pipeline import Pipeline, Work
from visavis.engines.timeline import Timeline

SECONDS = 10
VOICE = voice(SECONDS)
F32 = NDArray[np.float32]
BLEND = (1.0, 0.5, 0.25)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(tiny_person(), variant="fp32")


def stream(
    pipeline: Pipeline, chunks: list[int], *, lookahead_ms: int = 100, render: bool = False
) -> list[Work]:
    """Push the voice in such chunks and run every tick at once."""
    timeline, state = Timeline(lookahead_ms), pipeline.initial_state(5, lookahead_ms)
    done, start = [], 0
    for size in [*chunks, len(VOICE)]:
        timeline.push(VOICE[start : start + size])
        start += size
        while (tick := timeline.take()) is not None:
            work = Work(state, tick.pcm, render)
            pipeline.advance([work])
            assert work.error is None
            done.append(work)
    return done


@pytest.mark.parametrize("blend", [(1.0,), BLEND])
@pytest.mark.parametrize("lookahead_ms", LOOKAHEADS)
def test_coefficients_equal_the_whole_utterance(
    lookahead_ms: int, blend: tuple[float, ...]
) -> None:
    person = tiny_person(blend=blend)
    done = stream(Pipeline(person, variant="fp32"), [], lookahead_ms=lookahead_ms)
    wanted, speech = reference_voice.coefficients(person, VOICE, lookahead_ms)
    count = (len(VOICE) - 16 * lookahead_ms) // 640 + 1
    assert len(done) == count == len(wanted)
    found = np.stack([work.coefficients for work in done])
    assert np.abs(found - wanted).max() < 1e-5
    assert [work.speech for work in done] == pytest.approx(speech.tolist())
    # Where the mouth is, is not where it was a tick before, so a shift would be seen.
    assert np.abs(np.diff(wanted, axis=0)).max() > 0.1


@pytest.fixture(scope="module")
def whole(pipeline: Pipeline) -> F32:
    return np.stack([work.coefficients for work in stream(pipeline, [])])


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 16000 * SECONDS), max_size=40))
@example(sizes=[1] * 3000)
@example(sizes=[160 * k + 1 for k in range(20)])
def test_chunks_do_not_matter(pipeline: Pipeline, whole: F32, sizes: list[int]) -> None:
    found = np.stack([work.coefficients for work in stream(pipeline, sizes)])
    assert np.array_equal(found, whole)


@pytest.fixture(scope="module")
def blending() -> Pipeline:
    return Pipeline(tiny_person(blend=BLEND), variant="fp32")


@settings(max_examples=4, deadline=None)
@given(sizes=st.lists(st.integers(1, 16000 * SECONDS), max_size=40))
@example(sizes=[250] * 600)
@pytest.mark.parametrize("lookahead_ms", LOOKAHEADS)
def test_chunks_do_not_matter_at_any_look_ahead(
    blending: Pipeline, lookahead_ms: int, sizes: list[int]
) -> None:
    one, two = (stream(blending, chunks, lookahead_ms=lookahead_ms) for chunks in ([], sizes))
    assert np.array_equal(
        np.stack([work.coefficients for work in one]), np.stack([work.coefficients for work in two])
    )
    assert [work.speech for work in one] == [work.speech for work in two]


def test_look_aheads_show_the_same_sound_otherwise(blending: Pipeline) -> None:
    """Every head is another guess; a session that was shown the default's would be seen."""
    shown = [
        np.stack([work.coefficients for work in stream(blending, [], lookahead_ms=ms)[:200]])
        for ms in LOOKAHEADS
    ]
    for index, one in enumerate(shown):
        for two in shown[:index]:
            assert np.abs(one - two).max() > 0.1


def test_sessions_of_all_look_aheads_share_a_batch(blending: Pipeline) -> None:
    """Each gives in a batch of six what it gives alone."""
    alone = [
        np.stack([work.coefficients for work in stream(blending, [], lookahead_ms=ms)])
        for ms in LOOKAHEADS
    ]
    timelines = [Timeline(ms) for ms in LOOKAHEADS]
    states = [blending.initial_state(5, ms) for ms in LOOKAHEADS]
    found: list[list[F32]] = [[] for _ in LOOKAHEADS]
    sizes = set()
    for start in range(0, len(VOICE), 480):
        batch = []
        for index, timeline in enumerate(timelines):
            timeline.push(VOICE[start : start + 480])
            if (tick := timeline.take()) is not None:
                batch.append((index, Work(states[index], tick.pcm, render=False)))
        blending.advance([work for _, work in batch])
        sizes.add(len(batch))
        for index, work in batch:
            assert work.error is None and work.coefficients is not None
            found[index].append(work.coefficients)
    assert max(sizes) > 1
    for one, many in zip(alone, found, strict=True):
        assert len(one) - len(many) <= 1
        assert np.abs(one[: len(many)] - np.stack(many)).max() < 1e-5


def test_a_session_carries_no_more_after_long(blending: Pipeline) -> None:
    def size(state: object) -> int:
        if isinstance(state, np.ndarray):
            return state.nbytes
        if isinstance(state, tuple):
            return sum(size(item) for item in state)
        return sum(size(getattr(state, name)) for name in getattr(state, "__slots__", ()))

    state, sizes = blending.initial_state(5, 140), []
    for start in range(0, len(VOICE) - 2239, 640):
        begin = 0 if start == 0 else start + 1600
        work = Work(state, VOICE[begin : start + 2240], render=False)
        blending.advance([work])
        assert work.error is None
        sizes.append(size(state.motion) + size(state.voice) + size(state.audio))
    assert len(sizes) > 200 and sizes[5] > 1000
    assert set(sizes[5:]) == {sizes[5]}


def test_pictures_do_not_depend_on_chunks(pipeline: Pipeline) -> None:
    first = stream(pipeline, [], render=True)[:60]
    second = stream(pipeline, [333] * 100, render=True)[:60]
    for one, two in zip(first, second, strict=True):
        assert np.array_equal(one.i420, two.i420)


def test_a_batch_of_any_size_equals_each_alone(pipeline: Pipeline) -> None:
    """Eight sessions that began at different times, with different voices and seeds."""
    voices = [voice(2, seed) for seed in range(8)]

    def pcm(session: int, tick: int) -> F32:
        start = 0 if tick == 0 else 1600 + 640 * (tick - 1)
        return voices[session][start : 1600 + 640 * tick]

    alone: list[list[Work]] = []
    for session in range(8):
        state = pipeline.initial_state(session)
        alone.append([Work(state, pcm(session, tick)) for tick in range(20)])
        for work in alone[-1]:
            pipeline.advance([work])
    states = [pipeline.initial_state(session) for session in range(8)]
    for now in range(28):
        active = [session for session in range(8) if 0 <= now - session < 20]
        batch = [Work(states[session], pcm(session, now - session)) for session in active]
        pipeline.advance(batch)
        for session, work in zip(active, batch, strict=True):
            single = alone[session][now - session]
            assert work.i420 is not None and single.i420 is not None
            assert np.abs(work.coefficients - single.coefficients).max() < 1e-5
            assert np.abs(work.i420.astype(int) - single.i420).max() <= 2


def test_clear_forgets_the_sound_and_comes_back_to_the_next(pipeline: Pipeline) -> None:
    """After a barge-in the mouth rests within the easing, and new sound moves it as before."""
    timeline, state = Timeline(100), pipeline.initial_state(1)
    path: list[F32] = []

    def push(pcm: F32) -> None:
        timeline.push(pcm)
        while (tick := timeline.take()) is not None:
            work = Work(state, tick.pcm, render=False, cleared=tick.cleared)
            pipeline.advance([work])
            assert work.coefficients is not None
            path.append(work.coefficients)

    push(VOICE[:32000])
    timeline.clear()
    push(VOICE[32000 : 32000 + 320])
    before, index = path[-1], len(path)
    push(np.zeros(16000, np.float32))
    jump = np.abs(path[index] - before).max()
    speed = np.abs(np.diff(np.stack(path[:index]), axis=0)).max()
    assert jump <= speed
    assert len(path) == (32000 + 320 + 16000 - 1600) // 640 + 1


@pytest.mark.parametrize("threads", [1, 2])
def test_live_sessions_give_what_the_pipeline_gives(pipeline: Pipeline, threads: int) -> None:
    """Three sessions of three look-aheads, each fed from a thread of its own, tick by tick."""
    engine = LocalEngine([tiny_person()], capacity=4, threads=threads)
    seen = [Collector() for _ in range(3)]
    voices = [voice(2, seed) for seed in (11, 12, 13)]
    lookaheads = (None, 40, 230)
    needs = (1600, 640, 3680)

    def feed(index: int) -> None:
        session = engine.open(
            "tiny", seen[index].on_frame, lookahead_ms=lookaheads[index], seed=index
        )
        session.push(voices[index][: needs[index]])
        for tick in range(20):
            seen[index].wait(frames=tick + 1)
            start = needs[index] + 640 * tick
            session.push(voices[index][start : start + 640])
        seen[index].wait(frames=21)

    feeders = [threading.Thread(target=feed, args=(index,)) for index in range(3)]
    for feeder in feeders:
        feeder.start()
    for feeder in feeders:
        feeder.join(timeout=60)
    engine.close()
    for index, collector in enumerate(seen):
        state = pipeline.initial_state(index, lookaheads[index])
        assert collector.indices == list(range(21))
        for tick, frame in enumerate(collector.frames):
            start = 0 if tick == 0 else needs[index] + 640 * (tick - 1)
            work = Work(state, voices[index][start : needs[index] + 640 * tick])
            pipeline.advance([work])
            assert work.i420 is not None
            assert np.abs(work.i420.astype(int) - frame.i420).max() <= 2
