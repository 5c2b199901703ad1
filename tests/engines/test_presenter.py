"""The built-in person, as it ships: still in silence, shut on m, b and p, open on open vowels."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.engines.person import Person, load_person
from visavis.engines.pipeline import Pipeline, Work
from visavis.engines.timeline import Timeline
from visavis.persons import builtin

HOME = Path(__file__).resolve().parents[2] / "persons" / "presenter"
UPPER, LOWER = 13, 14  # the middle of the inner lips on the tracker's mesh

F32 = NDArray[np.float32]


@pytest.fixture(scope="module")
def person() -> Person:
    return load_person(builtin().read_bytes(), trusted=True)


def coefficients(person: Person, pcm: F32) -> F32:
    """f32[ticks, C] of a whole sound, without drawing anything."""
    pipeline = Pipeline(person, variant="fp32")
    state = pipeline.initial_state(0)
    timeline = Timeline(person.lookahead_ms)
    rows = []
    for start in range(0, len(pcm), 16000):
        timeline.push(pcm[start : start + 16000])
        while (tick := timeline.take()) is not None:
            work = Work(state, tick.pcm, render=False)
            pipeline.advance([work])
            assert work.error is None
            rows.append(state.coefficients)
    return np.stack(rows)


def openings(person: Person, shapes: F32) -> F32:
    """Gap between the inner lips of each tick, in distances of the outer eye corners."""
    parts = person.stage_parts("geometry")
    lips = parts["mean"][[UPPER, LOWER]] + np.einsum(
        "tc,cvx->tvx", shapes, parts["basis"][:, [UPPER, LOWER]]
    )
    gap: F32 = np.linalg.norm(lips[:, 0] - lips[:, 1], axis=-1)
    return gap


def test_silence_leaves_the_mouth_alone(person: Person) -> None:
    shapes = coefficients(person, np.zeros(16000 * 4, np.float32))
    assert (shapes == shapes[0]).all()
    assert openings(person, shapes)[0] < 0.02


def test_faint_noise_leaves_the_mouth_alone(person: Person) -> None:
    noise = np.random.default_rng(0).normal(0, 10 ** (-50 / 20), 16000 * 4).astype(np.float32)
    shapes = coefficients(person, noise)
    assert (shapes == shapes[0]).all()


@pytest.fixture(scope="module")
def clip() -> F32:
    """What the presenter says in the clip they were made from, f32[n] at 16 kHz."""
    with av.open(HOME / "presenter.mp4") as container:
        resampler = av.AudioResampler("fltp", "mono", 16000)
        frames = [
            piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)
        ]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def test_the_lips_shut_on_m_b_p_and_open_on_vowels(person: Person, clip: F32) -> None:
    """Its own clip, whose phones are known. The toy: a mouth that follows loudness."""
    gap = openings(person, coefficients(person, clip))
    with np.load(HOME / "presenter.npz") as truth:
        middle = (truth["phone_start"] + truth["phone_end"]) / 2
        phones = [str(name) for name in truth["phone"]]
    at = np.minimum((middle * 25).astype(int), len(gap) - 2)

    def around(names: set[str]) -> list[F32]:
        chosen = [k for k, name in zip(at, phones, strict=True) if name in names]
        return [gap[max(0, k - 1) : k + 2] for k in chosen]

    shut = np.array([piece.min() for piece in around({"m", "b", "p"})])
    wide = np.array([piece.max() for piece in around({"aa", "ae", "ao", "ay", "aw"})])
    assert len(shut) > 10 and len(wide) > 10
    assert np.mean(shut < 0.02) > 0.8
    assert np.median(wide) > 0.08


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_an_hour_of_talk_ends_as_it_began(person: Person, clip: F32) -> None:
    """The same words, an hour later: no state drifts."""
    ticks = len(clip) // 640
    passes = 90_000 // ticks
    gap = openings(person, coefficients(person, np.tile(clip[: ticks * 640], passes)))
    early, late = gap[ticks : 2 * ticks], gap[(passes - 2) * ticks : (passes - 1) * ticks]
    assert np.abs(late - early).mean() < 0.002
    assert np.corrcoef(early, late)[0, 1] > 0.99
