from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.engines.client import EngineLoad
from visavis.server.capacity import LOAD, Capacity, Measured, capacity_of

# A laptop: 12.5 ms a frame and core, 1.7 ms for its encoding, 4 ms for its packets.
LAPTOP = Measured(
    engine_sessions=5,
    load=EngineLoad(160.0, 2, shares_cores=True),
    encode_seconds=0.0017,
    packet_seconds=0.100,
    cores=2,
)
CARD = dataclasses.replace(
    LAPTOP,
    engine_sessions=200,
    load=EngineLoad(6000.0, 1, shares_cores=False),
    packet_seconds=0.040,
    cores=16,
    loops=10,
)


def test_on_two_cores_everything_must_fit_together() -> None:
    found = capacity_of(LAPTOP)
    assert found == Capacity(engine=5, encode=35, packets=7, together=3)
    assert found.sessions == 3 and found.limit == "engine"
    used = 3 * 25 * (2 / 160 + 0.0017) + 3 * 0.1
    assert used <= LOAD * 2 < used * 4 / 3


def test_an_engine_on_a_card_leaves_the_cores_to_the_others() -> None:
    found = capacity_of(CARD)
    assert (found.engine, found.packets) == (200, 187)
    assert found.encode == int(0.75 * 15 / 0.0425 + 1e-9)
    assert found.sessions == found.together == int(0.75 * 15 / (0.0425 + 0.040) + 1e-9)
    assert found.limit == "packets"


def test_one_loop_is_one_core_however_many_there_are() -> None:
    alone = dataclasses.replace(CARD, loops=1)
    assert capacity_of(alone).packets == int(0.75 / 0.040)
    assert capacity_of(alone).sessions == 18


def test_a_card_that_encodes_has_its_own_number() -> None:
    card = dataclasses.replace(CARD, card_frames_per_s=500.0)
    assert capacity_of(card).encode == 15 == capacity_of(card).sessions
    assert capacity_of(card).limit == "encode"


@pytest.mark.parametrize("asked", [1, 7])
def test_what_was_asked_for_counts(asked: int) -> None:
    found = capacity_of(LAPTOP, asked=asked)
    assert (found.sessions, found.limit) == (asked, "asked")
    assert found.engine == 5, "and what was measured is still said"


costs = st.floats(1e-4, 0.5)


@given(
    st.integers(1, 300),
    st.floats(1.0, 1e4),
    st.integers(1, 64),
    st.booleans(),
    costs,
    costs,
    st.floats(0.5, 64),
    st.integers(1, 16),
)
def test_what_is_let_in_fits(
    engine: int,
    rate: float,
    threads: int,
    shares: bool,
    encode: float,
    packets: float,
    cores: float,
    loops: int,
) -> None:
    load = EngineLoad(rate, threads, shares_cores=shares)
    measured = Measured(engine, load, encode, packets, cores, loops)
    found = capacity_of(measured)
    count = found.sessions
    assert 1 <= count <= max(1, engine)
    if count > 1:
        draws = 25 * min(threads, cores) / rate if shares else 0.0
        assert count * (draws + 25 * encode + packets) <= LOAD * cores * (1 + 1e-6)
        assert count * packets <= LOAD * loops * (1 + 1e-6)
    # More of anything never lets in fewer.
    more = dataclasses.replace(measured, cores=cores + 4, loops=loops + 1)
    if shares and threads <= cores:
        assert capacity_of(more).sessions >= count
