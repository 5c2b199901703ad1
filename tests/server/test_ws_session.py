"""The WebSocket path with real sockets: speech in, picture and voice back in step."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine, read_index, read_level
from tests.server.peers import RATE, tone_bursts
from tests.server.sockets import Came, SocketClient

CODECS = {"vp8": "libvpx", "h264": "h264"}


def pictures(face: list[Came], codec: str = "vp8") -> dict[int, np.ndarray]:
    """Decode what came: the luma of each tick."""
    decoder = av.CodecContext.create(CODECS[codec], "r")
    out = {}
    for came in face:
        for frame in decoder.decode(av.Packet(came.packet.payload)):
            out[came.packet.pts // 1920] = frame.to_ndarray()[: frame.height]
    return out


def loudness(voice: list[Came], codec: str = "opus") -> dict[int, float]:
    """The loudest sample of each tick, 0 to 1."""
    decoder = av.CodecContext.create("libopus", "r")
    decoder.format, decoder.layout, decoder.sample_rate = "s16", "mono", RATE
    out: dict[int, float] = {}
    for came in voice:
        payload = came.packet.payload
        if codec == "opus":
            frames = decoder.decode(av.Packet(payload))
            pcm = np.concatenate(
                [np.frombuffer(memoryview(f.planes[0]), np.int16, f.samples) for f in frames]
            )
        else:
            pcm = np.frombuffer(payload, "<i2")
        tick = came.packet.pts // 1920
        out[tick] = max(out.get(tick, 0.0), float(np.abs(pcm.astype(float)).max()) / 32768)
    return out


def assert_in_step(client: SocketClient, face: str = "vp8", voice: str = "opus") -> None:
    """Each picture is the one of its pts, and shows the loudness of the voice of that pts."""
    shown = pictures(client.face, face)
    indices = [read_index(luma) for luma in shown.values()]
    assert indices == list(shown)
    heard = loudness(client.voice, voice)
    common = sorted(set(shown) & set(heard))
    assert len(common) > 60
    seen = np.array([read_level(shown[k]) for k in common])
    loud = np.array([heard[k] for k in common])
    assert loud.max() > 0.3
    scores = [np.corrcoef(seen[3:-3], np.roll(loud, lag)[3:-3])[0, 1] for lag in (-2, -1, 0, 1, 2)]
    assert int(np.argmax(scores)) == 2 and scores[2] > 0.9


@pytest.mark.parametrize(
    ("rate", "packet_ms", "choice"),
    [
        (48_000, 20, {}),
        (16_000, 60, {"voice": ["pcm16"], "face": ["h264"]}),
        (24_000, 10, {"face": ["vp8"]}),
    ],
)
async def test_voice_and_face_come_back_in_step(
    serving: Serving, rate: int, packet_ms: int, choice: dict[str, Any]
) -> None:
    pcm = tone_bursts(6)[:: RATE // rate]
    async with (
        serving() as server,
        SocketClient(server, pcm, rate=rate, packet_ms=packet_ms, hello=choice) as client,
    ):
        await client.until(lambda: len(client.face) > 100)
        face, voice = client.config["face"], client.config["voice"]
        assert (face["width"], face["height"], face["fps"]) == (128, 128, 25)
        assert_in_step(client, face["codec"], voice["codec"])
        pts = [came.packet.pts for came in client.voice]
        assert not (np.diff(pts) % 960).any() and np.mean(np.diff(pts) == 960) > 0.95
        sequences = [came.packet.sequence for came in client.voice + client.face]
        assert sorted(sequences) == list(range(len(sequences)))
        await client.until(lambda: bool(client.texts))
        report = client.texts[-1]
        assert report["type"] == "stats" and report["state"] == "live"
        assert report["frames_sent"] > 20 and report["round_trip_ms"] is not None


async def test_it_is_a_session_like_any_other(serving: Serving) -> None:
    engine = FakeEngine()
    async with serving(engine) as server:
        async with SocketClient(server, tone_bursts(2)) as client, http(server) as requests:
            await client.until(lambda: len(client.face) > 5)
            path = client.config["session"]
            assert (await requests.get(f"{path}/stats")).json()["state"] == "live"
            assert 'visavis_sessions{state="live"} 1.0' in (await requests.get("/metrics")).text
            generation = client.voice[-1].packet.generation
            assert (await requests.post(f"{path}/clear")).status_code == 204
            await client.until(lambda: client.voice[-1].packet.generation == generation + 1)
            await client.socket.send('{"type": "clear"}')
            await client.until(lambda: client.voice[-1].packet.generation == generation + 2)
            # There are no candidates to trickle here.
            refused = await requests.patch(
                path, content="a=x", headers={"Content-Type": "application/trickle-ice-sdpfrag"}
            )
            assert refused.status_code in (400, 422)
            assert (await requests.delete(path)).status_code == 200
            await client.until(lambda: client.closed is not None)
            assert client.closed == (1001, "The session has ended.")
            assert client.texts[-1] == {"type": "bye"}
            assert (await requests.get(f"{path}/stats")).status_code == 404
        assert not engine.sessions


@pytest.mark.parametrize("how", ["bye", "close"])
async def test_whoever_leaves_leaves_nothing_behind(serving: Serving, how: str) -> None:
    engine = FakeEngine()
    async with serving(engine) as server:
        client = SocketClient(server, tone_bursts(2))
        async with client:
            await client.until(lambda: len(client.face) > 5)
            assert len(engine.sessions) == 1
            if how == "bye":
                await client.socket.send('{"type": "bye"}')
                await client.until(lambda: client.closed is not None)
                assert client.closed == (1000, "")
            else:
                await client.socket.close()
            await client.until(lambda: not engine.sessions)
        assert len(server.app.state.sessions) == 0


async def test_a_key_frame_comes_when_it_is_asked_for(serving: Serving) -> None:
    async with serving() as server, SocketClient(server, tone_bursts(2)) as client:
        await client.until(lambda: len(client.face) > 15)
        assert [came.packet.key for came in client.face].count(True) == 1
        assert client.face[0].packet.key
        await client.socket.send('{"type": "key_frame"}')
        await client.until(lambda: [came.packet.key for came in client.face].count(True) == 2)


async def test_who_falls_silent_is_suspended_and_comes_back(serving: Serving) -> None:
    engine = FakeEngine()
    async with (
        serving(engine, suspend_seconds=0.5) as server,
        SocketClient(server, tone_bursts(2)) as client,
    ):
        await client.until(lambda: len(client.face) > 5)
        client.silent = True
        await client.until(lambda: not engine.sessions)
        first = client.face[-1].packet.pts
        client.silent = False
        await client.until(lambda: len(engine.sessions) == 1)
        count = len(client.face)
        await client.until(lambda: len(client.face) > count + 5)
        # Media time has gone on, and the first picture stands alone.
        assert client.face[count].packet.key
        assert client.face[count].packet.pts > first + 0.4 * RATE


async def test_messages_may_come_in_any_fragments(serving: Serving) -> None:
    """RFC 6455, 5.4: whoever relays a message may cut it anywhere."""
    async with serving() as server:
        cuts = np.random.default_rng(4)
        async with SocketClient(server, tone_bursts(5), fragments=cuts) as client:
            await client.until(lambda: len(client.face) > 100)
            assert_in_step(client)
