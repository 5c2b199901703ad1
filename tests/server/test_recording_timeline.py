"""What is written depends on media time alone, not on what comes first."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.server.recording.timeline import (
    EARLY_STEPS,
    KEY_TICKS,
    LATE_TICKS,
    MAX_GAP_SECONDS,
    MAX_HELD,
    Item,
    Shown,
    Timeline,
)

STEP = 960
TICK = 1920


@dataclass
class Written:
    """A file: pictures by tick, and the voice from its beginning."""

    pictures: list[tuple[int, int]] = field(default_factory=list)
    voice: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, items: list[Item[int]]) -> None:
        for item in items:
            if isinstance(item, Shown):
                self.pictures.append((item.tick, item.picture))
            else:
                self.voice.append(item.pcm)

    @property
    def pcm(self) -> NDArray[np.float32]:
        return np.concatenate([np.zeros(0, np.float32), *self.voice])


def said(step: int, count: int = 1) -> NDArray[np.float32]:
    """Voice that says which step it is."""
    return np.repeat(np.arange(step + 1, step + 1 + count, dtype=np.float32), STEP)


@dataclass(frozen=True)
class Session:
    """Of ``ticks``: which frames and which steps of voice never were, and after which steps
    somebody interrupted."""

    ticks: int
    frames_missing: frozenset[int]
    voice_missing: frozenset[int]
    clears: tuple[int, ...]

    def frames(self) -> list[tuple[int, int]]:
        """Tick and generation. A frame is made three ticks before its voice leaves."""
        return [
            (tick, sum(clear <= 2 * tick - 6 for clear in self.clears))
            for tick in range(self.ticks)
            if tick not in self.frames_missing
        ]

    def steps(self) -> list[int]:
        return [step for step in range(2 * self.ticks) if step not in self.voice_missing]

    def expected(self) -> Written:
        """What the file holds, found without streaming."""
        steps = self.steps()

        def heard(clear: int) -> int:
            return max((step + 1 for step in steps if step < clear), default=0)

        written = Written()
        end = steps[-1] + 1
        shown = [
            tick
            for tick, generation in self.frames()
            if 2 * tick < end and all(2 * tick < heard(c) for c in self.clears[generation:])
        ]
        if not shown:
            return written
        origin, last = shown[0], shown[0]
        for tick in [*shown, None]:
            until = -(-end // 2) if tick is None else tick
            while last + KEY_TICKS < until:
                previous = written.pictures[-1][1]
                last += KEY_TICKS
                written.pictures.append((last - origin, previous))
            if tick is not None:
                last = tick
                written.pictures.append((tick - origin, tick))
        there = set(steps)
        for step in range(2 * origin, end):
            written.voice.append(said(step) if step in there else np.zeros(STEP, np.float32))
        return written


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    ticks = draw(st.integers(4, 90))
    missing = draw(st.sets(st.integers(0, ticks - 1), max_size=6))
    first = draw(st.integers(0, ticks - 1))
    missing |= set(range(first, first + draw(st.integers(0, 70))))
    # The last step is there, and no pause is so long that the session would have been away.
    silent = draw(st.sets(st.integers(0, 2 * ticks - 2), max_size=8))
    clears = sorted(draw(st.sets(st.integers(1, 2 * ticks - 1), max_size=3)))
    return Session(ticks, frozenset(missing), frozenset(silent), tuple(clears))


def play(session: Session, jitter: random.Random | None) -> tuple[Written, Timeline[int]]:
    """Give a timeline what a session gives: each kind in its order, the kinds in any."""
    # When each event comes, counted in steps of voice that have left.
    events: list[tuple[float, int, str, int, int]] = []
    order = itertools.count()
    at = 0.0
    for tick, generation in session.frames():
        late = -3 if jitter is None else jitter.uniform(-4, LATE_TICKS - 2)
        # One way keeps its order, and a frame of a generation comes after that has begun.
        begun = session.clears[generation - 1] if generation else 0
        at = max(at, 2 * (tick + late), begun + 0.01)
        events.append((at, next(order), "frame", tick, generation))
    for number, clear in enumerate(session.clears):
        events.append((clear, -1, "clear", number + 1, 0))
    step = 0
    there = set(session.steps())
    while step < 2 * session.ticks:
        count = 1
        most = 1 if jitter is None else jitter.randint(1, 4)
        while count < most and step + count in there and step + count not in session.clears:
            count += 1
        if step in there:
            events.append((step + 1 - 0.005, next(order), "voice", step, count))
        step += count if step in there else 1
    timeline: Timeline[int] = Timeline()
    written = Written()
    for _, _, kind, first, second in sorted(events):
        match kind:
            case "frame":
                written.add(timeline.picture(first, second, first))
            case "voice":
                written.add(timeline.voice(first * STEP, said(first, second)))
            case _:
                timeline.clear(first)
    written.add(timeline.end())
    return written, timeline


@settings(max_examples=80)
@given(sessions(), st.randoms(use_true_random=False))
def test_the_file_does_not_depend_on_what_comes_first(
    session: Session, jitter: random.Random
) -> None:
    expected = session.expected()
    for one in (None, jitter):
        written, timeline = play(session, one)
        assert written.pictures == expected.pictures
        assert np.array_equal(written.pcm, expected.pcm)
        assert timeline.seconds == pytest.approx(len(expected.pcm) / 48_000)
        ticks = [tick for tick, _ in written.pictures]
        assert all(0 < later - tick <= KEY_TICKS for tick, later in itertools.pairwise(ticks))


def speak(timeline: Timeline[int], written: Written, first: int, end: int) -> None:
    for step in range(first, end):
        written.add(timeline.voice(step * STEP, said(step)))


def test_a_picture_waits_for_its_voice() -> None:
    timeline: Timeline[int] = Timeline()
    written = Written()
    for tick in range(3):
        written.add(timeline.picture(tick, 0, tick))
    assert not written.pictures and not timeline.started
    speak(timeline, written, 0, 1)
    assert written.pictures == [(0, 0)]
    speak(timeline, written, 1, 2)
    assert written.pictures == [(0, 0)], "the next one's voice has not begun"
    speak(timeline, written, 2, 3)
    assert written.pictures == [(0, 0), (1, 1)]
    written.add(timeline.end())
    assert len(written.pictures) == 2 and timeline.dropped == 1


def test_an_interruption_drops_what_was_not_said() -> None:
    timeline: Timeline[int] = Timeline()
    written = Written()
    for tick in range(6):
        written.add(timeline.picture(tick, 0, tick))
    speak(timeline, written, 0, 4)
    timeline.clear(1)
    written.add(timeline.picture(6, 0, 66))  # made before, came after
    written.add(timeline.picture(7, 1, 7))
    speak(timeline, written, 4, 20)
    assert written.pictures == [(0, 0), (1, 1), (7, 7)]
    assert timeline.dropped == 5


def test_after_a_suspension_it_goes_on_on_the_same_timeline() -> None:
    timeline: Timeline[int] = Timeline()
    written = Written()
    written.add(timeline.picture(10, 0, 10))
    speak(timeline, written, 20, 22)
    written.add(timeline.picture(12, 0, 12))  # its voice is never sent
    base = 10 + 500  # 20 s later
    written.add(timeline.picture(base, 0, base))
    speak(timeline, written, 2 * base, 2 * base + 2)
    repeats = [(tick, 10) for tick in range(0, 500, KEY_TICKS)]
    assert written.pictures == [*repeats, (500, base)]
    pcm = written.pcm
    assert len(pcm) == 501 * TICK and not pcm[TICK : 500 * TICK].any() and pcm[500 * TICK] > 0
    assert timeline.dropped == 1


def test_a_very_long_pause_is_shortened() -> None:
    timeline: Timeline[int] = Timeline()
    written = Written()
    written.add(timeline.picture(0, 0, 0))
    speak(timeline, written, 0, 2)
    base = 25 * 3600  # an hour later
    speak(timeline, written, 2 * base, 2 * base + 2)
    written.add(timeline.picture(base, 0, base))
    assert timeline.seconds == pytest.approx(MAX_GAP_SECONDS + 0.08, abs=0.04)
    assert len(written.pcm) == round(timeline.seconds * 48_000)
    assert written.pictures[-1] == (MAX_GAP_SECONDS * 25 + 1, base)
    # The picture and its voice begin together.
    assert written.pcm[written.pictures[-1][0] * TICK] == said(2 * base)[0]


def test_nothing_grows_while_there_is_no_picture_or_no_voice() -> None:
    timeline: Timeline[int] = Timeline()
    written = Written()
    speak(timeline, written, 0, 10 * EARLY_STEPS)
    assert not written.voice and len(timeline._early) == EARLY_STEPS
    silent: Timeline[int] = Timeline()
    for tick in range(10 * MAX_HELD):
        written.add(silent.picture(tick, 0, tick))
    assert not written.pictures and silent.dropped == 9 * MAX_HELD


def test_a_picture_that_never_comes_is_not_waited_for() -> None:
    timeline: Timeline[int] = Timeline()
    written = Written()
    written.add(timeline.picture(0, 0, 0))
    speak(timeline, written, 0, 2 * (KEY_TICKS + LATE_TICKS))
    assert written.pictures == [(0, 0)]
    speak(timeline, written, 2 * (KEY_TICKS + LATE_TICKS), 2 * (KEY_TICKS + LATE_TICKS) + 1)
    assert written.pictures == [(0, 0), (KEY_TICKS, 0)]
    # What comes now would go back.
    written.add(timeline.picture(KEY_TICKS - 1, 0, 24))
    assert len(written.pictures) == 2 and timeline.dropped == 1
