"""A peer that loses its connection and goes on over another one."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine, read_index
from tests.server.peers import Client, tone_bursts
from tests.server.sockets import SocketClient, hello
from tests.server.test_live import frames_of, sound_of
from tests.server.test_sdp import offer
from tests.server.test_ws_refusals import refusal
from tests.server.test_ws_session import pictures
from visavis.server.errors import WrongResumeToken
from visavis.server.resume import ResumeToken

SDP = {"Content-Type": "application/sdp"}


def test_a_token_is_good_once() -> None:
    token = ResumeToken()
    first = token.value
    for wrong in ("", first[:-1], first + "x", ResumeToken().value, "\udcff"):
        with pytest.raises(WrongResumeToken):
            token.take(wrong)
    token.take(first)
    with pytest.raises(WrongResumeToken):
        token.take(first)  # it is in use
    token.give_back()
    token.take(first)
    token.renew()
    assert token.value != first
    with pytest.raises(WrongResumeToken):
        token.take(first)


@pytest.mark.parametrize("suspended", [False, True])
async def test_a_peer_that_vanished_goes_on_where_it_was(serving: Serving, suspended: bool) -> None:
    engine = FakeEngine(places=1)
    pcm = tone_bursts(12, every=0.5, length=0.4)
    async with (
        serving(engine, suspend_seconds=1.0) as server,
        Client(server, pcm) as lost,
        http(server) as plain,
    ):
        await lost.until(lambda: len(lost.face.packets) > 20)
        assert (await plain.post(f"{lost.location}/clear")).status_code == 204
        place = next(iter(engine.sessions))
        before = await lost.stats()
        lost.vanish()
        if suspended:
            await lost.until(lambda: not engine.sessions)
            assert (await lost.stats())["state"] == "suspended"
            # Consent to send expires (RFC 7675) while the session is still kept.
            session = next(iter(server.app.state.sessions._sessions.values())).session
            ice = session._peer._connection.getTransceivers()[0].sender.transport.transport
            await ice.iceGatherer._connection.close()
            await lost.until(lambda: session._peer.state == "closed")
            assert (await lost.stats())["state"] == "suspended"
        async with Client(server, pcm, resume=lost) as back:
            assert back.location == lost.location
            assert back.resume_token != lost.resume_token
            await back.until(lambda: len(back.face.packets) > 50)
            await asyncio.sleep(0.5)
            after = await back.stats()
            assert (after["state"], after["resumes"]) == ("live", 1)
            # What was counted is still there, and one place is taken, not two.
            assert after["uptime_s"] > before["uptime_s"]  # type: ignore[operator]
            assert after["frames_sent"] > before["frames_sent"] + 20  # type: ignore[operator]
            assert len(engine.sessions) == 1
            assert (next(iter(engine.sessions)) is place) == (not suspended)
            # The first picture stands alone, and media time went on.
            indices = [read_index(luma) for _, _, luma in frames_of(back.face)]
            assert len(indices) > 20 and indices == sorted(set(indices))
            if not suspended:
                assert indices[0] > before["frames_sent"] * 0.8  # type: ignore[operator]
            # The new microphone is heard, and no old sound leaves in a burst.
            heard = sound_of(back.voice)
            assert max(float(np.abs(sound).max()) for _, sound in heard[30:]) > 3000
            assert heard[9][0].at - heard[0][0].at > 0.1
        await back.until(lambda: not engine.sessions)
        assert len(server.app.state.sessions) == 0


async def test_only_the_present_token_of_the_same_session_resumes(serving: Serving) -> None:
    engine = FakeEngine(places=2)
    async with (
        serving(engine) as server,
        Client(server, None) as one,
        Client(server, None) as other,
        http(server) as plain,
    ):
        await one.until(lambda: len(one.face.packets) > 10)

        async def ask(token: str, body: str = offer(), location: str = one.location) -> int:
            headers = {**SDP, "Visavis-Resume": token}
            response = await plain.post(f"{location}/resume", content=body, headers=headers)
            if response.status_code != 200:
                assert response.json()["detail"].endswith(".")
                assert "visavis-resume" not in response.headers
            return response.status_code

        assert await ask("") == 403
        assert await ask("x" * 24) == 403
        assert await ask(other.resume_token) == 403
        assert await ask(one.resume_token, location="/sessions/nobody") == 404
        # What cannot be answered does not cost the token, nor the session its connection.
        assert await ask(one.resume_token, body="v=0\r\n") == 422
        assert await ask(one.resume_token, body="hello") == 400
        count = len(one.face.packets)
        await one.until(lambda: len(one.face.packets) > count + 10)
        assert (await one.stats())["resumes"] == 0
        async with Client(server, None, resume=one) as back:
            await back.until(lambda: len(back.face.packets) > 10)
            assert await ask(one.resume_token) == 403  # used
            assert len(engine.sessions) == 2
            # The old connection has nothing to say any more, not even goodbye.
            await one.close(delete=False)
            count = len(back.face.packets)
            await back.until(lambda: len(back.face.packets) > count + 20)


async def test_who_comes_back_too_late_finds_nothing(serving: Serving) -> None:
    engine = FakeEngine(places=1)
    async with (
        serving(engine, suspend_seconds=0.3, resume_seconds=0.3) as server,
        Client(server, None) as lost,
        http(server) as plain,
    ):
        await lost.until(lambda: len(lost.face.packets) > 5)
        lost.vanish()
        await lost.until(lambda: len(server.app.state.sessions) == 0)
        response = await plain.post(
            f"{lost.location}/resume",
            content=offer(),
            headers={**SDP, "Visavis-Resume": lost.resume_token},
        )
        assert response.status_code == 404


async def test_a_place_that_was_given_away_is_not_taken_back(serving: Serving) -> None:
    engine = FakeEngine(places=1)
    async with (
        serving(engine, suspend_seconds=0.3) as server,
        Client(server, None) as lost,
        http(server) as plain,
    ):
        await lost.until(lambda: len(lost.face.packets) > 5)
        lost.vanish()
        await lost.until(lambda: not engine.sessions)
        headers = {**SDP, "Visavis-Resume": lost.resume_token}
        async with Client(server, None) as guest:
            await guest.until(lambda: len(guest.face.packets) > 5)
            response = await plain.post(f"{lost.location}/resume", content=offer(), headers=headers)
            assert response.status_code == 503 and "retry-after" in response.headers
            assert (await lost.stats())["state"] == "suspended"
        await guest.until(lambda: not engine.sessions)
        # The token is still good.
        async with Client(server, None, resume=lost) as back:
            await back.until(lambda: len(back.face.packets) > 5)


async def test_a_broken_socket_goes_on_over_another(serving: Serving) -> None:
    engine = FakeEngine(places=1)
    pcm = tone_bursts(12, every=0.5, length=0.4)
    async with serving(engine) as server:
        async with SocketClient(server, pcm) as lost:
            await lost.until(lambda: len(lost.face) > 20)
            lost.socket.transport.abort()
            await lost.until(lambda: not engine.sessions)  # at once, not after four seconds
        assert len(server.app.state.sessions) == 1
        again = {"session": lost.config["session"], "token": lost.config["resume"]}
        async with SocketClient(server, pcm, hello={"resume": again}) as back:
            assert back.config["session"] == lost.config["session"]
            assert back.config["resume"] != lost.config["resume"]
            await back.until(lambda: len(back.face) > 30 and bool(back.texts))
            assert back.face[0].packet.key
            assert back.face[0].packet.pts > lost.face[-1].packet.pts
            assert back.texts[-1]["resumes"] == 1
            assert back.texts[-1]["frames_sent"] > 30
            shown = pictures(back.face)
            assert len(shown) > 25
        await back.until(lambda: not engine.sessions)
        assert len(server.app.state.sessions) == 0


async def test_from_one_path_to_the_other_and_back(serving: Serving) -> None:
    """On the way from a home to a hotel UDP is closed; afterwards it is open again."""
    engine = FakeEngine(places=1)
    pcm = tone_bursts(12, every=0.5, length=0.4)
    async with serving(engine) as server, Client(server, pcm, query="?codec=h264") as first:
        await first.until(lambda: len(first.face.packets) > 20)
        again = {"session": first.location, "token": first.resume_token}
        greeting = {"resume": again, "face": ["vp8"], "voice": ["pcm16"]}
        async with SocketClient(server, pcm, hello=greeting) as second:
            await second.until(lambda: len(second.face) > 30)
            assert len(pictures(second.face)) > 25
            first.location = second.config["session"]
            first.resume_token = second.config["resume"]
            async with Client(server, pcm, resume=first) as third:
                await third.until(lambda: len(third.face.packets) > 30)
                assert len(frames_of(third.face)) > 15
                report = await third.stats()
                assert (report["path"], report["resumes"]) == ("webrtc", 2)
                assert len(engine.sessions) == 1


@pytest.mark.parametrize("resume", [1, {}, {"session": "x"}, {"session": 1, "token": "x"}])
async def test_a_hello_that_resumes_nothing(serving: Serving, resume: object) -> None:
    async with serving() as server:
        assert (await refusal(server, hello(resume=resume)))[0] == 4400
        nobody = {"session": "nobody", "token": "x"}
        assert (await refusal(server, hello(resume=nobody)))[0] == 4404
