"""What a session holds is given back when it ends, and not when the collector comes by."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from tests.server.conftest import Serving
from tests.server.peers import Client, tone_bursts
from tests.server.sockets import SocketClient
from visavis.server.media.encoder import Vp8Encoder
from visavis.server.media.live import LiveSession
from visavis.server.media.opus import OpusEncoder

HEAVY = (LiveSession, Vp8Encoder, OpusEncoder)


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held() -> list[str]:
    """Names of all that weighs."""
    # By type and not by isinstance, which wakes what other tests loaded lazily.
    return sorted(type(thing).__name__ for thing in gc.get_objects() if type(thing) in HEAVY)


@pytest.mark.parametrize("kind", [SocketClient, Client])
async def test_a_session_that_ended_holds_nothing(
    serving: Serving, uncollected: None, kind: type[SocketClient | Client]
) -> None:
    async with serving() as server:
        await asyncio.sleep(1.5)  # whatever warms up is over, and the reaper has looked
        before = held()
        async with kind(server, tone_bursts(3)) as client:
            face = client.face if isinstance(client, SocketClient) else client.face.packets
            await client.until(lambda: len(face) > 10)
            assert len(held()) >= len(before) + len(HEAVY)
            await asyncio.sleep(1.5)  # the reaper has seen it
        await client.until(lambda: not len(server.app.state.sessions))
        await client.until(lambda: held() == before, seconds=3.0)
