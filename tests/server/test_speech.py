"""A speech model's voice: any pace gives the same sound, and what was said is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.server.errors import TooMuchSpeech
from visavis.server.speech.stream import (
    MOST_SECONDS,
    PlaybackEvent,
    PlaybackFinished,
    PlaybackStarted,
    SpeechStream,
)

F32 = NDArray[np.float32]
STEP = 960


def sound(samples: int, first: int = 1) -> F32:
    """Samples that are all different, and none of them silent."""
    return np.arange(first, first + samples, dtype=np.float32)


class Session:
    """Pulls steps and lets them leave `behind` steps later, as a session does."""

    def __init__(self, behind: int = 5) -> None:
        self.events: list[PlaybackEvent] = []
        self.stream = SpeechStream(self.events.append)
        self.behind = behind
        self.pulled: list[F32] = []
        self.left = 0

    def step(self) -> None:
        self.pulled.append(self.stream.pull(0.0))
        if len(self.pulled) > self.behind:
            self.stream.sent(self.left)
            self.left += 1

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def heard(self) -> F32:
        return np.concatenate(self.pulled[: self.left])


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(1, 5000), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(1, 3000), st.integers(0, 6)), min_size=1, max_size=12),
)
def test_any_chunks_at_any_pace_give_the_same_sound(
    segments: list[int], paces: list[tuple[int, int]]
) -> None:
    session = Session()
    whole: list[F32] = []
    turn = 0
    for samples in segments:
        pcm = sound(samples, first=1 + sum(map(len, whole)))
        whole.append(pcm)
        while len(pcm):
            size, steps = paces[turn % len(paces)]
            turn += 1
            session.stream.put(pcm[:size])
            pcm = pcm[size:]
            session.run(steps)
        session.stream.end()
    session.run(60)
    heard = session.heard()
    assert np.array_equal(heard[heard != 0], np.concatenate(whole))
    finished = [event for event in session.events if isinstance(event, PlaybackFinished)]
    assert finished == [
        PlaybackFinished(number, samples, interrupted=False)
        for number, samples in enumerate(segments, 1)
    ]
    started = [event.segment for event in session.events if isinstance(event, PlaybackStarted)]
    assert started == list(range(1, len(segments) + 1))


def test_what_comes_at_once_has_no_gap() -> None:
    session = Session()
    session.stream.put(sound(10_000))
    session.stream.end()
    session.run(30)
    heard = session.heard()
    assert np.array_equal(heard[:10_000], sound(10_000)) and not heard[10_000:].any()


def test_unevenness_of_a_network_is_not_heard() -> None:
    """In step with speech, and each piece up to 40 ms late: it begins late, and has no gap."""
    session = Session()
    late = np.random.default_rng(0).uniform(0, 0.04, 50)
    due = [(n * 0.02 + late[n], sound(STEP, 1 + n * STEP)) for n in range(50)]
    for step in range(70):
        while due and due[0][0] <= step * 0.02:
            session.stream.put(due.pop(0)[1])
        session.step()
    heard = session.heard()
    begin = int(np.flatnonzero(heard)[0])
    assert begin <= 4 * STEP
    assert np.array_equal(heard[begin : begin + 50 * STEP], sound(50 * STEP))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(0, 8), st.booleans())
def test_an_interruption_says_how_much_had_left(steps: int, behind: int, ended: bool) -> None:
    session = Session(behind)
    session.stream.put(sound(20_000))
    if ended:
        session.stream.end()
    session.run(steps)
    said = int(np.count_nonzero(session.heard())) if session.left else 0
    session.stream.clear()
    finished = [event for event in session.events if isinstance(event, PlaybackFinished)]
    if ended and said == 20_000:
        assert finished == [PlaybackFinished(1, 20_000, interrupted=False)]
    else:
        assert finished == [PlaybackFinished(1, said, interrupted=True)]
    assert session.stream.waiting_seconds == 0
    session.pulled.clear()
    session.left = 0
    session.stream.begin(0)
    session.stream.put(sound(STEP, 7))
    assert session.stream.end() == 2
    session.run(20)
    assert session.events[-1] == PlaybackFinished(2, STEP, interrupted=False)
    assert np.count_nonzero(np.concatenate(session.pulled)) == STEP


def test_steps_that_a_stall_left_out_count_as_said() -> None:
    session = Session(behind=100)
    session.stream.put(sound(4 * STEP))
    session.stream.end()
    session.run(10)
    session.stream.sent(9)
    assert session.events == [PlaybackStarted(1), PlaybackFinished(1, 4 * STEP, interrupted=False)]


def test_too_much_is_refused_and_nothing_is_lost() -> None:
    session = Session()
    session.stream.put(np.ones(MOST_SECONDS * 48_000 - 10, np.float32))
    with pytest.raises(TooMuchSpeech, match="At most 120 s"):
        session.stream.put(np.ones(11, np.float32))
    session.stream.put(np.ones(10, np.float32))
    assert session.stream.waiting_seconds == MOST_SECONDS


def test_an_answer_without_a_word_is_finished_at_once() -> None:
    session = Session()
    assert session.stream.end() == 1
    assert session.events == [PlaybackStarted(1), PlaybackFinished(1, 0, interrupted=False)]
