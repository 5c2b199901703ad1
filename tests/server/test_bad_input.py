"""What nobody should send and somebody will: after each of it the server is as it was before."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable

import numpy as np
import pytest

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine
from tests.server.one_way import Speaker, Watcher
from tests.server.peers import Client, tone_bursts
from tests.server.sockets import SocketClient, hello
from tests.server.test_sdp import REFUSED, offer
from tests.server.test_whep import CANDIDATE, SDP, TRICKLE, metric, speaker_offer, viewer_offer
from tests.server.test_ws_refusals import microphone, refusal
from visavis.server.limits import MAX_OFFER_BYTES
from visavis.server.ws.framing import Kind, Packet

HOST_CANDIDATE = "a=candidate:1 1 udp 1 192.0.2.2 5 typ host\r\n"


def without_audio(text: str) -> str:
    """An offer's video section alone."""
    head, _, sections = text.partition("m=audio")
    video = "m=video" + sections.partition("m=video")[2]
    name = re.search(r"a=mid:(\S+)", video)
    assert name is not None
    return re.sub(r"a=group:BUNDLE [^\r]*", f"a=group:BUNDLE {name[1]}", head) + video


@pytest.mark.parametrize("path", ["/whip", "/whep"])
async def test_publishers_and_viewers_are_refused_what_visitors_are(
    serving: Serving, path: str
) -> None:
    """`test_whip` has the visitors."""
    engine = FakeEngine()
    async with serving(engine) as server, http(server) as client:
        opened = await client.post("/whip", content=speaker_offer(), headers=SDP)
        if path == "/whep":
            path = f"/whep/{opened.headers['visavis-view']}"
        for case, (text, status) in REFUSED.items():
            if path == "/whip" and case in ("the answer to an offer", "no video wanted"):
                continue  # sending, and wanting nothing back, is what a publisher does
            response = await client.post(path, content=text, headers=SDP)
            assert response.status_code == status, case
            sentence = response.json()["detail"]
            assert sentence.endswith(".") and ": ." not in sentence, case
            assert len(engine.sessions) == 1, case
        assert await metric(client, "visavis_viewers") == 0
        assert (await client.delete(opened.headers["location"])).status_code == 200
        assert not engine.sessions


async def test_candidates_by_the_kilobyte(serving: Serving) -> None:
    engine = FakeEngine()
    async with serving(engine) as server, http(server) as client:
        room = (MAX_OFFER_BYTES - len(offer())) // len(HOST_CANDIDATE)
        for count, status in ((room, 422), (room + 1, 413)):
            text = offer() + HOST_CANDIDATE * count
            response = await client.post("/sessions", content=text, headers=SDP)
            assert response.status_code == status, count
        opened = await client.post("/sessions", content=offer(), headers=SDP)
        location = opened.headers["location"]
        for body, status in ((CANDIDATE * 65, 422), (CANDIDATE * 1000, 413)):
            patched = await client.patch(location, content=body, headers=TRICKLE)
            assert patched.status_code == status
        assert (await client.get(f"{location}/stats")).json()["state"] == "connecting"


async def test_an_impossible_address_is_not_sent_to(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """A port of 99999 raised inside the event loop's transport, which closed it for good."""
    wrong = [
        "192.0.2.2 99999",
        "no-address 5",
        "0.0.0.0 5",
        "255.255.255.255 5",
    ]
    lines = "".join(f"a=candidate:1 1 udp 1 {place} typ host\r\n" for place in wrong)
    caplog.set_level(logging.WARNING)
    async with serving() as server:  # noqa: SIM117
        async with Client(server, tone_bursts(3), edit=lambda text: text + lines) as client:
            async with http(server) as requests:
                patched = await requests.patch(client.location, content=lines, headers=TRICKLE)
                assert patched.status_code == 204
            await client.until(lambda: len(client.face.packets) > 5)
    assert not [record for record in caplog.records if "transport" in record.getMessage()]


async def test_an_offer_without_audio_sees_and_one_without_a_voice_does_not_publish(
    serving: Serving,
) -> None:
    engine = FakeEngine()
    async with serving(engine) as server, http(server) as client:
        for text in (without_audio(offer()), without_audio(viewer_offer())):
            response = await client.post("/sessions", content=text, headers=SDP)
            assert response.status_code == 201 and "m=audio" not in response.text
            assert (await client.delete(response.headers["location"])).status_code == 200
            response = await client.post("/whip", content=text, headers=SDP)
            assert response.status_code == 422 and "voice" in response.json()["detail"]
            assert not engine.sessions
        silent = without_audio(offer()).replace("a=recvonly", "a=sendonly")
        response = await client.post("/whip", content=silent, headers=SDP)
        assert response.status_code == 422 and "voice" in response.json()["detail"]


async def test_a_viewer_that_would_send_too_is_only_sent_to(serving: Serving) -> None:
    async with serving() as server, http(server) as client:
        opened = await client.post("/whip", content=speaker_offer(), headers=SDP)
        view = f"/whep/{opened.headers['visavis-view']}"
        for text in (offer(), offer().replace("a=recvonly", "a=sendrecv")):
            response = await client.post(view, content=text, headers=SDP)
            assert response.status_code == 201
            assert response.text.count("a=sendonly") == 2 and "sendrecv" not in response.text


async def test_several_goodbyes_at_once(serving: Serving) -> None:
    engine = FakeEngine()
    async with serving(engine) as server, http(server) as client:
        opened = await client.post("/whip", content=speaker_offer(), headers=SDP)
        view = f"/whep/{opened.headers['visavis-view']}"
        viewer = (await client.post(view, content=viewer_offer(), headers=SDP)).headers["location"]
        for location in (viewer, opened.headers["location"]):
            answers = await asyncio.gather(*(client.delete(location) for _ in range(5)))
            assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404, 404]
        assert not engine.sessions
        assert await metric(client, "visavis_viewers") == 0


@pytest.mark.parametrize(
    ("count", "how"),
    [
        (12, "each"),
        pytest.param(50, "each", marks=pytest.mark.long),
        pytest.param(50, "with the session", marks=pytest.mark.long),
    ],
)
async def test_many_viewers_leave_at_once(serving: Serving, count: int, how: str) -> None:
    engine = FakeEngine()
    async with (
        serving(engine, connect_seconds=300.0) as server,
        http(server) as client,
        Speaker(server, tone_bursts(60), path="/whip/fake") as speaker,
    ):
        view = f"/whep/{speaker.view}"
        # Real media for three of them; the others have their place and their ports.
        watchers = [Watcher(server, speaker.view) for _ in range(3)]
        for watcher in watchers:
            await watcher.__aenter__()
        viewers = [watcher.location for watcher in watchers]
        for _ in range(count - len(watchers)):
            response = await client.post(view, content=viewer_offer(), headers=SDP)
            assert response.status_code == 201, response.text
            viewers.append(response.headers["location"])
        for watcher in watchers:
            await watcher.until(lambda w=watcher: len(w.face.packets) > 0)
        assert await metric(client, "visavis_viewers") == count
        if how == "each":
            answers = await asyncio.gather(*(client.delete(one) for one in viewers))
            assert {answer.status_code for answer in answers} == {200}
            # The speaker goes on, and the next viewer sees a picture.
            late = Watcher(server, speaker.view)
            async with late:
                await late.until(lambda: len(late.face.packets) > 0)
                assert late.key_frame_first()
        else:
            assert (await client.delete(speaker.location)).status_code == 200
            assert not engine.sessions
        assert await metric(client, "visavis_viewers") == 0
        for watcher in watchers:
            await watcher.connection.close()
        gone = await asyncio.gather(*(client.get(one) for one in viewers))
        assert {answer.status_code for answer in gone} == {404}
    assert not engine.sessions


# Microphone messages of a WebSocket, by the number that they would have had.
ODD: dict[str, Callable[[int], list[bytes]]] = {
    "half samples": lambda n: [microphone(n, bytes(1921))],
    "nothing": lambda n: [microphone(n, b"")],
    "one sample": lambda n: [microphone(n, bytes(2))],
    "60 ms": lambda n: [microphone(n, bytes(5760))] if n % 3 == 0 else [],
    "each twice": lambda n: [microphone(n), microphone(n)],
    "backwards": lambda n: [microphone(2**20 - n)],
    "in pairs the wrong way round": lambda n: [microphone(n + 1), microphone(n)] * (n % 2 == 0),
    "always the same number": lambda n: [microphone(7)],
    "numbers from anywhere": lambda n: [microphone((n * 2_654_435_761) % 2**32)],
    "times from anywhere": lambda n: [
        Packet(Kind.MICROPHONE, n, (n * 0x9E3779B97F4A7C15) % 2**64, bytes(1920)).pack()
    ],
    "a generation that never was": lambda n: [
        Packet(Kind.MICROPHONE, n, n * 960, bytes(1920), generation=200).pack()
    ],
    "acknowledgements of the future": lambda n: [
        microphone(n),
        Packet(Kind.ACKNOWLEDGEMENT, 2**32 - 1 - n).pack(),
    ],
}


async def test_odd_packets_cost_their_own_sound_and_nothing_else(serving: Serving) -> None:
    """Each session goes on with a picture and a voice, and hears what is sound afterwards."""
    engine = FakeEngine(places=len(ODD), size=64)
    async with serving(engine) as server:

        async def visit(case: str) -> None:
            async with SocketClient(
                server, tone_bursts(1), silent=True, hello={"voice": ["pcm16"]}
            ) as client:
                for number in range(40):
                    for message in ODD[case](number):
                        await client.socket.send(message)
                    await asyncio.sleep(0.01)
                assert client.closed is None, case
                seen = len(client.face)
                # A tone from a number and a time of its own. It must come back as voice.
                t = np.arange(960) / 48_000
                tone = (16_000 * np.sin(2 * np.pi * 440 * t)).astype("<i2").tobytes()
                for number in range(75):
                    at = 2**24 + 20_000 + number
                    packet = Packet(Kind.MICROPHONE, at, at * 960, tone)
                    await client.socket.send(packet.pack())
                    await client.socket.send(Packet(Kind.ACKNOWLEDGEMENT, client.received).pack())
                    await asyncio.sleep(0.02)
                pcm = b"".join(came.packet.payload for came in client.voice[-25:])
                assert np.abs(np.frombuffer(pcm, "<i2")).max() > 8000, f"{case}: it stays deaf"
                assert len(client.face) > seen + 5, case
                assert client.closed is None, case

        async with asyncio.TaskGroup() as visits:
            for case in ODD:
                visits.create_task(visit(case))
        await asyncio.sleep(0.1)
        assert not engine.sessions and len(server.app.state.sessions) == 0


@pytest.mark.parametrize(
    ("packets", "sentence"),
    [
        ([microphone(0), microphone(2)], "packet 2 is not 1"),
        ([microphone(1), microphone(0)], "packet 0 is not 2"),
        ([microphone(0), microphone(0)], "packet 0 is not 1"),
        ([microphone(0, bytes(1921))], "whole samples"),
    ],
)
async def test_speech_is_refused_out_of_order_for_a_word_would_be_lost(
    serving: Serving, packets: list[bytes], sentence: str
) -> None:
    engine = FakeEngine()
    async with serving(engine) as server:
        queued = {"codec": "pcm16", "rate": 24_000, "queued": True}
        code, _, last = await refusal(server, hello(microphone=queued), *packets)
        assert code == 4400 and sentence in last["detail"]
        assert not engine.sessions and len(server.app.state.sessions) == 0


@pytest.mark.parametrize(
    "first",
    [microphone(), Packet(Kind.ACKNOWLEDGEMENT, 1).pack(), b"", json.dumps(hello()), "null"],
)
async def test_whatever_comes_before_a_hello_opens_nothing(
    serving: Serving, first: str | bytes
) -> None:
    engine = FakeEngine()
    async with serving(engine) as server:
        code, reason, last = await refusal(server, first, microphone(1), hello())
        assert code == 4400 and last["status"] == 400 and reason
        assert not engine.sessions and len(server.app.state.sessions) == 0
