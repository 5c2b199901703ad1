"""A recording when its process is killed, and whom one asks about it in a server of many."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx

from tests.server.front.running import running
from tests.server.recordings import play, swell
from tests.server.sockets import SocketClient

LOST_SECONDS = 2


async def test_a_killed_process_loses_two_seconds_at_most(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    config = {"recordings": str(folder)}
    with running(tmp_path, workers=1, places=2, config=config) as fleet:
        async with httpx.AsyncClient(base_url=fleet.server.url, verify=False) as requests:
            async with SocketClient(fleet.server, swell(30)) as client:
                await client.until(lambda: len(client.face) > 5)
                path = client.config["session"] + "/recording"
                # One that is ended over the front: the session and its place stay.
                assert (await requests.post(path)).status_code == 201
                assert (await requests.delete(path)).status_code == 200
                metrics = (await requests.get("/metrics")).text
                assert "visavis_places_taken_sessions 1.0" in metrics
                for kept in (await requests.get("/recordings")).json()["recordings"]:
                    assert (await requests.delete(f"/recordings/{kept['name']}")).is_success
                started = await requests.post(path)
                assert started.status_code == 201, started.text
                name = started.json()["name"]
                assert (await requests.post(path)).status_code == 409
                seconds = 0.0
                while seconds < 3.2:
                    await asyncio.sleep(0.05)
                    seconds = (await requests.get(path)).json()["seconds"]
                [listed] = (await requests.get("/recordings")).json()["recordings"]
                assert (listed["name"], listed["state"]) == (name, "recording")
                metrics = (await requests.get("/metrics")).text
                assert 'visavis_recordings{worker="0"} 1.0' in metrics
                seconds = (await requests.get(path)).json()["seconds"]
                [worker] = fleet.children("worker")
                fleet.kill(worker)
                await client.until(lambda: client.closed is not None)
            for _ in range(100):
                [listed] = (await requests.get("/recordings")).json()["recordings"]
                if listed["state"] != "recording":
                    break
                await asyncio.sleep(0.05)
            assert listed["state"] == "interrupted" and listed["bytes"] > 0
            file = (await requests.get(f"/recordings/{name}")).content
            assert len(file) == listed["bytes"]
            played = play(file)
            assert played.seconds > seconds - LOST_SECONDS
            assert len(played.ticks) > 25 * (seconds - LOST_SECONDS) * 0.5
            assert abs(played.lag_ms()) < 20
            assert "AI-generated" in played.metadata["comment"]
            assert (await requests.delete(f"/recordings/{name}")).status_code == 204
            assert not os.listdir(folder)
