"""Recordings of real sessions: what was shown and said, in step, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine
from tests.server.one_way import Speaker
from tests.server.peers import Client
from tests.server.recordings import RATE, Played, play, swell
from tests.server.sockets import SocketClient
from visavis.server.recording import recording as recording_module

IN_STEP_MS = 20


def assert_whole(played: Played, seconds: float) -> None:
    """25 pictures a second, each the next one, a key frame each second, in step all along."""
    assert played.codecs == ("h264", "aac") and "AI-generated" in played.metadata["comment"]
    assert abs(played.seconds - seconds) < 0.3 and played.ticks[0] == 0
    assert len(played.ticks) > 0.5 * 25 * seconds
    assert max(np.diff(played.ticks)) <= 25 and min(np.diff(played.ticks)) >= 1
    assert played.keys[0] == 0 and max(np.diff([*played.keys, played.ticks[-1]])) <= 27
    # Each picture is as far from the first as the engine's were.
    assert np.array_equal(np.diff(played.indices), np.diff(played.ticks))
    half = len(played.ticks) // 2
    assert abs(played.lag_ms(0, half)) < IN_STEP_MS and abs(played.lag_ms(half)) < IN_STEP_MS


async def number(client: httpx.AsyncClient, name: str) -> float:
    text = (await client.get("/metrics")).text
    found = re.search(rf"^{name} ([0-9.e+]+)$", text, re.MULTILINE)
    assert found, name
    return float(found[1])


async def until_status(client: httpx.AsyncClient, path: str, **wanted: Any) -> dict[str, Any]:
    """Wait until the status of a recording has these values."""
    for _ in range(500):
        status: dict[str, Any] = (await client.get(path)).json()
        if all(status[name] == value for name, value in wanted.items()):
            return status
        await asyncio.sleep(0.02)
    raise AssertionError(status)


async def test_two_sessions_are_recorded_in_step(serving: Serving, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "recordings"
    engine = FakeEngine(size=192)
    async with serving(engine, recordings=str(folder)) as server, http(server) as requests:
        async with (
            SocketClient(server, swell(7)) as one,
            Client(server, swell(7, every=0.6), query="?codec=vp8") as other,
        ):
            await one.until(lambda: len(one.face) > 5)
            paths = [f"{where}/recording" for where in (one.config["session"], other.location)]
            before = (await requests.get(paths[0])).json()
            assert before == {
                "recording": False,
                "name": None,
                "started": None,
                "seconds": 0.0,
                "bytes": 0,
                "dropped_frames": 0,
                "failed": None,
            }
            assert (await requests.delete(paths[0])).status_code == 404
            names = []
            for path in paths:
                started = await requests.post(path)
                assert started.status_code == 201 and started.json()["recording"]
                names.append(started.json()["name"])
                assert (await requests.post(path)).status_code == 409
            assert names[0] != names[1]
            assert await number(requests, "visavis_recordings") == 2
            await asyncio.sleep(3)
            status = await until_status(requests, paths[0], recording=True, failed=None)
            assert status["seconds"] > 2.5 and status["bytes"] > 1000
            listed = (await requests.get("/recordings")).json()["recordings"]
            assert {(e["name"], e["state"]) for e in listed} == {(n, "recording") for n in names}
            assert (await requests.delete(f"/recordings/{names[0]}")).status_code == 409
            ended = await requests.delete(paths[0])
            assert ended.status_code == 200 and ended.json()["failed"] is None
            assert not ended.json()["recording"]
            # It is whole before the answer comes.
            file = await requests.get(f"/recordings/{names[0]}")
            assert len(file.content) == ended.json()["bytes"] == (folder / names[0]).stat().st_size
            assert_whole(play(file.content), ended.json()["seconds"])
            assert (await requests.delete(paths[0])).json() == ended.json()
            # Another one of the same session is another file.
            again = (await requests.post(paths[0])).json()["name"]
            assert again not in names
        # Both sessions have ended, and their recordings with them.
        for _ in range(500):
            if await number(requests, "visavis_recordings") == 0:
                break
            await asyncio.sleep(0.02)
        listed = (await requests.get("/recordings")).json()["recordings"]
        assert {e["state"] for e in listed if e["name"] in names} == {"whole"}
        played = play(folder / names[1])
        assert_whole(played, played.seconds)
        assert played.size == (192, 192) and played.seconds > 3
        assert await number(requests, "visavis_recordings") == 0, "they end with their sessions"
        total = sum(entry["bytes"] for entry in listed)
        assert await number(requests, "visavis_recordings_bytes_total") == total
        for entry in listed:
            mode = stat.S_IMODE((folder / entry["name"]).stat().st_mode)
            assert mode == 0o600
            assert (await requests.delete(f"/recordings/{entry['name']}")).status_code == 204
        assert (await requests.get("/recordings")).json() == {"recordings": []}
        assert not list(folder.iterdir()) and stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_every_session_is_recorded_from_its_first_picture(
    serving: Serving, tmp_path: Path
) -> None:
    """A voice over WHIP that nobody watches, until the server ends."""
    async with serving(recordings=str(tmp_path), record_all=True) as server, http(server) as client:
        async with Speaker(server, swell(8, every=0.4)) as speaker:
            path = f"{speaker.location}/recording"
            for _ in range(500):
                if (await client.get(path)).json()["seconds"] > 1:
                    break
                await asyncio.sleep(0.02)
            # Nobody but the server ends it.
            refused = await client.delete(path)
            assert refused.status_code == 403 and "every session" in refused.json()["detail"]
            await asyncio.sleep(0.5)
            name = (await client.get(path)).json()["name"]
            # The server ends while it is recorded.
            await server.app.state.sessions.aclose()
        played = play(tmp_path / name)
        assert_whole(played, played.seconds)
        assert played.seconds > 1.5 and played.indices[0] < 5


async def test_what_was_interrupted_is_not_in_it(serving: Serving, tmp_path: Path) -> None:
    tone = (16_000 * np.sin(np.arange(30 * RATE) * 2 * np.pi * 440 / RATE)).astype(np.int16)
    async with (
        serving(FakeEngine(lookahead_ms=160), recordings=str(tmp_path)) as server,
        SocketClient(server, tone) as client,
        http(server) as requests,
    ):
        await client.until(lambda: len(client.face) > 20)
        path = client.config["session"] + "/recording"
        # Also of a session that was interrupted before.
        await requests.post(client.config["session"] + "/clear")
        await client.until(lambda: client.face[-1].packet.generation == 1)
        name = (await requests.post(path)).json()["name"]
        await asyncio.sleep(0.7)
        await requests.post(client.config["session"] + "/clear")
        await asyncio.sleep(0.7)
        await requests.delete(path)
    played = play(tmp_path / name)
    loud = np.flatnonzero(np.abs(played.pcm) > 0.1)
    pauses = np.diff(loud)
    # What waited to be said: the look-ahead, less what a voice is sent ahead of its picture.
    assert 0.06 < pauses.max() / RATE < 0.6 and (pauses > 0.01 * RATE).sum() == 1
    before, after = loud[pauses.argmax()], loud[pauses.argmax() + 1]
    assert before > 0.4 * RATE and len(played.pcm) - after > 0.3 * RATE
    assert len(played.ticks) > 25


async def test_it_shows_the_look_that_was_chosen_but_is_never_transparent(
    serving: Serving, tmp_path: Path
) -> None:
    """Filmed, then on green, then transparent: which is black, and no larger."""
    engine = FakeEngine(size=256, matte=True)
    async with (
        serving(engine, recordings=str(tmp_path)) as server,
        SocketClient(server, swell(30)) as client,
        http(server) as requests,
    ):
        await client.until(lambda: len(client.face) > 5)
        path = client.config["session"]
        name = (await requests.post(f"{path}/recording")).json()["name"]
        for background in ("filmed", "#00ff00", "transparent"):
            chosen = await requests.post(f"{path}/controls", json={"background": background})
            assert chosen.status_code == 200, chosen.text
            shown = len(client.face)
            await client.until(lambda shown=shown: len(client.face) > shown + 15)  # type: ignore[misc]
        await requests.delete(f"{path}/recording")
    played = play(tmp_path / name)
    assert played.size == (256, 256)
    colours = [tuple(np.round(corner / 16).astype(int)) for corner in played.corners]
    order = [colour for n, colour in enumerate(colours) if n == 0 or colours[n - 1] != colour]
    seen = {colour for colour in order if colours.count(colour) > 8}
    green, black = (9, 3, 2), (1, 8, 8)  # Y, U and V in sixteenths
    assert len(seen) == 3 and {green, black} <= seen
    assert order.index(green) < order.index(black)
    # The person is there all along.
    assert np.array_equal(np.diff(played.indices), np.diff(played.ticks))


async def test_a_session_that_never_begins_leaves_no_file(serving: Serving, tmp_path: Path) -> None:
    async with serving(recordings=str(tmp_path), record_all=True) as server:
        async with SocketClient(server, swell(1), silent=True) as client:
            session = server.app.state.sessions.get(client.config["session"].rpartition("/")[2])
            recording = session.recording
            await session.aclose()
        assert not recording.running and recording.status()["name"]
    assert not os.listdir(tmp_path)


@pytest.mark.long
async def test_a_suspended_session_goes_on_in_the_same_file(
    serving: Serving, tmp_path: Path
) -> None:
    async with (
        serving(recordings=str(tmp_path), suspend_seconds=0.3) as server,
        SocketClient(server, swell(30, every=0.5)) as client,
        http(server) as requests,
    ):
        await client.until(lambda: len(client.face) > 5)
        path = client.config["session"] + "/recording"
        name = (await requests.post(path)).json()["name"]
        await asyncio.sleep(1.5)
        client.silent = True
        stats = client.config["session"] + "/stats"
        for _ in range(300):
            if (await requests.get(stats)).json()["state"] == "suspended":
                break
            await asyncio.sleep(0.02)
        away = len(client.face)
        await asyncio.sleep(0.6)
        assert (await requests.get(path)).json()["recording"]
        client.silent = False
        await client.until(lambda: len(client.face) > away + 32)
        await requests.delete(path)
    played = play(tmp_path / name)
    assert max(np.diff(played.ticks)) <= 25, "the picture is written again"
    back = int(np.argmax(np.diff(played.indices) < 0)) + 1  # the engine counts anew
    left = played.indices.index(played.indices[back - 1])  # the first time
    assert played.ticks[back] - played.ticks[left] > 20
    away = played.pcm[(played.ticks[left] + 2) * 1920 : played.ticks[back] * 1920]
    assert np.abs(away).max() < 0.05
    assert abs(played.lag_ms(0, left)) < IN_STEP_MS
    assert abs(played.lag_ms(back)) < IN_STEP_MS and len(played.ticks) - back > 25


async def test_a_folder_that_goes_away_ends_the_recording_alone(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_module, "LOOK_SECONDS", 0.05)
    folder = tmp_path / "recordings"
    async with (
        serving(recordings=str(folder)) as server,
        SocketClient(server, swell(30)) as client,
        http(server) as requests,
    ):
        await client.until(lambda: len(client.face) > 5)
        path = client.config["session"] + "/recording"
        await requests.post(path)
        for _ in range(300):
            if (await requests.get(path)).json()["bytes"]:
                break
            await asyncio.sleep(0.02)
        shutil.rmtree(folder)
        status = await until_status(requests, path, recording=False)
        assert status["failed"] == "The file or its folder was removed."
        shown = len(client.face)
        await client.until(lambda: len(client.face) > shown + 25)
        refused = await requests.post(path)
        assert refused.status_code == 507 and "Nothing can be recorded" in refused.json()["detail"]
        assert (await requests.get("/recordings")).json() == {"recordings": []}
        assert await number(requests, "visavis_recordings_failures_total") == 1
        ended = await requests.delete(path)
        assert ended.status_code == 200 and ended.json()["failed"] == status["failed"]
