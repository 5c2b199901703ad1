from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.conftest import Serving
from tests.server.fake_engine import FakeEngine
from tests.server.peers import Client
from visavis.engines.client import PHASES
from visavis.server.media.phase import next_in_phase


@given(
    st.floats(0, 1e6), st.integers(0, PHASES - 1), st.sampled_from([40, 60, 80, 100, 120, 160, 200])
)
def test_frames_become_ready_in_their_phase_and_at_most_one_tick_later(
    now: float, phase: int, lookahead_ms: int
) -> None:
    origin = next_in_phase(now, phase, lookahead_ms)
    assert now - 1e-6 <= origin < now + 0.040
    ready = origin * 1000 + lookahead_ms - 10 * phase
    assert min(ready % 40, -ready % 40) == pytest.approx(0, abs=1e-3)
    # Who begins again a whole number of ticks later goes on as if nothing had been.
    assert next_in_phase(origin, phase, lookahead_ms) == pytest.approx(origin, abs=1e-6)


async def test_sessions_of_a_server_begin_in_their_phases(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their look-ahead; the steps of each are read off its own clockwork."""
    engine = FakeEngine(places=PHASES)
    origins: dict[int, float] = {}
    from visavis.server.media import live

    class VoiceLine(live.VoiceLine):
        def __init__(self, microphone: object, *, origin: float, **options: int) -> None:
            origins[options["lookahead_ms"]] = origin * 1000
            super().__init__(microphone, origin=origin, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(live, "VoiceLine", VoiceLine)
    async with serving(engine) as server:
        clients = []
        try:
            for lookahead in (40, 100, 160):
                client = Client(server, np.zeros(0, np.int16), query=f"?lookahead={lookahead}")
                clients.append(await client.__aenter__())
            await clients[-1].until(lambda: len(origins) == 3)
            phases = {session.lookahead_ms: session.phase for session in engine.sessions}
        finally:
            await asyncio.gather(*(client.close() for client in clients))
    assert sorted(phases.values()) == [0, 1, 2]
    for lookahead, origin in origins.items():
        ready = origin + lookahead - 10 * phases[lookahead]
        assert min(ready % 40, -ready % 40) == pytest.approx(0, abs=0.01)
