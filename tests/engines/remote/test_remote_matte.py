"""Alpha and the plate across processes: as near, so far, and while the engine is away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.fakes import Collector
from tests.engines.matted import FACE, tiny_matted
from tests.engines.remote.pairs import house, sound, until
from tests.engines.remote.tick_engine import TickEngine, person
from tests.engines.tiny_person import tiny_person, voice
from visavis.engines.client import EngineClient
from visavis.engines.errors import ControlError, EngineError
from visavis.engines.local import LocalEngine
from visavis.engines.remote.client import RemoteEngine
from visavis.engines.remote.strip import Strip, new_strip, put_picture
from visavis.engines.remote.strip_maker import STRIP_BYTES, StripMaker

FIRST, TICK = 1600, 640


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[LocalEngine, RemoteEngine]]:
    local = LocalEngine([tiny_matted(), tiny_person("plain")], capacity=8, threads=1)
    with house(local) as built:
        yield local, built.client()


def play(engine: EngineClient, chosen: list[bool]) -> list[Any]:
    """What a session shows that chooses anew before every tick."""
    seen = Collector()
    session = engine.open("tiny", seen.on_frame, seed=5)
    speech = voice(2.0, seed=5)
    pushed = 0
    for tick, matte in enumerate(chosen):
        session.control({"matte": matte})
        end = FIRST + TICK * tick
        session.push(speech[pushed:end])
        pushed = end
        seen.wait(frames=tick + 1)
    session.close()
    return [
        (frame.index, frame.i420.tobytes(), None if frame.alpha is None else frame.alpha.tobytes())
        for frame in seen.frames
    ]


def test_alpha_is_that_of_the_local_engine(both: tuple[LocalEngine, RemoteEngine]) -> None:
    chosen = [True, True, False, True, False, False, False, True, True, True, True]
    near, far = (play(engine, chosen) for engine in both)
    assert near == far
    assert [alpha is not None for _, _, alpha in far] == chosen
    assert len({alpha for _, _, alpha in far}) == 1 + sum(chosen)


def test_the_list_and_the_plate_are_those_of_the_local_engine(
    both: tuple[LocalEngine, RemoteEngine],
) -> None:
    local, remote = both
    assert remote.persons() == tuple(local.persons())
    assert remote.persons()[0].has_matte and remote.persons()[0].face == FACE
    assert remote.plate("tiny") == local.plate("tiny") is not None
    assert remote.plate("plain") is local.plate("plain") is None
    with pytest.raises(ControlError, match="has no matte"):
        remote.open("plain", Collector().on_frame).control({"matte": True})


def _half(frame: Any) -> tuple[bytes, bytes | None]:
    return frame.i420.tobytes(), None if frame.alpha is None else frame.alpha.tobytes()


@pytest.mark.parametrize("chosen", [True, False])
def test_while_the_engine_is_away_there_is_alpha_for_who_chose_it(chosen: bool) -> None:
    matted = person("ada", matte=True)
    with house(TickEngine((matted,)), strip_seconds=0.2) as built:
        client, seen = built.client(), Collector()
        session = client.open("ada", seen.on_frame)
        session.control({"matte": chosen})
        session.push(np.zeros(FIRST, np.float32))
        seen.wait(frames=1)
        until(lambda: "ada" in client._seating._strips)
        built.end_engine()
        until(lambda: session.place is None)
        for count in range(2, 12):
            session.push(sound(TICK))
            seen.wait(frames=count)
        session.close()
        resting = [_half(frame) for frame in seen.frames[1:]]
    # What an engine shows of somebody who hears nothing, as the strip was recorded.
    engine, heard = TickEngine((matted,)), Collector()
    recorded = engine.open("ada", heard.on_frame, seed=0)
    recorded.control({"matte": True})
    recorded.push(np.zeros(FIRST, np.float32))
    for tick in range(1, 6):
        heard.wait(frames=tick)
        recorded.push(np.zeros(TICK, np.float32))
    engine.close()
    alphas = dict(_half(frame) for frame in heard.frames)
    assert len(set(resting)) == 5
    for picture, alpha in resting:
        assert alpha == (alphas[picture] if chosen else None)


def test_without_a_strip_the_last_picture_stands_still_with_its_alpha() -> None:
    with house(TickEngine((person("ada", matte=True),))) as built:
        client, seen = built.client(), Collector()
        session = client.open("ada", seen.on_frame)
        session.control({"matte": True})
        session.push(sound(FIRST))
        seen.wait(frames=1)
        built.end_engine()
        until(lambda: session.place is None)
        session.push(sound(TICK))
        seen.wait(frames=2)
        assert seen.frames[1].alpha is not None
        assert _half(seen.frames[1]) == _half(seen.frames[0])


def test_the_next_engine_is_told_of_the_matte() -> None:
    matted = person("ada", matte=True)
    with house(TickEngine((matted,))) as built:
        session = built.client().open("ada", Collector().on_frame)
        session.control({"matte": True})
        built.end_engine()
        until(lambda: session.place is None)
        later = TickEngine((matted,))
        built.begin_engine(later)
        until(lambda: session.place is not None)
        (there,) = later.sessions
        assert there.choice["matte"] is True


def _alpha(number: int) -> NDArray[np.uint8]:
    return np.full((48, 64), 200 - number, np.uint8)


def test_a_strip_keeps_alpha_apart_from_pictures() -> None:
    fd = new_strip(64, 48, 3, matte=True)
    for number in range(3):
        put_picture(fd, number, np.full((72, 64), number, np.uint8), _alpha(number))
    strip = Strip.open(fd)
    assert (len(strip), strip.shape) == (3, (72, 64))
    for number in range(3):
        assert (strip.picture(number) == number).all()
        alpha = strip.alpha(number)
        assert alpha is not None
        np.testing.assert_array_equal(alpha, _alpha(number))
        alpha[:] = 0
        assert (strip.alpha(number) == _alpha(number)).all()
    assert strip.nearest(np.full((72, 64), 2, np.uint8)) == 2


def test_a_recording_without_the_alpha_that_it_was_promised_is_given_up() -> None:
    class Forgetful(TickEngine):
        def open(self, *args: Any, **options: Any) -> Any:
            session = super().open(*args, **options)
            session.control = lambda changes: {}  # type: ignore[method-assign]
            return session

    matted = person("ada", matte=True)
    engine = Forgetful((matted,))
    maker = StripMaker(engine, seconds=0.2, tick_seconds=0.0005)
    maker.want(matted)
    until(lambda: engine.opened and not engine.sessions)
    maker.close()
    assert maker.get(matted) is None


def test_strips_with_alpha_stay_within_their_budget() -> None:
    maker = StripMaker(TickEngine(), seconds=60.0)
    try:
        for matte, size in ((False, 1536), (True, 2560)):
            info = person("big", width=1024, height=1024, matte=matte)
            assert maker._length(info) == STRIP_BYTES // (1024 * size)
    finally:
        maker.close()


def test_an_engine_that_does_not_say_whether_there_is_alpha_is_not_believed() -> None:
    from visavis.engines.remote.requests import flag

    assert flag({"matte": True}, "matte") is True
    for body in ({}, {"matte": 1}, {"matte": None}):
        with pytest.raises(EngineError, match="no sensible 'matte'"):
            flag(body, "matte")
