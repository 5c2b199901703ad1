"""More visitors than places: those inside keep theirs, those outside are told at once."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from websockets.asyncio.client import connect

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine
from tests.server.peers import Client, tone_bursts
from tests.server.sockets import hello
from tests.server.test_sdp import offer
from visavis.engines.client import PersonInfo
from visavis.engines.errors import EngineFull, VisavisError
from visavis.server import sessions as module
from visavis.server.config import ServerConfig
from visavis.server.media import live
from visavis.server.metrics import Metrics
from visavis.server.sessions import Sessions

SDP = {"Content-Type": "application/sdp"}


class Clock:
    """Stands still unless moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_twice_as_many_as_fit_ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places are counted before anything is awaited, so no two visitors get the same one."""
    engine = FakeEngine(places=5)
    opened = []

    class Peer(live.Peer):
        def __init__(self, **options: object) -> None:
            opened.append(self)
            super().__init__(**options)  # type: ignore[arg-type]

    monkeypatch.setattr(live, "Peer", Peer)
    clock = Clock()
    sessions = Sessions(ServerConfig(), engine, Metrics(), clock=clock)
    person: PersonInfo = await sessions.people.find(None)

    async def ask() -> str:
        wants = {"lookahead_ms": None, "loopback": True, "prefer_h264": False}
        return (await sessions.open(person, offer(), **wants))[0]  # type: ignore[arg-type]

    try:
        answers = await asyncio.gather(*(ask() for _ in range(10)), return_exceptions=True)
        inside = [a for a in answers if isinstance(a, str)]
        assert len(inside) == 5 and sum(isinstance(a, EngineFull) for a in answers) == 5
        assert len(engine.sessions) == len(opened) == len(sessions) == 5
        # While it is full, asking costs nothing: no peer, no place, no thread, no task.
        tasks = len(asyncio.all_tasks())
        for _ in range(50):
            with pytest.raises(VisavisError, match="5"):
                await ask()
        assert len(asyncio.all_tasks()) <= tasks and len(opened) == 5
        # A place that becomes free is given away once.
        await sessions.close(inside[0])
        answers = await asyncio.gather(*(ask() for _ in range(4)), return_exceptions=True)
        assert sum(isinstance(a, str) for a in answers) == 1
        # The reaper runs by the given clock: nobody connects, and 15 s later all is free.
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
        await asyncio.sleep(0.6)
        assert len(sessions) == 5
        clock.now += 16
        for _ in range(200):
            await asyncio.sleep(0.02)
            if not len(sessions):
                break
        assert len(sessions) == len(engine.sessions) == 0
    finally:
        await sessions.aclose()
        engine.close()


async def test_those_inside_stay_as_they_are(serving: Serving) -> None:
    engine = FakeEngine(places=2)
    pcm = tone_bursts(8, every=0.5, length=0.4)
    async with (
        serving(engine) as server,
        Client(server, pcm) as one,
        Client(server, pcm) as two,
        http(server) as plain,
    ):
        await one.until(lambda: len(one.face.packets) > 20 and len(two.face.packets) > 20)
        before = [await one.stats(), await two.stats()]

        async def knock(number: int) -> int:
            await asyncio.sleep(number * 0.02)
            if number % 2:
                response = await plain.post("/sessions", content=offer(), headers=SDP)
                assert int(response.headers["retry-after"]) > 0
                assert "2" in response.json()["detail"]
                return response.status_code
            address = server.url.replace("http", "ws") + "/ws"
            async with connect(address, compression=None) as socket:
                await socket.send(hello())
                return int(json.loads(await socket.recv())["status"])

        answers = await asyncio.gather(*(knock(number) for number in range(30)))
        assert set(answers) == {503}
        assert len(engine.sessions) == 2 and len(server.app.state.sessions) == 2
        after = [await one.stats(), await two.stats()]
        for client, was, now in zip((one, two), before, after, strict=True):
            assert (now["state"], now["resumes"]) == ("live", 0)
            frames = now["frames_sent"] - was["frames_sent"]  # type: ignore[operator]
            assert frames > 10
            assert not np.any(np.diff([packet.timestamp for packet in client.voice.packets]) < 0)
            # Here peers and knocks share the server's loop; what that delayed does not stay.
            for _ in range(100):
                if now["server_delay_ms"] < was["server_delay_ms"] + 60:  # type: ignore[operator]
                    break
                await asyncio.sleep(0.1)
                now = await client.stats()
            else:
                pytest.fail("the delay of those inside has grown")
        metrics = (await plain.get("/metrics")).text
        assert 'visavis_sessions_refused_total{status="503"} 30.0' in metrics


async def test_the_engines_own_capacity_is_the_limit(serving: Serving) -> None:
    class Grows(FakeEngine):
        places = 1

        def capacity(self) -> int:
            return self.places

    engine = Grows(places=3)
    async with serving(engine) as server, http(server) as plain:

        async def ask() -> int:
            return (await plain.post("/sessions", content=offer(), headers=SDP)).status_code

        assert [await ask(), await ask()] == [201, 503]
        engine.places = 2  # it has measured again
        assert [await ask(), await ask()] == [201, 503]
        assert "visavis_capacity_sessions 2.0" in (await plain.get("/metrics")).text
