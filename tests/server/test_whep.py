"""WHIP in, WHEP out, with aiortc peers: one picture compressed once for all who watch."""

from __future__ import annotations

import asyncio
import re

import httpx
import numpy as np
import pytest

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine
from tests.server.one_way import Speaker, Watcher, vp8_body
from tests.server.peers import Client, tone_bursts
from tests.server.test_sdp import offer
from visavis.server.media.viewers import KeyFrameAllowance

SDP = {"Content-Type": "application/sdp"}
TRICKLE = {"Content-Type": "application/trickle-ice-sdpfrag"}
CANDIDATE = "a=candidate:1 1 udp 2122260223 192.0.2.9 61764 typ host\r\n"


def viewer_offer() -> str:
    return offer("chromium_viewer")


def speaker_offer() -> str:
    """A microphone alone."""
    audio = offer().partition("m=video")[0]
    return re.sub(r"a=group:BUNDLE [^\r]*", "a=group:BUNDLE 0", audio).replace(
        "a=sendrecv", "a=sendonly"
    )


async def metric(client: httpx.AsyncClient, name: str) -> float:
    text = (await client.get("/metrics")).text
    found = re.search(rf"^{name} ([0-9.e+]+)$", text, re.MULTILINE)
    assert found, name
    return float(found[1])


async def encodes(client: httpx.AsyncClient) -> float:
    return await metric(client, "visavis_frame_encode_cpu_seconds_count")


async def live(client: httpx.AsyncClient, stats: str) -> None:
    for _ in range(500):
        if (await client.get(stats)).json()["state"] == "live":
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the session does not begin")


async def test_a_voice_comes_over_whip_and_many_watch_what_is_compressed_once(
    serving: Serving,
) -> None:
    engine = FakeEngine()
    async with serving(engine) as server, http(server) as client:  # noqa: SIM117
        async with Speaker(server, tone_bursts(20), path="/whip/fake") as speaker:
            assert speaker.location.startswith("/sessions/")
            assert "a=recvonly" in speaker.answer and "m=video" not in speaker.answer
            stats = f"{speaker.location}/stats"
            await live(client, stats)
            await asyncio.sleep(0.3)
            assert await encodes(client) == 0  # nobody watches: nothing is compressed
            watchers = [Watcher(server, speaker.view) for _ in range(6)]
            for watcher in watchers[:4]:
                await watcher.__aenter__()
            try:
                for watcher in watchers[:4]:
                    await watcher.until(lambda w=watcher: len(w.face.packets) > 0)
                    assert watcher.key_frame_first()
                before = await encodes(client)
                frames = {p.timestamp for p in watchers[0].face.packets}
                for watcher in watchers[4:]:
                    await watcher.__aenter__()
                    await watcher.until(lambda w=watcher: len(w.face.packets) > 0)
                    assert watcher.key_frame_first()  # a late one sees a picture at once
                one, other = watchers[0], watchers[5]
                await one.until(lambda: len({p.timestamp for p in one.face.packets} - frames) > 30)
                # One encode for each picture that any of the six saw, and not six.
                seen = len({p.timestamp for p in one.face.packets} - frames)
                assert await encodes(client) - before <= seen + 8
                for watcher in watchers:
                    assert len(watcher.voice.packets) > 25
                # All hear and see the very same packets.
                voice = {p.payload for p in one.voice.packets}
                assert {p.payload for p in other.voice.packets[2:20]} <= voice
                face = {vp8_body(p.payload) for p in one.face.packets}
                assert {vp8_body(p.payload) for p in other.face.packets[:10]} <= face
                assert await metric(client, "visavis_viewers") == 6
                assert (await client.get(stats)).json()["key_frame_requests"] >= 2
            finally:
                await asyncio.gather(*(w.close() for w in watchers))
            # All of them left at once; the session goes on, and compresses nothing any more.
            assert await metric(client, "visavis_viewers") == 0
            await asyncio.sleep(0.2)
            before = await encodes(client)
            await asyncio.sleep(0.3)
            assert await encodes(client) == before
            assert (await client.get(stats)).json()["state"] == "live"
    assert not engine.sessions


async def test_viewers_of_a_visitor_get_what_the_visitor_gets_and_end_with_the_session(
    serving: Serving,
) -> None:
    async with serving() as server, http(server) as client:
        visitor = Client(server, tone_bursts(20))
        await visitor.__aenter__()
        identifier = visitor.location.rsplit("/", 1)[1]
        # The visitor's id is not the viewers': who watches can neither end nor interrupt.
        assert (await client.get(f"/whep/{identifier}")).status_code == 404
        response = await client.post("/sessions", content=offer(), headers=SDP)
        other = response.headers["visavis-view"]
        assert (await client.delete(f"/sessions/{other}")).status_code == 404

        view = await view_of(server.app.state.sessions, identifier)
        watcher = Watcher(server, view)
        await watcher.__aenter__()
        await watcher.until(
            lambda: len(watcher.face.packets) > 0 and len(watcher.voice.packets) > 9
        )
        assert watcher.key_frame_first()
        assert {p.payload for p in visitor.voice.packets} & {
            p.payload for p in watcher.voice.packets
        }
        await visitor.close()
        await watcher.until(lambda: watcher.connection.connectionState in ("closed", "failed"))
        assert await metric(client, "visavis_viewers") == 0
        assert (await client.get(f"/whep/{view}")).status_code == 404
        assert (await client.delete(watcher.location)).status_code == 404
        await watcher.connection.close()


async def view_of(sessions: object, identifier: str) -> str:
    return sessions.view_of(identifier)  # type: ignore[attr-defined,no-any-return]


async def test_whep_over_http(serving: Serving) -> None:
    async with serving(viewers=2) as server, http(server) as client:
        response = await client.post("/whip/fake", content=speaker_offer(), headers=SDP)
        assert response.status_code == 201, response.text
        endpoint = f"/whep/{response.headers['visavis-view']}"
        session = response.headers["location"]

        head = await client.head(endpoint)
        assert head.status_code == 200 and head.headers["content-type"] == "application/sdp"
        # The speaker is not connected yet; a viewer is answered all the same.
        response = await client.post(endpoint, content=viewer_offer(), headers=SDP)
        assert response.status_code == 201, response.text
        assert response.headers["content-type"] == "application/sdp"
        assert response.text.count("a=sendonly") == 2 and "a=candidate:" in response.text
        assert "a=end-of-candidates" in response.text and " red/" not in response.text
        viewer = response.headers["location"]
        assert viewer.startswith(endpoint + "/")
        assert (await client.get(viewer)).status_code == 204

        async def patch(body: str, headers: dict[str, str] = TRICKLE) -> int:
            return (await client.patch(viewer, content=body, headers=headers)).status_code

        assert await patch(CANDIDATE) == 204
        assert await patch("a=ice-ufrag:OTHER\r\n" + CANDIDATE) == 422  # a restart
        assert await patch(CANDIDATE, {"Content-Type": "application/sdp"}) == 415
        assert await patch("hello") == 400
        assert (await client.post(viewer, content=viewer_offer(), headers=SDP)).status_code == 405

        for content, headers, status in (
            (viewer_offer(), {"Content-Type": "text/plain"}, 415),
            ("hello", SDP, 400),
            (speaker_offer(), SDP, 422),  # wants to send, not to watch
            ("v=0\r\n" * 50_000, SDP, 413),
        ):
            response = await client.post(endpoint, content=content, headers=headers)
            assert response.status_code == status
            assert response.headers["content-type"] == "application/problem+json"
        assert await metric(client, "visavis_viewers") == 1
        assert (await client.post(endpoint, content=viewer_offer(), headers=SDP)).status_code == 201
        full = await client.post(endpoint, content=viewer_offer(), headers=SDP)
        assert full.status_code == 503 and int(full.headers["retry-after"]) > 0
        assert "2 places for viewers" in full.json()["detail"]
        assert await metric(client, "visavis_viewers_refused_total") == 1

        assert (await client.delete(viewer)).status_code == 200
        assert (await client.delete(viewer)).status_code == 404
        assert await patch(CANDIDATE) == 404
        assert await metric(client, "visavis_viewers") == 1
        assert (await client.delete(session)).status_code == 200
        assert await metric(client, "visavis_viewers") == 0
        assert (await client.head(endpoint)).status_code == 404
        response = await client.post(endpoint, content=viewer_offer(), headers=SDP)
        assert response.status_code == 404


async def test_whip_over_http(serving: Serving) -> None:
    engine = FakeEngine()
    async with serving(engine) as server, http(server) as client:
        assert (await client.get("/whip")).status_code == 204
        for path, content, headers, status in (
            ("/whip/nobody", speaker_offer(), SDP, 404),
            ("/whip", speaker_offer(), {"Content-Type": "application/json"}, 415),
            ("/whip", viewer_offer(), SDP, 422),  # sends nothing
            ("/whip", offer(), SDP, 422),  # wants a picture back
            ("/whip", "hello", SDP, 400),
            ("/whip?lookahead=120", speaker_offer(), SDP, 422),
        ):
            response = await client.post(path, content=content, headers=headers)
            assert response.status_code == status, path
            assert not engine.sessions
        both = offer().replace("a=recvonly", "a=sendonly").replace("a=sendrecv", "a=sendonly")
        for content, sections in ((speaker_offer(), 1), (both, 2)):
            response = await client.post("/whip", content=content, headers=SDP)
            assert response.status_code == 201, response.text
            assert response.text.count("a=recvonly") == sections == response.text.count("m=")
            assert not re.search(r"(?m)^m=\w+ 0 ", response.text)  # no section is refused
            session = response.headers["location"]
            trickled = await client.patch(session, content=CANDIDATE, headers=TRICKLE)
            assert trickled.status_code == 204
            assert (await client.delete(session)).status_code == 200
            assert (await client.delete(session)).status_code == 404
            assert not engine.sessions


async def test_a_viewer_without_the_codec_is_told_so(serving: Serving) -> None:
    async with serving() as server, http(server) as client:
        response = await client.post("/whip?codec=h264", content=speaker_offer(), headers=SDP)
        endpoint = f"/whep/{response.headers['visavis-view']}"
        only_vp8 = viewer_offer().replace(" H264/90000", " H265/90000")
        assert only_vp8 != viewer_offer()
        response = await client.post(endpoint, content=only_vp8, headers=SDP)
        assert response.status_code == 422 and "H264" in response.json()["detail"]
        response = await client.post(endpoint, content=viewer_offer(), headers=SDP)
        assert response.status_code == 201 and "H264/90000" in response.text
        assert "VP8" not in response.text
        assert await metric(client, "visavis_viewers") == 1


async def test_a_viewer_that_never_connects_is_sent_away(serving: Serving) -> None:
    async with serving(connect_seconds=0.3) as server, http(server) as client:  # noqa: SIM117
        async with Speaker(server, tone_bursts(5)) as speaker:
            endpoint = f"/whep/{speaker.view}"
            response = await client.post(endpoint, content=viewer_offer(), headers=SDP)
            viewer = response.headers["location"]
            assert (await client.get(viewer)).status_code == 204
            for _ in range(200):
                if await metric(client, "visavis_viewers") == 0:
                    break
                await asyncio.sleep(0.02)
            assert (await client.get(viewer)).status_code == 404


async def test_the_token_and_other_sites(serving: Serving) -> None:
    async with serving(token="t") as server:  # noqa: SIM117
        async with http(server, Origin="https://example.org") as client:
            for path in ("/whip", "/whip/fake", "/whep/any"):
                response = await client.options(path)
                assert response.status_code == 204
                assert response.headers["accept-post"] == "application/sdp"
                assert response.headers["access-control-allow-origin"] == "*"
                response = await client.post(path, content=viewer_offer(), headers=SDP)
                assert response.status_code == 401
                assert "Bearer" in response.headers["www-authenticate"]
            assert "accept-post" not in (await client.options("/whep/any/viewer")).headers
            exposed = (await client.get("/config")).headers["access-control-expose-headers"]
            assert {"Location", "Link", "Visavis-View"} <= set(exposed.split(", "))
    async with serving() as server, http(server, Origin="https://example.org") as client:
        assert "access-control-allow-origin" not in (await client.options("/whep/any")).headers


def test_one_viewer_is_not_heard_all_the_time() -> None:
    allowance = KeyFrameAllowance()
    heard = [allowance.take(at) for at in np.arange(0, 20, 0.1)]
    assert heard[:3] == [True, True, False]
    assert 9 <= sum(heard) <= 12
    assert allowance.take(30.0)


@pytest.mark.parametrize("limit", [0])
async def test_no_viewers_at_all(serving: Serving, limit: int) -> None:
    async with serving(viewers=limit) as server, http(server) as client:
        response = await client.post("/whip", content=speaker_offer(), headers=SDP)
        view = response.headers["visavis-view"]
        response = await client.post(f"/whep/{view}", content=viewer_offer(), headers=SDP)
        assert response.status_code == 503
