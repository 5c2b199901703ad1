"""What is measured at start. No test says how fast a machine is; each says what must cost more."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tests.server.fake_engine import FakeEngine, read_index, read_level
from visavis.engines.client import EngineSession
from visavis.engines.errors import EngineError
from visavis.server.media import cost
from visavis.server.media.encoding import Encoding


def noise(size: int) -> list[np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(0)
    return [rng.integers(16, 235, (size * 3 // 2, size), np.uint8) for _ in range(4)]


def still(size: int) -> list[np.ndarray]:  # type: ignore[type-arg]
    return [np.full((size * 3 // 2, size), 128, np.uint8)] * 4


def test_pictures_are_the_engines_own_one_tick_after_the_other() -> None:
    engine = FakeEngine(size=128)
    try:
        found = cost.pictures(engine)
        assert [read_index(picture[:128]) for picture in found] == list(range(cost.PICTURES))
        levels = [read_level(picture[:128]) for picture in found]
        assert max(levels) > 0.1 > min(levels), "the sound opens and shuts the mouth"
        assert engine.prepared == ["fake"] and not engine.sessions
    finally:
        engine.close()


def test_an_engine_that_draws_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind(FakeEngine):
        def open(self, person: str, on_frame: object, **options: object) -> EngineSession:
            return super().open(person, lambda frame: None, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(cost, "PICTURES_TIMEOUT", 0.1)
    engine = Blind()
    try:
        with pytest.raises(EngineError, match="draws no pictures"):
            cost.pictures(engine)
        assert not engine.sessions
    finally:
        engine.close()


def test_pictures_that_move_cost_more_than_a_still_one() -> None:
    moving, count = cost.encode_seconds(noise(256), seconds=0.05)
    resting, _ = cost.encode_seconds(still(256), seconds=0.05)
    assert count >= 6 and moving > 2 * resting > 0


async def test_packets_cost_processor_time_and_all_arrive() -> None:
    before = asyncio.all_tasks()
    found = await cost.packet_seconds(0.2, sessions=1)
    assert 0.001 < found < 1.0
    async with cost._packets() as session:
        for _ in range(10):
            await session.step()
        assert session._microphone.lost == 0 and session._microphone.concealed_samples == 0
        assert session._line.skipped_steps == 0
        # Ten steps: ten packets each way, and five pictures of several packets.
        assert session._to_visitor._sequence[cost.FACE] >= 5 * 5
        assert session._to_visitor._sequence[cost.VOICE] >= 5
    assert asyncio.all_tasks() == before


def test_the_whole_of_it() -> None:
    engine = FakeEngine(size=128)
    try:
        found = cost.measure(engine, Encoding())
    finally:
        engine.close()
    assert found.encode_seconds > 0 and found.packet_seconds > 0
    assert found.card_frames_per_s is None
