"""The virtual camera: when pictures are shown, what is said where a device is absent, the path."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.browser import Served
from tests.clients.test_session import TOKEN, running
from tests.server.fake_engine import read_index, read_level
from visavis.cli.exit_codes import ExitCode
from visavis.cli.main import main
from visavis.clients import pulse
from visavis.clients.camera import CameraStats, open_camera, show
from visavis.clients.errors import ClientError
from visavis.clients.playout import MARGIN_S, MOST, Playout
from visavis.clients.session import AvatarSession

pyvirtualcam = pytest.importorskip("pyvirtualcam")
RATE = 48_000


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with running() as served:
        yield served


class FakeDevice:
    """A backend of pyvirtualcam that keeps what it is sent."""

    opened: list[FakeDevice] = []

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, **more: Any) -> None:
        self.size = width, height
        self.sent: list[np.ndarray[Any, Any]] = []
        self.closed = False
        FakeDevice.opened.append(self)

    def send(self, frame: np.ndarray[Any, Any]) -> None:
        self.sent.append(frame.copy())

    def close(self) -> None:
        self.closed = True

    def device(self) -> str:
        return "fake"

    def native_fourcc(self) -> None:
        return None


class Absent(FakeDevice):
    def __init__(self, **options: Any) -> None:
        raise RuntimeError("'v4l2loopback' backend: No v4l2 loopback device found")


class Tone:
    """A microphone: a second of silence, then a tone, in step with time."""

    async def pieces(self) -> AsyncIterator[bytes]:
        begin = asyncio.get_running_loop().time()
        for number in range(10_000):
            await asyncio.sleep(begin + 0.02 * number - asyncio.get_running_loop().time())
            t = np.arange(960 * number, 960 * (number + 1)) / RATE
            level = 0.5 if number > 75 else 0.0
            yield (level * np.sin(2 * np.pi * 440 * t) * 32767).astype("<i2").tobytes()


class Ear:
    def __init__(self) -> None:
        self.played: list[bytes] = []

    def play(self, pcm16: bytes) -> None:
        self.played.append(pcm16)


async def test_the_face_is_the_camera_and_the_voice_the_microphone(served: Served) -> None:
    pyvirtualcam.register_backend("fake", FakeDevice)
    stats, ear = CameraStats(), Ear()
    async with await AvatarSession.open(served.url, token=TOKEN, rate=RATE, live=True) as session:
        with pytest.raises(ValueError, match="no segments"):
            await session.end_segment()
        camera = open_camera(session.width, session.height, session.fps, backend="fake")
        showing = asyncio.create_task(show(session, camera, Tone(), ear, stats=stats))
        await asyncio.sleep(4.0)
        showing.cancel()
        await asyncio.wait([showing])
        camera.close()
        size = session.width, session.height
    device = FakeDevice.opened[-1]
    assert device.closed and device.size == size
    assert stats.shown == len(device.sent) > 40
    pictures = [frame.reshape(size[1] * 3 // 2, size[0]) for frame in device.sent]
    indices = [read_index(picture[: size[1]]) for picture in pictures]
    assert indices == sorted(indices), "time runs one way"
    levels = [read_level(picture[: size[1]]) for picture in pictures]
    assert max(levels) > 0.3 and min(levels) < 0.1
    voice = np.frombuffer(b"".join(ear.played), "<i2") / 32768
    assert np.abs(voice).max() > 0.3


async def test_it_says_when_the_session_ends(served: Served) -> None:
    pyvirtualcam.register_backend("fake", FakeDevice)
    session = await AvatarSession.open(served.url, token=TOKEN, rate=RATE, live=True)
    camera = open_camera(session.width, session.height, session.fps, backend="fake")
    showing = asyncio.create_task(show(session, camera, None, None))
    await asyncio.sleep(0.2)
    await session.close()
    with pytest.raises(ClientError, match="has ended"):
        await asyncio.wait_for(showing, 5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 0.3), min_size=5, max_size=60))
def test_pictures_come_in_order_and_never_early(late: list[float]) -> None:
    playout: Playout[int] = Playout()
    arrivals, shown, last = [], [], 0.0
    for number, extra in enumerate(late):  # what comes over one connection comes in order
        last = max(last, 0.04 * number + 0.1 + extra)
        arrivals.append(last)
    now, waiting = 0.0, list(enumerate(arrivals))
    while now < arrivals[-1] + 1:
        while waiting and waiting[0][1] <= now:
            number, came = waiting.pop(0)
            playout.put(0.04 * number, number, came)
        if (picture := playout.due(now)) is not None:
            shown.append((now, picture))
        now += 0.005
    numbers = [number for _, number in shown]
    assert numbers == sorted(set(numbers)) and numbers[-1] == len(late) - 1
    assert len(numbers) + playout.dropped == len(late)
    quickest = min(came - 0.04 * number for number, came in enumerate(arrivals))
    for when, number in shown:
        assert when >= 0.04 * number + quickest + MARGIN_S - 1e-9 or when >= arrivals[number]


def test_steady_pictures_are_all_shown_a_margin_after_they_came() -> None:
    playout: Playout[int] = Playout()
    for number in range(50):
        now = 0.04 * number + 0.1
        playout.put(0.04 * number, number, now)
        assert playout.due(now + MARGIN_S - 0.001) is None
        assert playout.due(now + MARGIN_S + 0.001) == number
    assert playout.dropped == 0


def test_a_camera_that_nobody_asks_keeps_little() -> None:
    playout: Playout[int] = Playout()
    for number in range(100):
        playout.put(0.04 * number, number, 0.04 * number)
    assert playout.dropped == 100 - MOST
    playout.clear()
    assert playout.due(1e9) is None


def test_where_there_is_no_camera_it_says_how_to_make_one() -> None:
    pyvirtualcam.register_backend("absent", Absent)
    with pytest.raises(ClientError, match="modprobe v4l2loopback"):
        open_camera(512, 512, 25, backend="absent")


async def test_where_there_is_no_sink_it_says_how_to_make_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    program = tmp_path / "pactl"
    program.write_text("#!/bin/sh\nprintf '0\\talsa_output\\tmodule\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClientError, match=r"pactl load-module module-null-sink sink_name=visavis"):
        await pulse.Speaker().open()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ClientError, match="apt-get install pulseaudio-utils"):
        await pulse.Speaker().open()


async def test_sound_that_does_not_fit_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name, words in (("pactl", "printf '0\\tvisavis\\tm\\n'"), ("pacat", "exec sleep 60")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{words}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    speaker = pulse.Speaker()
    await speaker.open()
    for _ in range(10):
        speaker.play(bytes(1920))
    assert speaker.dropped >= 7, "a device that takes nothing must not let the delay grow"
    await speaker.close()
    await speaker.close()


def test_the_command_says_when_there_is_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["camera", "--server", "http://127.0.0.1:1"]) == ExitCode.STARTUP_FAILURE
    assert "cannot be reached" in capsys.readouterr().err
