"""Real peers against the real application: what leaves, when, and what is left afterwards."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import av
import numpy as np
import pytest
from aiortc.codecs import depayload
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine, read_index, read_level
from tests.server.peers import Arrived, Client, Stream, tone_bursts
from visavis.engines.errors import EngineError
from visavis.server.media.voice import LEAD

RATE = 48_000
BURST_EVERY = 1.0


def frames_of(stream: Stream, codec: str = "VP8") -> list[tuple[float, int, np.ndarray]]:
    """Decode what came: when each frame was complete, its timestamp, its luma."""
    decoder = av.CodecContext.create({"VP8": "libvpx", "H264": "h264"}[codec], "r")
    parameters = RTCRtpCodecParameters(mimeType=f"video/{codec}", clockRate=90_000)
    out, parts = [], b""
    for packet in sorted(stream.packets, key=lambda p: p.sequence):
        if not packet.payload:
            continue
        parts += depayload(parameters, packet.payload)
        if packet.marker:
            for frame in decoder.decode(av.Packet(parts)):
                luma = frame.to_ndarray()[: frame.height]
                out.append((packet.at, packet.timestamp, luma))
            parts = b""
    return out


def sound_of(stream: Stream) -> list[tuple[Arrived, np.ndarray]]:
    """Decode what came: each packet and its samples."""
    decoder = av.CodecContext.create("libopus", "r")
    decoder.format, decoder.layout, decoder.sample_rate = "s16", "mono", RATE
    return [
        (packet, np.frombuffer(memoryview(frame.planes[0]), np.int16, frame.samples))
        for packet in sorted(stream.packets, key=lambda p: p.sequence)
        for frame in decoder.decode(av.Packet(packet.payload))
    ]


def assert_steady(voice: Stream) -> None:
    """A packet every 20 ms of media time; only a stall of the whole machine may leave some out."""
    steps = np.diff([p.timestamp for p in voice.packets])
    assert not (steps % 960).any() and (steps > 0).all()
    assert np.mean(steps == 960) > 0.95


async def test_each_frame_leaves_a_fixed_time_after_its_voice(serving: Serving) -> None:
    async with serving() as server, Client(server, tone_bursts(6)) as client:
        await asyncio.sleep(5.0)
        report = await client.stats()

        frames = frames_of(client.face)
        indices = [read_index(luma) for _, _, luma in frames]
        # The pts says which tick it is: 3600 a tick, whatever was skipped.
        origin = frames[0][1] - 3600 * indices[0]
        assert [origin + 3600 * index for index in indices] == [pts for _, pts, _ in frames]
        assert len(indices) > 90
        assert np.count_nonzero(np.diff(indices) > 1) <= 12

        # Both tracks count media time from the same moment, by their own sender reports.
        voice = sound_of(client.voice)
        pts = {p.timestamp: p.at for p, _ in voice}
        first = client.face.ntp_seconds(origin)
        offset = round((first - client.voice.ntp_seconds(voice[0][0].timestamp)) * RATE)
        voice_origin = voice[0][0].timestamp + offset
        assert offset % 960 in (0, 1, 959)

        # The voice has a head start in the browser: compare arrivals of frame k and packet 2 k.
        after = [
            at - pts[voice_origin + 1920 * index]
            for (at, _, _), index in zip(frames, indices, strict=True)
            if voice_origin + 1920 * index in pts
        ]
        assert len(after) > 80
        assert np.median(after) == pytest.approx(LEAD, abs=0.008)
        assert np.percentile(np.abs(np.array(after) - LEAD), 75) < 0.020

        # What the frame shows is what is heard with it.
        loud = {(p.timestamp - voice_origin) // 1920: 0.0 for p, _ in voice}
        for packet, pcm in voice:
            tick = (packet.timestamp - voice_origin) // 1920
            loud[tick] = max(loud[tick], float(np.abs(pcm).max()) / 32768)
        seen = {i: read_level(luma) for (_, _, luma), i in zip(frames, indices, strict=True)}
        common = sorted(set(seen) & set(loud))
        shown = np.array([seen[k] for k in common])
        heard = np.array([loud[k] for k in common])
        assert heard.max() > 0.3
        scores = [
            np.corrcoef(shown[3:-3], np.roll(heard, lag)[3:-3])[0, 1] for lag in (-2, -1, 0, 1, 2)
        ]
        assert int(np.argmax(scores)) == 2 and scores[2] > 0.9
        assert report["frames_sent"] >= 90
        assert report["frames_distinct"] == report["frames_sent"]


@pytest.mark.parametrize("lookahead", [None, 40, 160])
async def test_the_voice_comes_back_after_look_ahead_and_little_more(
    serving: Serving, lookahead: int | None
) -> None:
    query = "" if lookahead is None else f"?lookahead={lookahead}"
    own = lookahead or 100
    # A voice cannot leave before it was heard.
    head_start = min(LEAD, own / 1000 - 0.020)
    async with serving() as server, Client(server, tone_bursts(6), query=query) as client:
        await asyncio.sleep(4.6)
        assert client.microphone is not None and client.microphone.started is not None
        delays = []
        quiet = True
        for packet, pcm in sound_of(client.voice):
            loud = np.abs(pcm) > 3000
            if loud.any() and quiet:
                said = (packet.at - client.microphone.started) % BURST_EVERY
                delays.append(said + np.argmax(loud) / RATE)
            quiet = not loud.any()
        assert len(delays) >= 3
        # Look-ahead, 20 budget, 20 of the client's packets, its encoder, and our buffer.
        assert own / 1000 + 0.015 < min(delays) + head_start < own / 1000 + 0.150
        report = await client.stats()
        parts = report["receive_depth_ms"] + own - 20 + report["budget_ms"]
        assert report["server_delay_ms"] == pytest.approx(parts, abs=0.1)
        assert report["lookahead_ms"] == own


async def test_a_viewer_without_a_microphone_sees_the_idle_picture(serving: Serving) -> None:
    async with serving() as server:
        asked = time.monotonic()
        async with Client(server, None) as client:
            await client.until(lambda: len(client.face.packets) > 25)
            assert client.face.packets[0].at - asked < 2.0
            frames = frames_of(client.face)
            assert len(frames) > 15
            assert max(read_level(luma) for _, _, luma in frames) < 0.05
            assert "recvonly" not in client.answer and "a=sendonly" in client.answer


@pytest.mark.parametrize("how", ["asked", "alone"])
async def test_h264_when_asked_or_when_there_is_nothing_else(serving: Serving, how: str) -> None:
    def without_vp8(offer: str) -> str:
        keep = [
            li
            for li in offer.split("\r\n")
            if not li.startswith(("a=rtpmap:97 ", "a=rtcp-fb:97 ", "a=rtpmap:98 ", "a=fmtp:98 "))
        ]
        text = "\r\n".join(keep)
        return text.replace(" 97 98 ", " ")

    query = "?codec=h264" if how == "asked" else ""
    edit = without_vp8 if how == "alone" else str
    async with serving() as server, Client(server, None, query=query, edit=edit) as client:
        assert "H264" in client.answer and "VP8" not in client.answer
        await client.until(lambda: sum(p.marker for p in client.face.packets) > 20)
        indices = [read_index(luma) for _, _, luma in frames_of(client.face, "H264")]
        assert len(indices) > 15 and indices == sorted(set(indices))


async def test_lost_packets_are_made_up_for_and_reported(serving: Serving) -> None:
    def drop(number: int) -> bool:
        return number > 50 and number % 20 == 0

    async with serving() as server, Client(server, tone_bursts(6, length=0.9), drop=drop) as client:
        await asyncio.sleep(4.0)
        report = await client.stats()
        assert report["packets_lost"] >= 3
        assert report["concealed_ms"] >= 40
        assert report["receive_depth_ms"] < 130
        # The voice has no hole: a packet every 20 ms.
        assert_steady(client.voice)


async def test_a_lost_picture_is_made_anew(serving: Serving) -> None:
    async with serving() as server, Client(server, None) as client:
        await client.until(lambda: len(client.face.packets) > 30)
        receiver = next(
            t.receiver for t in client.connection.getTransceivers() if t.kind == "video"
        )
        asked = len(client.face.packets)
        source = next(iter(receiver._RTCRtpReceiver__remote_streams))
        await receiver._send_rtcp_pli(source)
        await client.until(lambda: len(client.face.packets) > asked + 30)
        fresh = Stream(kind="video", packets=client.face.packets[asked:])
        # A decoder that never saw the beginning gets a whole picture.
        decoder = av.CodecContext.create("libvpx", "r")
        keys, parts = 0, b""
        for packet in fresh.packets:
            parts += depayload(
                RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90_000), packet.payload
            )
            if packet.marker:
                keys += not parts[0] & 1
                parts = b""
        assert keys == 1
        assert decoder is not None


async def test_clear_drops_what_was_said_and_not_yet_heard(serving: Serving) -> None:
    pcm = np.tile(tone_bursts(2, every=0.9, length=0.9)[RATE:], 6)
    async with serving() as server, Client(server, pcm) as client, http(server) as plain:
        await asyncio.sleep(1.5)
        before = len(client.voice.packets)
        response = await plain.post(f"{client.location}/clear")
        assert response.status_code == 204
        await asyncio.sleep(0.6)
        level = [float(np.abs(p).max()) for packet, p in sound_of(client.voice)][before:]
        assert any(v < 1000 for v in level[:12])
        assert max(level[-10:]) > 3000
        assert_steady(client.voice)


async def test_a_silent_peer_gives_its_place_back_and_may_return(serving: Serving) -> None:
    engine = FakeEngine(places=1)
    async with (
        serving(engine, suspend_seconds=1.0, resume_seconds=20.0) as server,
        http(server) as plain,
        Client(server, tone_bursts(8)) as client,
    ):
        await client.until(lambda: len(client.face.packets) > 20)
        # The lid is closed: nothing comes from the peer any more, and it says no goodbye.
        transport = client.connection.getTransceivers()[0].sender.transport
        send = transport._send_rtp

        async def nothing(data: bytes) -> None:
            return None

        transport._send_rtp = nothing
        await client.until(lambda: not engine.sessions, 6)
        assert (await client.stats())["state"] == "suspended"
        count = len(client.face.packets)
        last = client.face.packets[-1].timestamp
        assert 'state="suspended"} 1.0' in (await plain.get("/metrics")).text
        transport._send_rtp = send
        await client.until(lambda: len(client.face.packets) > count + 20, 6)
        assert (await client.stats())["state"] == "live"
        assert len(engine.sessions) == 1
        # Media time went on meanwhile.
        gap = (client.face.packets[count + 2].timestamp - last) & 0xFFFFFFFF
        assert 0.5 < gap / 90_000 < 8


async def test_a_silent_peer_that_stays_away_is_forgotten(serving: Serving) -> None:
    engine = FakeEngine(places=1)
    async with (
        serving(engine, suspend_seconds=0.6, resume_seconds=0.6) as server,
        Client(server, None) as client,
    ):
        await client.until(lambda: len(client.face.packets) > 5)

        async def nothing(data: bytes) -> None:
            return None

        client.connection.getTransceivers()[0].sender.transport._send_rtp = nothing
        await client.until(lambda: len(server.app.state.sessions) == 0, 8)
        assert not engine.sessions


async def test_an_offer_that_is_never_followed_up_is_ended(serving: Serving) -> None:
    from tests.server.test_sdp import offer

    engine = FakeEngine()
    async with serving(engine, connect_seconds=0.3) as server, http(server) as plain:
        response = await plain.post(
            "/sessions", content=offer(), headers={"Content-Type": "application/sdp"}
        )
        assert response.status_code == 201
        deadline = time.monotonic() + 5
        while len(server.app.state.sessions):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        assert not engine.sessions


async def test_a_peer_that_says_goodbye_is_gone_at_once(serving: Serving) -> None:
    engine = FakeEngine()
    async with serving(engine) as server:
        client = Client(server, None)
        await client.__aenter__()
        await client.until(lambda: len(client.face.packets) > 5)
        await client.close(delete=False)
        deadline = time.monotonic() + 2
        while engine.sessions:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


async def test_a_session_whose_engine_fails_is_ended(serving: Serving) -> None:
    class Failing(FakeEngine):
        def open(self, person, on_frame, *, on_error=None, **options):  # type: ignore[no-untyped-def]
            session = super().open(person, on_frame, **options)
            self.fail = lambda: on_error(EngineError("The picture could not be drawn."))
            return session

    engine = Failing()
    async with serving(engine) as server, Client(server, None) as client:
        await client.until(lambda: len(client.face.packets) > 5)
        await asyncio.to_thread(engine.fail)
        await client.until(lambda: len(server.app.state.sessions) == 0)


async def test_a_slow_engine_costs_frames_and_never_delays_the_voice(serving: Serving) -> None:
    engine = FakeEngine(render_seconds=0.070)
    async with serving(engine) as server, Client(server, tone_bursts(6)) as client:
        await asyncio.sleep(4.0)
        report = await client.stats()
        assert_steady(client.voice)
        at = np.array([p.at for p in client.voice.packets[50:]])
        assert np.median(np.abs(np.diff(at) - 0.02)) < 0.010
        # Half the ticks cannot be drawn; the rest are shown, with gaps in the pts.
        assert 20 < report["frames_sent"] < 75
        assert report["frames_skipped"] >= 20
        assert report["budget_ms"] <= 160


def lasting_threads() -> int:
    """Threads but those of pools, which come with the first work and stay."""
    pools = ("visavis-encode", "asyncio_", "AnyIO")
    return sum(not t.name.startswith(pools) for t in threading.enumerate())


def living_sessions() -> int:
    """Sessions that something still refers to, other tests' servers included."""
    from visavis.server.media.live import LiveSession

    gc.collect()
    # Not isinstance: it asks lazy modules of other rooms for their class, and they warn.
    return sum(type(o) is LiveSession for o in gc.get_objects())


async def test_nothing_is_left_after_twenty_visits(serving: Serving) -> None:
    engine = FakeEngine()
    before = living_sessions()
    async with serving(engine) as server:

        async def visit(delete: bool) -> None:
            client = Client(server, tone_bursts(1))
            await client.__aenter__()
            await client.until(lambda: len(client.face.packets) > 3)
            await client.close(delete=delete)

        await visit(delete=True)
        await asyncio.sleep(0.3)
        tasks, threads = len(asyncio.all_tasks()), lasting_threads()
        for number in range(20):
            await visit(delete=number % 2 == 0)
        deadline = time.monotonic() + 5
        while len(server.app.state.sessions) or len(asyncio.all_tasks()) > tasks:
            assert time.monotonic() < deadline, asyncio.all_tasks()
            await asyncio.sleep(0.05)
        assert not engine.sessions
        assert lasting_threads() == threads
        # A closed connection's last callbacks may still be on the loop.
        while living_sessions() > before + 1:
            assert time.monotonic() < deadline + 5
            await asyncio.sleep(0.1)
