"""The Python client against a real server: speech in, voice and face out, barge-in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from tests.browser import Served, serve_in_thread
from tests.server.fake_engine import FakeEngine, read_level
from visavis.clients.errors import ClientError, Refused
from visavis.clients.session import (
    AvatarSession,
    Event,
    Picture,
    PlaybackFinished,
    PlaybackStarted,
    Voice,
)
from visavis.clients.wire import Kind, pack, socket_address
from visavis.server.app import create_app
from visavis.server.config import ServerConfig

RATE = 24_000


TOKEN = "secret"


@contextlib.contextmanager
def running() -> Iterator[Served]:
    """A real server with the fake engine, ready."""
    engine = FakeEngine(places=4)
    config = ServerConfig(requests_per_second=50, token=TOKEN)
    with serve_in_thread(create_app(config, engine)) as served:
        deadline = time.monotonic() + 20
        while httpx.get(f"{served.url}readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield served
    engine.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with running() as served:
        yield served


def tone(seconds: float) -> bytes:
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * 440 * t) * 32767).astype("<i2").tobytes()


def loud(voice: Voice) -> bool:
    return float(np.abs(voice.pcm).max()) > 0.1


async def take(session: AvatarSession, until: type[Event], events: list[Event]) -> Event:
    async for event in session:
        events.append(event)
        if isinstance(event, until):
            return event
    raise AssertionError("the session ended")


async def test_an_answer_is_said_whole_and_seen(served: Served) -> None:
    async with await AvatarSession.open(served.url, token="secret", rate=RATE) as session:
        assert (session.person, session.fps) == ("fake", 25)
        events: list[Event] = []
        begin = time.monotonic()
        await session.speak(tone(1.5))
        assert await session.end_segment() == 1
        assert time.monotonic() - begin < 1.0, "it is taken faster than it is said"
        finished = await asyncio.wait_for(take(session, PlaybackFinished, events), 20)
        assert finished == PlaybackFinished(1, 1.5, interrupted=False)
        assert events[0] != finished and PlaybackStarted(1) in events
        voice = np.concatenate([event.pcm for event in events if isinstance(event, Voice)])
        said = np.flatnonzero(np.abs(voice) > 0.05)
        assert abs((said[-1] - said[0]) / 48_000 - 1.5) < 0.05
        assert np.diff(said).max() < 480, "without a gap"
        pictures = [event for event in events if isinstance(event, Picture)]
        assert len(pictures) > 10
        assert pictures[0].i420.shape == (session.height * 3 // 2, session.width)
        # The fake engine's picture has a block that is as bright as the sound is loud.
        assert max(read_level(picture.i420) for picture in pictures) > 0.3
        for _ in range(40):
            last = await take(session, Picture, events)
        assert isinstance(last, Picture) and read_level(last.i420) < 0.1


async def test_barge_in_stops_the_voice_and_says_what_was_heard(served: Served) -> None:
    async with await AvatarSession.open(served.url, token="secret", rate=RATE) as session:
        events: list[Event] = []
        await session.speak(tone(20))
        await session.end_segment()
        async for event in session:
            events.append(event)
            if isinstance(event, Voice) and loud(event) and len(events) > 60:
                break
        heard = sum(len(event.pcm) for event in events if isinstance(event, Voice) and loud(event))
        await session.clear()
        after: list[Event] = []
        finished = await asyncio.wait_for(take(session, PlaybackFinished, after), 10)
        assert isinstance(finished, PlaybackFinished) and finished.interrupted
        assert finished.position_s < 15
        rest = sum(len(event.pcm) for event in after if isinstance(event, Voice) and loud(event))
        assert abs((heard + rest) / 48_000 - finished.position_s) < 0.06
        # Silence follows, and another answer can be said.
        quiet: list[Event] = []
        for _ in range(20):
            await take(session, Voice, quiet)
        assert not any(loud(event) for event in quiet[-10:] if isinstance(event, Voice))
        await session.speak(tone(0.3))
        assert await session.end_segment() == 2
        assert await asyncio.wait_for(take(session, PlaybackFinished, quiet), 10) == (
            PlaybackFinished(2, 0.3, interrupted=False)
        )


async def test_numbers_stay_in_step_when_an_open_segment_is_cleared(served: Served) -> None:
    async with await AvatarSession.open(served.url, token="secret", rate=RATE) as session:
        events: list[Event] = []
        await session.speak(tone(5))
        await session.clear()
        first = await asyncio.wait_for(take(session, PlaybackFinished, events), 10)
        assert isinstance(first, PlaybackFinished) and (first.segment, first.interrupted) == (
            1,
            True,
        )
        await session.speak(tone(0.1))
        assert await session.end_segment() == 2
        second = await asyncio.wait_for(take(session, PlaybackFinished, events), 10)
        assert second == PlaybackFinished(2, 0.1, interrupted=False)


async def test_refusals(served: Served) -> None:
    with pytest.raises(Refused, match="token") as caught:
        await AvatarSession.open(served.url, token="wrong")
    assert caught.value.status == 401
    with pytest.raises(Refused) as caught:
        await AvatarSession.open(served.url, token="secret", person="nobody")
    assert caught.value.status == 404
    with pytest.raises(ClientError, match="cannot be reached"):
        await AvatarSession.open("http://127.0.0.1:1")
    with pytest.raises(ClientError, match="no address of a server"):
        await AvatarSession.open("localhost:8000")
    async with await AvatarSession.open(served.url, token="secret") as session:
        with pytest.raises(ValueError, match="whole samples"):
            await session.speak(b"\0\0\0")
    with pytest.raises(ClientError):
        await session.speak(b"\0\0")


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([pack(Kind.MICROPHONE, 0, 0, b"\0")], "whole samples"),
        ([pack(Kind.MICROPHONE, 0, 0, b"\0\0"), pack(Kind.MICROPHONE, 2, 0, b"\0\0")], "in order"),
    ],
)
async def test_frames_of_wrong_size_or_order(
    served: Served, messages: list[bytes], words: str
) -> None:
    hello = {"type": "hello", "version": 1, "token": "secret", "voice": ["pcm16"]}
    hello["microphone"] = {"codec": "pcm16", "rate": RATE, "queued": True}  # type: ignore[assignment]
    async with connect(socket_address(served.url)) as socket:
        await socket.send(json.dumps(hello))
        for message in messages:
            await socket.send(message)
        said = []
        with pytest.raises(ConnectionClosedError, match="4400"):
            async for data in socket:
                if isinstance(data, str):
                    said.append(json.loads(data))
    assert said[-1]["type"] == "error" and words in said[-1]["detail"]


async def test_more_than_may_wait_is_refused_and_can_be_sent_again(served: Served) -> None:
    hello = {"type": "hello", "version": 1, "token": "secret", "voice": ["pcm16"]}
    hello["microphone"] = {"codec": "pcm16", "rate": 16_000, "queued": True}  # type: ignore[assignment]
    piece = b"\0\0" * 4000  # a quarter of a second
    async with connect(socket_address(served.url)) as socket:
        await socket.send(json.dumps(hello))
        for number in range(490):
            await socket.send(pack(Kind.MICROPHONE, number, 0, piece))
        refused = None
        async for data in socket:
            message = json.loads(data) if isinstance(data, str) else {}
            if message.get("type") == "refused":
                refused = message
                break
        assert refused is not None and "At most 120 s" in refused["detail"]
        assert 478 <= refused["sequence"] <= 489
        await socket.send(json.dumps({"type": "clear"}))
        await socket.send(pack(Kind.MICROPHONE, refused["sequence"], 0, piece))
        await socket.send(json.dumps({"type": "end"}))
        async for data in socket:
            message = json.loads(data) if isinstance(data, str) else {}
            if message.get("type") == "playback_finished" and not message["interrupted"]:
                assert message["position_ms"] == 250
                return
    raise AssertionError("the connection was closed")
