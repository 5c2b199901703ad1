"""A person at rest: recorded beside live sessions, shown while no engine answers."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest

from tests.engines.fakes import Collector
from tests.engines.remote.pairs import House, house, sound, until
from tests.engines.remote.tick_engine import TickEngine, person
from visavis.engines.client import Frame
from visavis.engines.errors import EngineError
from visavis.engines.remote.client import RemoteEngine
from visavis.engines.remote.strip import IdlePlayer, Strip, new_strip, put_picture
from visavis.engines.remote.strip_maker import StripMaker

FIRST, TICK = 1600, 640


def pictures(count: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.stack([np.full((72, 64), 10 * number, np.uint8) for number in range(count)])


def shared(count: int) -> int:
    fd = new_strip(64, 48, count)
    for number, picture in enumerate(pictures(count)):
        put_picture(fd, number, picture)
    return fd


def test_a_strip_comes_back() -> None:
    fd = shared(5)
    strip = Strip.open(fd)
    os.close(fd)
    assert (len(strip), strip.shape) == (5, (72, 64))
    for number, picture in enumerate(pictures(5)):
        np.testing.assert_array_equal(strip.picture(number), picture)
    strip.picture(0)[:] = 7  # it is the caller's
    assert strip.picture(0).max() == 0


@pytest.mark.parametrize(
    ("at", "value"), [(0, 0), (8, 66), (24, 2), (32, 6), (32, 2**62), (8, 2**40)]
)
def test_what_is_no_strip_is_refused(at: int, value: int) -> None:
    fd = shared(5)
    os.pwrite(fd, value.to_bytes(8, "little"), at)
    with pytest.raises(EngineError, match="strip|picture"):
        Strip.open(fd)
    os.close(fd)
    for count in (0, 1 << 20):
        with pytest.raises(EngineError, match="cannot be shared"):
            new_strip(64, 48, count)


def test_it_begins_where_it_is_most_like_the_last_picture_and_never_jumps() -> None:
    player = IdlePlayer(Strip(pictures(5)), np.full((72, 64), 28, np.uint8))
    shown = [int(player.next()[0][0, 0]) // 10 for _ in range(14)]
    assert shown == [3, 4, 3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1, 0]
    assert [IdlePlayer(Strip(pictures(5)), None).next()[0][0, 0] for _ in range(2)] == [0, 0]
    still = IdlePlayer(Strip(pictures(1)), None)
    assert [int(still.next()[0][0, 0]) for _ in range(3)] == [0, 0, 0]


def _name(frame: Frame) -> str:
    return hashlib.sha256(frame.i420.tobytes()).hexdigest()[:8]


def recorded(engine: TickEngine, count: int, name: str = "ada", seed: int = 0) -> list[str]:
    """What the engine shows of somebody who hears nothing."""
    seen = Collector()
    session = engine.open(name, seen.on_frame, seed=seed)
    session.push(np.zeros(FIRST, np.float32))
    for tick in range(count - 1):
        seen.wait(frames=tick + 1)
        session.push(np.zeros(TICK, np.float32))
    seen.wait(frames=count)
    session.close()
    return [_name(frame) for frame in seen.frames]


def at_rest(house: House, client: RemoteEngine, name: str = "ada") -> None:
    """Wait until the client has a person at rest."""
    until(lambda: name in client._seating._strips)


def test_while_the_engine_is_away_the_person_is_shown_at_rest() -> None:
    with house(TickEngine(), strip_seconds=0.2) as built:
        client, seen = built.client(), Collector()
        session = client.open("ada", seen.on_frame)
        session.push(np.zeros(FIRST, np.float32))
        seen.wait(frames=1)
        at_rest(built, client)
        built.end_engine()
        until(lambda: session.place is None)
        for count in range(2, 14):
            session.push(sound(TICK))
            seen.wait(frames=count)
        shown = [_name(frame) for frame in seen.frames[1:]]
        strip = recorded(TickEngine(), 5)
        order = [strip.index(picture) for picture in shown]
        assert all(abs(a - b) == 1 for a, b in zip(order, order[1:], strict=False))
        assert set(order) == {0, 1, 2, 3, 4}


def test_a_strip_is_shared_by_all_and_outlives_its_engine() -> None:
    with house(TickEngine(), strip_seconds=0.2) as built:
        one, other = built.client(), built.client()
        sessions = [client.open("ada", Collector().on_frame) for client in (one, other, one)]
        at_rest(built, one)
        at_rest(built, other)
        built.end_engine()
        assert len(built.clients[0]._seating._strips["ada"]) == 5
        for session in sessions:
            session.close()


def test_workers_keep_strips_of_those_whom_they_show() -> None:
    with house(TickEngine(), strip_seconds=0.2) as built:
        client = built.client()
        session = client.open("ben", Collector().on_frame)
        at_rest(built, client, "ben")
        session.close()
        until(lambda: not client._seating._strips)


def test_a_visitor_goes_before_a_recording() -> None:
    """In an engine of one place that is recording for a minute."""
    engine = TickEngine(capacity=1)
    with house(engine, strip_seconds=60.0) as built:
        client = built.client()
        client.prepare("ada")
        until(lambda: engine.sessions)
        (recording,) = engine.sessions
        seen = Collector()
        session = client.open("ada", seen.on_frame)
        session.push(sound(FIRST))
        seen.wait(frames=1)
        assert recording.closed


def test_strips_stay_within_their_budget() -> None:
    """The one that was used least recently goes; a replaced person is recorded anew."""
    engine = TickEngine((person("ada"), person("ben"), person("cleo")))
    size = 4096 + 5 * 64 * 72
    maker = StripMaker(engine, seconds=0.2, tick_seconds=0.0005, all_bytes=2 * size)
    infos = {info.name: info for info in engine.infos}

    def has(name: str) -> bool:
        fd = maker.get(infos[name])
        if fd is not None:
            os.close(fd)
        return fd is not None

    def record(name: str) -> None:
        maker.want(infos[name])
        until(lambda: has(name))

    record("ada")
    record("ben")
    assert has("ada")
    record("cleo")
    assert (has("ada"), has("ben"), has("cleo")) == (True, False, True)
    assert maker.get(person("ada", width=96)) is None
    before = len(os.listdir("/proc/self/fd"))
    maker.close()
    assert len(os.listdir("/proc/self/fd")) == before - 2
    engine.close()


def test_an_engine_that_cannot_record_goes_on() -> None:
    engine = TickEngine(capacity=1)
    with house(engine, strip_seconds=0.2) as built:
        client, seen = built.client(), Collector()
        session = client.open("ada", seen.on_frame)
        for _ in range(3):
            client.prepare("ada")
        session.push(sound(FIRST))
        seen.wait(frames=1)
        session.close()
        # There is a place for it now.
        client.prepare("ada")
        until(lambda: engine.opened > 1)
