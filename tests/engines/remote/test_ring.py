"""The ring of samples: what the engine takes is what the worker gave, or silence in its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.engines.remote.pairs import sound
from visavis.engines.errors import EngineError
from visavis.engines.remote.layout import INPUT, INPUT_SIZE, RING_SAMPLES
from visavis.engines.remote.ring import MAX_LAG_SAMPLES, RingReader, RingWriter, Taken
from visavis.engines.timeline import Timeline

MEMORY = np.zeros(INPUT_SIZE, np.uint8)


def ring() -> tuple[RingWriter, RingReader, NDArray[Any]]:
    MEMORY[:4096] = 0
    return RingWriter(MEMORY), RingReader(MEMORY), MEMORY[: INPUT.itemsize].view(INPUT)


def taken(reader: RingReader) -> Taken:
    found = reader.take()
    assert found is not None
    return found


def put(timeline: Timeline, found: Taken) -> None:
    """What the engine does with it."""
    if found.generation is not None:
        timeline.clear()
    timeline.push(np.zeros(found.silence, np.float32))
    timeline.push(found.pcm)


def rest_of(timeline: Timeline) -> list[tuple[int, int, bytes, bool]]:
    ticks = []
    while (tick := timeline.take()) is not None:
        ticks.append((tick.index, tick.generation, tick.pcm.tobytes(), tick.cleared))
    return ticks


STEPS = st.lists(st.one_of(st.integers(0, 3000), st.sampled_from(["clear", "read"])), max_size=30)


@given(steps=STEPS, start=st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_a_timeline_behind_the_ring_sees_what_one_before_it_sees(
    steps: list[Any], start: int
) -> None:
    """Whenever the ring is read: samples before a `clear` are silent, those after it are heard."""
    writer, reader, _ = ring()
    near, far = Timeline(100), Timeline(100)
    if start:
        # Close to the ring's end, so that it wraps.
        writer.push(np.zeros(RING_SAMPLES - start * 500, np.float32))
        taken(reader)
    count = 0
    for number, step in enumerate([*steps, "read"]):
        if step == "clear":
            near.clear()
            writer.clear()
            count += 1
        elif step == "read":
            if (found := reader.take()) is not None:
                assert found.generation in (None, count)
                put(far, found)
            # Several calls may have become one; what they mean is the same.
            ours, theirs = rest_of(near), rest_of(far)
            assert [(tick[0], tick[2], tick[3]) for tick in ours] == [
                (tick[0], tick[2], tick[3]) for tick in theirs
            ]
        else:
            pcm = sound(step, number)
            near.push(pcm)
            writer.push(pcm)


def test_nothing_new_is_nothing() -> None:
    writer, reader, _ = ring()
    assert reader.take() is None
    writer.push(sound(3))
    np.testing.assert_array_equal(taken(reader).pcm, sound(3))
    assert reader.take() is None


def test_what_a_slow_reader_missed_is_silence_and_is_counted() -> None:
    writer, reader, _ = ring()
    voice = sound(RING_SAMPLES + 5000)
    for start in range(0, len(voice), 10_000):
        writer.push(voice[start : start + 10_000])
    found = taken(reader)
    assert (found.silence, found.lost, reader.lost) == (5000, 5000, 5000)
    np.testing.assert_array_equal(found.pcm, voice[5000:])


def test_one_push_of_more_than_the_ring_keeps_its_end() -> None:
    writer, reader, _ = ring()
    voice = sound(RING_SAMPLES + 777)
    writer.push(sound(100))
    writer.push(voice)
    found = taken(reader)
    assert (found.silence, found.lost) == (877, 877)
    np.testing.assert_array_equal(found.pcm, voice[777:])


def test_what_was_cleared_is_not_lost() -> None:
    writer, reader, _ = ring()
    writer.push(sound(4000))
    writer.clear()
    writer.push(sound(RING_SAMPLES))
    assert (taken(reader).silence, reader.lost) == (4000, 0)


def test_samples_that_are_overwritten_while_they_are_copied_are_not_believed() -> None:
    """The toy that passes every other test: a reader that trusts what it has copied."""
    writer, reader, header = ring()
    voice = sound(RING_SAMPLES)
    writer.push(voice)
    # The writer has said that it will overwrite 1000 samples, and is at it.
    header["reserved"] = RING_SAMPLES + 1000
    found = taken(reader)
    assert (found.silence, found.lost) == (1000, 1000)
    np.testing.assert_array_equal(found.pcm, voice[1000:])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("magic", 0),
        ("version", 1 << 40),
        ("written", 2**63),
        ("written", MAX_LAG_SAMPLES + 1701),
        ("written", 1600),
        ("generation", 2),
        ("cleared_at", 1801),
    ],
)
def test_a_worker_that_scribbles_is_refused(field: str, value: int) -> None:
    writer, reader, header = ring()
    writer.push(sound(1600))
    for _ in range(3):
        writer.clear()
    taken(reader)
    writer.push(sound(100))
    assert reader.take() is not None
    writer.push(sound(100))
    header[field] = value
    with pytest.raises(EngineError, match="ring of samples is damaged"):
        reader.take()


@given(st.binary(min_size=INPUT.itemsize, max_size=INPUT.itemsize))
@settings(max_examples=200, deadline=None)
def test_no_header_makes_the_reader_do_more_than_refuse(header: bytes) -> None:
    writer, reader, _ = ring()
    writer.push(sound(1600))
    taken(reader)
    MEMORY[16 : INPUT.itemsize] = np.frombuffer(header, np.uint8)[16:]
    try:
        found = reader.take()
    except EngineError:
        return
    assert found is None or len(found.pcm) <= RING_SAMPLES
    assert found is None or found.silence <= MAX_LAG_SAMPLES
