"""The avatar into a service: face and voice as they were made, together, from a real server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.responses import PlainTextResponse

from tests.browser import Served
from tests.clients.here import server_here, until
from tests.clients.test_audio_file import spoken
from tests.clients.test_session import TOKEN, running
from tests.clients.whip_receiver import Publication, loudness, receiving
from tests.server.fake_engine import FakeEngine, read_index, read_level
from visavis.cli.exit_codes import ExitCode
from visavis.cli.main import main
from visavis.clients.errors import Refused
from visavis.clients.publish.program import Options, publish
from visavis.clients.publish.publisher import PublishStats

RATE = 48_000


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with running() as served:
        yield served


class Bursts:
    """A microphone: a tone in the last third of every 0.6 s, in step with time."""

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        clock = asyncio.get_running_loop().time
        begin = clock()
        for number in range(10_000):
            await asyncio.sleep(max(0.0, begin + 0.02 * number - clock()))
            t = np.arange(960 * number, 960 * (number + 1)) / RATE
            level = 0.5 if number % 30 >= 20 else 0.0
            yield (level * np.sin(2 * np.pi * 440 * t) * 32767).astype("<i2").tobytes()


class Ends:
    """One that ends."""

    def __init__(self, seconds: float) -> None:
        self._pieces = round(seconds * 50)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        for _ in range(self._pieces):
            await asyncio.sleep(0.02)
            yield bytes(1920)


@contextlib.asynccontextmanager
async def publishing(
    options: Options, said: list[str], source: object | None = None
) -> AsyncIterator[asyncio.Task[PublishStats]]:
    stopped = asyncio.Event()
    task = asyncio.create_task(publish(options, source, stopped, say=said.append))  # type: ignore[arg-type]
    try:
        yield task
    finally:
        stopped.set()
        await asyncio.wait([task])


def onsets(times: list[float], loud: list[bool]) -> list[float]:
    """When it became loud."""
    return [at for at, before, now in zip(times[1:], loud, loud[1:], strict=False) if now > before]


def flashes_and_beeps(came: Publication) -> tuple[list[float], list[float]]:
    face, voice = came.face, came.voice
    bright = [read_level(luma) > 0.2 for _, luma in face.frames]
    audible = [loudness(pcm) > 0.2 for _, pcm in voice.frames]
    return (
        onsets([face.seconds(at) for at, _ in face.frames], bright),
        onsets([voice.seconds(at) for at, _ in voice.frames], audible),
    )


async def test_face_and_voice_arrive_together_and_are_not_compressed_again(served: Served) -> None:
    said: list[str] = []
    async with receiving() as service:
        options = Options(service.url, served.url, bearer="key", token=TOKEN, key_seconds=0.8)
        async with publishing(options, said, Bursts()) as task:
            await until(lambda: service.came)
            (came,) = service.came
            await until(lambda: len(came.voice.frames) > 130 and len(came.face.reports) > 1)
        stats = task.result()
    first, last = service.asked
    assert (first.method, first.path, first.bearer) == ("POST", "/live/whip", "Bearer key")
    assert first.content_type == "application/sdp"
    assert (last.method, last.path, last.bearer) == ("DELETE", "/session/1", "Bearer key")
    assert came.codecs == ["audio/opus", "video/H264"]
    assert first.body.count("a=sendonly") == 2 and "VP8" not in first.body

    indices = [read_index(luma) for _, luma in came.face.frames]
    assert len(indices) > 50 and indices == sorted(set(indices)), "each picture once, in order"
    times = [came.face.seconds(at) for at, _ in came.face.frames]
    paces = np.diff(times) / np.diff(indices)
    assert np.allclose(paces, 0.04, atol=1e-3), "a picture's timestamp is its own media time"
    assert stats.key_frames >= 2, "unasked"

    flashes, beeps = flashes_and_beeps(came)
    assert len(beeps) >= 3
    for beep in beeps[1:-1]:
        # Picture k shows how loud [40k, 40k + 40) ms is; a packet of voice has 20 ms.
        assert min(abs(flash - beep) for flash in flashes) < 0.045
    for stream in (came.voice, came.face):
        spread = np.ptp([stream.seconds(0, n) for n in range(len(stream.reports))])
        assert spread < 1e-3, "every report says the same: a late packet moves no lips"
    assert said[0].startswith(f"fake goes to {service.url}") and said[1].startswith("Connected")


async def test_a_viewer_that_asks_gets_a_key_frame(served: Served) -> None:
    async with receiving() as service:
        options = Options(service.url, served.url, token=TOKEN, key_seconds=60.0, codec="vp8")
        async with publishing(options, []) as task:
            await until(lambda: service.came and len(service.came[0].face.frames) > 10)
            assert service.came[0].codecs[1] == "video/VP8"
            await service.came[0].key_frame()
            await asyncio.sleep(0.5)
        assert task.result().key_frames == 2, "the first one, and the one that was asked for"


async def test_a_lost_connection_is_made_again(served: Served) -> None:
    said: list[str] = []
    async with receiving() as service:
        options = Options(service.url, served.url, token=TOKEN)
        async with publishing(options, said):
            await until(lambda: service.came and len(service.came[0].face.frames) > 5)
            await service.came[0].connection.close()
            await until(lambda: len(service.came) == 2 and len(service.came[1].face.frames) > 5)
            first, second = service.came
            gap = second.face.seconds(0, 0) if second.face.reports else None
            assert gap is None or gap > first.face.seconds(0, 0), "media time goes on"
    assert any("lost" in sentence and "again in" in sentence for sentence in said)
    assert [asked.method for asked in service.asked] == ["POST", "DELETE", "POST", "DELETE"]


async def test_the_end_of_the_source_is_the_end(served: Served) -> None:
    async with receiving() as service:
        options = Options(service.url, served.url, token=TOKEN)
        stats = await asyncio.wait_for(publish(options, Ends(0.3), asyncio.Event()), 20)
        assert stats.connections == 1 and stats.voice > 20
        assert service.asked[-1].method == "DELETE"


async def test_when_the_avatars_server_goes_another_session_takes_its_place() -> None:
    said: list[str] = []
    async with receiving() as service:
        async with (
            server_here(FakeEngine()) as server,
            publishing(Options(service.url, server.url), said),
        ):
            await until(lambda: service.came and len(service.came[0].face.frames) > 10)
            (came,) = service.came
            sessions = server.app.state.sessions
            (identifier,) = sessions._sessions
            await sessions.close(identifier)
            before = len(came.face.frames)
            await until(lambda: len(came.face.frames) > before + 5)
            assert len(service.came) == 1, "the service's connection stays"
        times = [at for at, _ in came.face.frames]
        assert times == sorted(times) and max(np.diff(times)) > 0.5 * 90_000
    assert "The avatar's server is there again." in said


async def test_a_service_that_refuses_ends_it_with_a_sentence(served: Served) -> None:
    async with receiving() as service:
        service.replies = [lambda request: PlainTextResponse("no such key\n", 401)]
        options = Options(service.url, served.url, token=TOKEN)
        with pytest.raises(Refused, match=r"wants a token.*\(401\).*no such key") as caught:
            await asyncio.wait_for(publish(options, None, asyncio.Event()), 20)
        assert caught.value.status == 401 and len(service.asked) == 1


async def test_our_own_server_takes_the_voice(served: Served) -> None:
    """What one server sends is the microphone of a session of another."""
    engine = FakeEngine()
    async with server_here(engine) as other:
        options = Options(f"{other.url}/whip/fake", served.url, token=TOKEN)
        async with publishing(options, [], Bursts()):
            await until(lambda: engine.sessions)
            (session,) = engine.sessions
            await until(lambda: np.abs(session._pcm).max(initial=0.0) > 0.2)
        await until(lambda: not engine.sessions)


async def test_the_command_publishes_a_file_until_it_is_interrupted(
    served: Served, tmp_path: Path
) -> None:
    path = spoken(tmp_path / "tone.wav", 0.5, 48_000)
    async with receiving() as service:
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "visavis", "publish", "--whip", f"{service.url}?key=hidden"),
            *("--server", served.url, "--token", TOKEN, "--audio", str(path), "--loop"),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "VISAVIS_BEARER": "key"},
        )
        try:
            await until(
                lambda: (
                    service.came
                    and any(loudness(pcm) > 0.2 for _, pcm in service.came[0].voice.frames)
                )
            )
            command.send_signal(signal.SIGINT)
            out, _ = await asyncio.wait_for(command.communicate(), 10)
        finally:
            if command.returncode is None:
                command.kill()
                await command.wait()
    assert command.returncode == ExitCode.OK
    said = out.decode()
    assert said.startswith(f"fake goes to {service.url}.\nConnected")
    assert "pictures and" in said and "hidden" not in said
    assert [one.method for one in service.asked] == ["POST", "DELETE"]
    assert service.asked[0].bearer == "Bearer key"


def test_the_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    def failing(*arguments: str) -> str:
        whip = ["--whip", "http://127.0.0.1:1/whip", "--silent"]
        assert main(["publish", *whip, *arguments]) == ExitCode.STARTUP_FAILURE
        return capsys.readouterr().err

    assert "cannot be reached" in failing("--server", "http://127.0.0.1:1")
    assert "no address to publish to" in failing("--whip", "live.example/whip")
    assert "--loop is about --audio" in failing("--loop")
    assert "between 0.5 and 60" in failing("--key-frames", "0")
    assert "no colour" in failing("--background", "#12345")
