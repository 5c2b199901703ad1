"""The three slots: what a worker takes is what the engine gave, whole, in order, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.engines.errors import EngineError
from visavis.engines.remote.counters import CounterReader, Counters, CounterWriter
from visavis.engines.remote.layout import OUTPUT, SLOTS, OutputLayout
from visavis.engines.remote.slots import SlotReader, SlotWriter

LAYOUT = OutputLayout(64, 48)


def slots() -> tuple[SlotWriter, SlotReader, NDArray[np.uint8]]:
    memory = np.zeros(LAYOUT.size, np.uint8)
    return SlotWriter(memory, LAYOUT), SlotReader(memory, LAYOUT), memory


def picture(value: int) -> NDArray[np.uint8]:
    return np.random.default_rng(value).integers(0, 256, (72, 64)).astype(np.uint8)


class Interrupted(SlotReader):
    """A reader during whose copy something happens."""

    def __init__(self, memory: NDArray[np.uint8], during: Callable[[], None]) -> None:
        super().__init__(memory, LAYOUT)
        self._during = during

    def _copy(self, place: int) -> tuple[NDArray[np.uint8], None]:
        half = self._pictures[place][:30].copy()
        self._during()
        return np.concatenate((half, self._pictures[place][30:])), None


@given(st.lists(st.integers(0, 6), max_size=20))
@settings(max_examples=60, deadline=None)
def test_frames_come_whole_and_in_order_and_the_rest_is_counted(bursts: list[int]) -> None:
    writer, reader, _ = slots()
    number, got = 0, []
    for burst in bursts:
        for _ in range(burst):
            writer.write(number, number // 4, picture(number), number / 100)
            number += 1
        new = reader.take()
        assert len(new) == min(burst, SLOTS)
        got += new
    for frame in got:
        np.testing.assert_array_equal(frame.i420, picture(frame.index))
        assert (frame.generation, frame.speech) == (frame.index // 4, frame.index / 100)
    assert [frame.index for frame in got] == sorted({frame.index for frame in got})
    assert len(got) + reader.missed == number


def test_a_slot_that_is_overwritten_while_it_is_copied_is_thrown_away() -> None:
    """The toy that passes every other test: a reader that does not look again."""
    writer, _, memory = slots()
    writer.write(0, 0, picture(0), 0.0)
    once = [False]

    def overwrite() -> None:
        if not once[0]:
            once[0] = True
            for index in range(1, 1 + SLOTS):
                writer.write(index, 0, picture(index), 0.0)

    reader = Interrupted(memory, overwrite)
    assert reader.take() == []
    assert reader.missed == 1
    # What came meanwhile is there, and whole.
    later = reader.take()
    assert [frame.index for frame in later] == [1, 2, 3]
    for frame in later:
        np.testing.assert_array_equal(frame.i420, picture(frame.index))


def test_a_slot_that_is_being_written_is_not_read() -> None:
    """The engine was killed in the middle of a picture."""
    writer, reader, memory = slots()
    writer.write(0, 0, picture(0), 0.0)
    memory[: OUTPUT.itemsize].view(OUTPUT)["slots"]["sequence"][0, 1] = 1
    assert reader.take() == []
    assert reader.missed == 1


def test_a_picture_belongs_to_whoever_took_it() -> None:
    writer, reader, _ = slots()
    writer.write(0, 0, picture(0), 0.0)
    (frame,) = reader.take()
    for index in range(1, 5):
        writer.write(index, 0, picture(index), 0.0)
    np.testing.assert_array_equal(frame.i420, picture(0))
    frame.i420[:] = 0


@pytest.mark.parametrize(
    "wrong", [np.zeros((72, 62), np.uint8), np.zeros((72, 64)), np.zeros(72 * 64, np.uint8)]
)
def test_another_picture_is_refused_and_nothing_is_published(wrong: NDArray[Any]) -> None:
    writer, reader, _ = slots()
    with pytest.raises(EngineError, match="picture"):
        writer.write(0, 0, wrong, 0.0)
    assert reader.take() == []


@pytest.mark.parametrize(
    ("damage", "value"),
    [("published", 2**60), ("published", 0), ("index", 2**50), ("speech", np.nan)],
)
def test_an_engine_that_scribbles_is_refused(damage: str, value: float) -> None:
    writer, reader, memory = slots()
    writer.write(0, 0, picture(0), 0.0)
    assert reader.take()
    writer.write(1, 0, picture(1), 0.0)
    header = memory[: OUTPUT.itemsize].view(OUTPUT)
    field = header if damage == "published" else header["slots"][0]
    field[damage] = value
    with pytest.raises(EngineError, match="memory is damaged"):
        reader.take()


def test_memory_of_another_layout_is_refused() -> None:
    _, _, memory = slots()
    with pytest.raises(EngineError, match="laid out in another way"):
        SlotReader(np.zeros_like(memory), LAYOUT)
    with pytest.raises(EngineError, match="cannot be shared"):
        OutputLayout(64, 47)
    with pytest.raises(EngineError, match="cannot be shared"):
        OutputLayout(1 << 40, 48)


def test_counters_are_never_read_by_halves() -> None:
    memory = np.zeros(LAYOUT.size, np.uint8)
    writer, reader = CounterWriter(memory), CounterReader(memory)
    assert reader.read() == Counters()
    whole = Counters(1, 2, 3, 4.5, 5.5)
    writer.write(whole)
    assert reader.read() == whole
    # In the middle of the next write, the last whole ones hold.
    header = memory[: OUTPUT.itemsize].view(OUTPUT)
    header["stats_sequence"] += 1
    header["skipped"] = 99
    assert reader.read() == whole
    header["stats_sequence"] += 1
    assert reader.read() == Counters(99, 2, 3, 4.5, 5.5)
    header["engine_ms_p50"] = np.inf
    assert reader.read() == Counters(99, 2, 3, 4.5, 5.5)


# -- alpha --------------------------------------------------------------------------------------

MATTED = OutputLayout(64, 48, matte=True)


def matted() -> tuple[SlotWriter, SlotReader, NDArray[np.uint8]]:
    memory = np.zeros(MATTED.size, np.uint8)
    return SlotWriter(memory, MATTED), SlotReader(memory, MATTED), memory


def test_alpha_lies_behind_its_picture_and_nowhere_else() -> None:
    places = [range(*piece(n).indices(MATTED.size)) for n in range(3) for piece in _PIECES]
    assert [len(place) for place in places] == [64 * 72, 64 * 48] * 3
    taken = [byte for place in places for byte in place]
    assert len(set(taken)) == len(taken) and min(taken) >= 4096 and max(taken) < MATTED.size
    assert LAYOUT.alpha(1) == slice(LAYOUT.slot(1).stop, LAYOUT.slot(1).stop)


_PIECES = (MATTED.slot, MATTED.alpha)


def test_frames_with_and_without_alpha_take_turns() -> None:
    """The toy: alpha of an earlier frame in the same slot, shown with a frame that has none."""
    writer, reader, _ = matted()
    random = np.random.default_rng(0)
    for index in range(12):
        alpha = random.integers(0, 256, (48, 64), np.uint8) if index % 5 < 2 else None
        writer.write(index, 0, picture(index), 0.5, alpha)
        (frame,) = reader.take()
        np.testing.assert_array_equal(frame.i420, picture(index))
        newest = reader.newest()
        assert newest is not None and (newest[0] == picture(index)).all()
        if alpha is None:
            assert frame.alpha is None and newest[1] is None
        else:
            np.testing.assert_array_equal(frame.alpha, alpha)
            np.testing.assert_array_equal(newest[1], alpha)
            assert frame.alpha is not None
            frame.alpha[:] = 0  # it is the receiver's
            again = reader.newest()
            assert again is not None and again[1] is not None and again[1].any()


@pytest.mark.parametrize(
    "wrong", [np.zeros((48, 62), np.uint8), np.zeros((48, 64)), np.zeros((72, 64), np.uint8)]
)
def test_another_alpha_is_refused_and_nothing_is_published(wrong: NDArray[Any]) -> None:
    writer, reader, _ = matted()
    with pytest.raises(EngineError, match="no room for an alpha"):
        writer.write(0, 0, picture(0), 0.0, wrong)
    assert reader.take() == []


def test_where_there_is_no_room_alpha_is_refused() -> None:
    writer, reader, memory = slots()
    with pytest.raises(EngineError, match="no room for an alpha"):
        writer.write(0, 0, picture(0), 0.0, np.zeros((48, 64), np.uint8))
    # An engine that says there is alpha where there is no room gives none.
    writer.write(0, 0, picture(1), 0.0)
    memory[: OUTPUT.itemsize].view(OUTPUT)["slots"]["alpha"] = 1
    (frame,) = reader.take()
    assert frame.alpha is None
    with pytest.raises(EngineError, match="another way"):
        SlotReader(np.concatenate((memory, np.zeros(MATTED.size, np.uint8))), MATTED)
