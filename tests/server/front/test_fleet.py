"""One fleet of real processes, what it does, and what is killed in it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.server.front.running import Running, running
from tests.server.one_way import Speaker, Watcher
from tests.server.peers import Client, tone_bursts
from tests.server.sockets import SocketClient, hello
from tests.server.test_sdp import offer

PLACES = 6
SDP = {"Content-Type": "application/sdp"}
SILENCE = np.zeros(0, np.int16)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("fleet"), workers=2, places=PLACES) as fleet:
        yield fleet


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def lives_in(client: Client) -> str:
    return client.location.removeprefix("/sessions/").partition(".")[0]


async def post(fleet: Running, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=fleet.server.url, verify=False, timeout=20) as http:
        return await http.post("/sessions", content=offer(), headers={**SDP, **headers})


async def delete(fleet: Running, *locations: str) -> list[int]:
    async with httpx.AsyncClient(base_url=fleet.server.url, verify=False, timeout=20) as http:
        return [(await http.delete(location)).status_code for location in locations]


async def look(fleet: Running, path: str) -> httpx.Response:
    return await asyncio.to_thread(fleet.get, path)


async def test_two_sessions_live_in_two_workers(fleet: Running) -> None:
    async with (
        Client(fleet.server, tone_bursts(5)) as one,
        Client(fleet.server, SILENCE) as other,
    ):
        assert {lives_in(one), lives_in(other)} == {"0", "1"}
        await one.until(lambda: len(one.face.packets) > 20 and len(one.voice.packets) > 50)
        await other.until(lambda: len(other.face.packets) > 20)
        stats = await one.stats()
        assert stats["state"] == "live" and int(str(stats["frames_sent"])) > 10
        async with httpx.AsyncClient(base_url=fleet.server.url, verify=False) as http:
            assert (await http.post(f"{one.location}/clear")).status_code == 204
            chosen = await http.post(f"{one.location}/controls", json={"performance": "wave"})
            assert chosen.json() == (await http.get(f"{one.location}/controls")).json()
            assert chosen.json()["performance"] == "wave"
            refused = await http.post(f"{one.location}/controls", json={"head": "still"})
            assert refused.status_code == 422 and "no head 'still'" in refused.json()["detail"]
            assert (await http.patch(one.location, headers=SDP)).status_code == 415
            for nobody in ("/sessions/0.nobody", "/sessions/7.nobody", "/sessions/nobody"):
                answer = await http.get(nobody)
                assert answer.status_code == 404 and "may have ended" in answer.json()["detail"]
        assert await asyncio.to_thread(fleet.number, 'visavis_sessions{state="live",worker="0"}')
        assert await asyncio.to_thread(fleet.number, "visavis_places_taken_sessions") == 2
        assert await asyncio.to_thread(fleet.number, "visavis_sessions_opened_total") == 2
    assert (await look(fleet, one.location)).status_code == 404


async def test_whoever_watches_is_led_to_the_worker_of_the_voice(fleet: Running) -> None:
    async with (
        Client(fleet.server, SILENCE) as other,
        Speaker(fleet.server, tone_bursts(10)) as speaker,
    ):
        assert lives_in(speaker) != lives_in(other)
        assert speaker.view.startswith(f"{lives_in(speaker)}.")
        async with Watcher(fleet.server, speaker.view) as watcher:
            await watcher.until(lambda: len(watcher.face.packets) > 10)
            assert watcher.key_frame_first()
            taken = await asyncio.to_thread(fleet.number, "visavis_places_taken_sessions")
            gauge = f'visavis_viewers{{worker="{lives_in(speaker)}"}}'
            assert await asyncio.to_thread(fleet.number, gauge) == 1
            found = await look(fleet, f"/whep/{speaker.view}")
            assert found.status_code == 200 and found.headers["content-type"] == "application/sdp"
        # A viewer that leaves gives back no session's place.
        assert await asyncio.to_thread(fleet.number, "visavis_places_taken_sessions") == taken
        assert await asyncio.to_thread(fleet.number, gauge) == 0
        assert (await look(fleet, watcher.location)).status_code == 404
        assert (await look(fleet, "/whep/7.nobody")).status_code == 404


async def test_a_session_is_resumed_where_it_lives(fleet: Running) -> None:
    async with Client(fleet.server, SILENCE) as first:
        await first.until(lambda: len(first.face.packets) > 5)
        first.vanish()
        async with Client(fleet.server, SILENCE, resume=first) as second:
            await second.until(lambda: len(second.face.packets) > 5)
            assert (await look(fleet, f"{first.location}/stats")).json()["resumes"] == 1
        await first.close(delete=False)


async def test_a_socket_session_passes_through(fleet: Running) -> None:
    async with SocketClient(fleet.server, tone_bursts(3)) as client:
        location = client.config["session"]
        for _ in range(300):
            await asyncio.sleep(0.02)
            if len(client.face) > 20 and len(client.voice) > 40:
                break
        assert len(client.face) > 20 and len(client.voice) > 40
        assert (await look(fleet, f"{location}/stats")).json()["path"] == "websocket"
    for _ in range(100):
        if (await look(fleet, location)).status_code == 404:
            break
        await asyncio.sleep(0.05)
    assert (await look(fleet, location)).status_code == 404


async def test_a_worker_sees_the_visitors_address(fleet: Running) -> None:
    """Only a visitor of this machine is offered the loopback address."""
    near, far = await post(fleet), await post(fleet, **{"X-Forwarded-For": "192.0.2.7"})
    assert " 127.0.0.1 " in near.text and " 127.0.0.1 " not in far.text
    assert await delete(fleet, near.headers["location"], far.headers["location"]) == [200, 200]


async def test_no_more_are_let_in_than_fit(fleet: Running) -> None:
    answers = await asyncio.gather(*(post(fleet) for _ in range(2 * PLACES)))
    inside = [a.headers["location"] for a in answers if a.status_code == 201]
    try:
        assert Counter(a.status_code for a in answers) == {201: PLACES, 503: PLACES}
        homes = Counter(location.removeprefix("/sessions/")[0] for location in inside)
        assert homes == {"0": PLACES // 2, "1": PLACES // 2}
        # Whoever refused, the front or a worker that is full, says how many there are in all.
        for refused in answers:
            if refused.status_code == 503:
                assert int(refused.headers["retry-after"]) > 0
                said = refused.json()["detail"]
                assert said.startswith(f"All {PLACES} places are taken, for the engine")
        async with connect(fleet.server.url.replace("http", "ws", 1) + "/ws") as socket:
            await socket.send(hello())
            message = json.loads(await socket.recv())
            assert message["status"] == 503 and "places are taken" in message["detail"]
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4503
        # A place that becomes free is given away once.
        assert await delete(fleet, inside.pop(0)) == [200]
        again = await asyncio.gather(*(post(fleet) for _ in range(4)))
        inside += [a.headers["location"] for a in again if a.status_code == 201]
        assert sorted(a.status_code for a in again) == [201, 503, 503, 503]
    finally:
        # The other tests of this fleet need the places.
        ended = await delete(fleet, *inside)
    assert ended == [200] * PLACES


async def test_without_memory_for_one_more_the_others_go_on(fleet: Running) -> None:
    async with Client(fleet.server, SILENCE) as client:
        fleet.no_memory.touch()
        try:
            answer = await post(fleet)
            # The engine carries as many as there is memory for: the one that is there.
            assert answer.status_code == 503 and "The only place" in answer.json()["detail"]
        finally:
            fleet.no_memory.unlink()
        seen = len(client.face.packets)
        await client.until(lambda: len(client.face.packets) > seen + 10)
        answer = await post(fleet)
        assert answer.status_code == 201
        assert await delete(fleet, answer.headers["location"]) == [200]


async def test_a_worker_that_is_killed_takes_its_own_sessions_alone(fleet: Running) -> None:
    async with (
        Client(fleet.server, SILENCE) as one,
        Client(fleet.server, SILENCE) as other,
    ):
        lost, kept = (one, other) if lives_in(one) == "0" else (other, one)
        assert (lives_in(lost), lives_in(kept)) == ("0", "1")
        await kept.until(lambda: len(kept.face.packets) > 5)
        victim, survivor = fleet.children("worker")
        fleet.kill(victim)
        for _ in range(100):
            answer = await look(fleet, f"{lost.location}/stats")
            if answer.status_code == 404:
                break
            await asyncio.sleep(0.02)
        assert answer.status_code == 404 and "may have ended" in answer.json()["detail"]
        assert (await look(fleet, "/readyz")).status_code == 200
        # The other worker takes who comes meanwhile.
        answer = await post(fleet)
        assert answer.status_code == 201 and "/1." in answer.headers["location"]
        assert await delete(fleet, answer.headers["location"]) == [200]
        await asyncio.to_thread(fleet.until, lambda: len(fleet.children("worker")) == 2)
        await asyncio.to_thread(
            fleet.until, lambda: fleet.number("visavis_places_sessions") == PLACES
        )
        assert survivor in fleet.children("worker") and victim not in fleet.children("worker")
        assert fleet.number('visavis_process_restarts_total{process="worker-0"}') == 1
        async with Client(fleet.server, SILENCE) as later:
            assert lives_in(later) == "0"
            await later.until(lambda: len(later.face.packets) > 5)
        seen = len(kept.face.packets)
        await kept.until(lambda: len(kept.face.packets) > seen + 10)
        await lost.close(delete=False)


async def test_an_engine_that_is_killed_comes_back_under_its_sessions(fleet: Running) -> None:
    async with Client(fleet.server, tone_bursts(60)) as client:
        await client.until(lambda: len(client.face.packets) > 10)
        engine = fleet.children("engine")[0]
        fleet.kill(engine)
        gone = time.monotonic()
        away = []
        while not away or (await look(fleet, "/readyz")).status_code != 200:
            ready = await look(fleet, "/readyz")
            if ready.status_code == 503:
                away.append(ready.json())
                refused = await post(fleet)
                if refused.status_code == 503:
                    assert "being started" in refused.json()["detail"]
                else:  # it is back already
                    assert await delete(fleet, refused.headers["location"]) == [200]
            assert time.monotonic() < gone + 20, fleet.log.read_text()
            await asyncio.sleep(0.1)
        back = time.monotonic()
        assert away[0]["status"] == "restarting"
        assert fleet.children("engine")[0] != engine
        # All the while a picture came, and the voice.
        for stream, most in ((client.face, 0.5), (client.voice, 0.3)):
            times = [p.at for p in stream.packets if gone - 0.2 < p.at < back]
            assert max(np.diff([gone - 0.1, *times, back])) < most + 0.2
        await client.until(lambda: client.face.packets[-1].at > back + 1)
        stats = await client.stats()
        assert stats["state"] == "live"
        assert float(str(stats["render_ms"])) > 0  # the new engine draws


async def test_sigterm_lets_sessions_end_and_leaves_nothing(fleet: Running) -> None:
    """The last test of this fleet."""
    children = fleet.children()
    async with Client(fleet.server, SILENCE) as client:
        await client.until(lambda: len(client.face.packets) > 5)
        fleet.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        assert (await look(fleet, "/readyz")).json()["status"] == "stopping"
        assert (await post(fleet)).status_code == 503
        seen = len(client.face.packets)
        await client.until(lambda: len(client.face.packets) > seen + 10)
    assert await asyncio.to_thread(fleet.process.wait, 15) == 0
    assert not any(map(alive, children))
    assert not list(fleet.log.parent.glob("visavis-*"))


def test_a_front_that_is_killed_leaves_no_orphans(tmp_path: Path) -> None:
    with running(tmp_path, workers=1, places=2) as fleet:
        children = fleet.children()
        assert len(children) == 2
        os.kill(fleet.process.pid, signal.SIGKILL)
        fleet.until(lambda: not any(map(alive, children)), 10)
        fleet.until(lambda: not list(tmp_path.glob("visavis-*")), 5)
