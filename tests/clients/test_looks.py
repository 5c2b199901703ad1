"""Looks from a client: what a command line names, and what a session then looks like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.responses import JSONResponse, PlainTextResponse

from tests.clients.here import server_here
from tests.clients.whip_receiver import receiving
from tests.server.fake_engine import FakeEngine, read_index
from visavis.cli.exit_codes import ExitCode
from visavis.cli.main import main
from visavis.clients.errors import ClientError, Refused
from visavis.clients.event_queue import EVENTS
from visavis.clients.events import CodedPicture, CodedVoice, Picture
from visavis.clients.looks import MOST_BYTES, Look, read_look, take_look
from visavis.clients.session import AvatarSession
from visavis.clients.wire import Kind, pack

RATE = 24_000


def png(path: Path, luma: int) -> Path:
    """A plain grey picture."""
    with av.open(str(path), "w", format="image2") as file:
        stream = file.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "rgb24"
        grey = np.full((64, 64, 3), luma, np.uint8)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        file.mux(stream.encode())
    return path


async def picture(session: AvatarSession, after: int = 12) -> NDArray[np.uint8]:
    """A picture that came a while from now."""
    async for event in session:
        if isinstance(event, Picture):
            after -= 1
            if after < 0:
                return event.i420
    raise AssertionError("the session ended")


def corner(i420: NDArray[np.uint8]) -> float:
    """How bright it is right of the fake person's blocks, where there is only background."""
    return float(i420[8:56, 80:120].mean())


async def test_a_session_begins_with_what_was_chosen() -> None:
    async with server_here(FakeEngine(matte=True)) as server:
        async with await AvatarSession.open(
            server.url, rate=RATE, choices={"background": "#ffffff"}
        ) as session:
            shown = await picture(session)
            assert corner(shown) > 220, "white stands behind the person"
            chosen = await session.choose({"background": "#000000"})
            assert (chosen["background"], chosen["framing"]) == ("#000000", "filmed")
            assert corner(await picture(session)) < 30
            with pytest.raises(Refused) as caught:
                await session.choose({"background": "mauve"})
            assert caught.value.status == 422
            assert corner(await picture(session, 3)) < 30, "a refusal changes nothing"
            both = await asyncio.gather(
                session.choose({"background": "#ffffff"}), session.choose({"performance": None})
            )
            assert both[1]["background"] == "#ffffff", "answers come in order"
        with pytest.raises(Refused):
            await AvatarSession.open(server.url, choices={"background": {"picture": "nowhere"}})
        with pytest.raises(ClientError):
            await session.choose({})


async def test_transparent_pictures_are_twice_as_high() -> None:
    async with (
        server_here(FakeEngine(matte=True)) as server,
        await AvatarSession.open(
            server.url, rate=RATE, choices={"background": "transparent"}
        ) as session,
    ):
        assert (session.width, session.height) == (128, 256)
        shown = await picture(session)
        assert shown.shape == (384, 128)
        matte = shown[128:256]
        assert corner(shown) < 40 and matte[8:56, 80:120].mean() < 40
        assert matte[8:72, 8:56].mean() > 200, "the blocks are the person"


async def test_a_picture_of_ones_own_is_sent_first(tmp_path: Path) -> None:
    look = read_look(str(png(tmp_path / "wall.png", 250)), None)
    async with (
        server_here(FakeEngine(matte=True)) as server,
        await AvatarSession.open(server.url, rate=RATE) as session,
    ):
        assert corner(await picture(session)) < 120
        await take_look(session, look, server.url)
        for _ in range(100):  # those that came meanwhile are older
            if corner(await picture(session, 0)) > 200:
                return
        raise AssertionError("it is not shown")


async def test_what_the_server_says_of_a_picture_is_said() -> None:
    look = Look({"background": {"picture": "own"}}, b"\x89PNG\r\n\x1a\nnothing")

    class Session:
        address = "/sessions/abc"

        async def choose(self, choices: Any) -> None:
            raise AssertionError("nothing is chosen that is not there")

    async with receiving() as service:
        for reply, words in (
            (JSONResponse({"detail": "It is damaged."}, 422), "It is damaged"),
            (PlainTextResponse("x", 413), r"does not take the picture \(413\)"),
        ):
            service.puts = [reply]
            with pytest.raises(Refused, match=words):
                await take_look(Session(), look, service.url, "secret")  # type: ignore[arg-type]
        asked = service.asked[-1]
        assert (asked.method, asked.bearer, asked.content_type) == (
            "PUT",
            "Bearer secret",
            "image/png",
        )
        assert asked.path == "/live/whip/sessions/abc/background"
        with pytest.raises(ClientError, match="could not be sent"):
            await take_look(Session(), look, "http://127.0.0.1:1")  # type: ignore[arg-type]


async def test_packets_come_as_the_server_made_them() -> None:
    async with server_here(FakeEngine()) as server:
        async with await AvatarSession.open(server.url, codec="h264", live=True) as session:
            got: list[CodedPicture | CodedVoice] = []
            async for event in session:
                assert isinstance(event, CodedPicture | CodedVoice)
                got.append(event)
                if len(got) == 20:
                    await session.want_key_frame()
                if len(got) > 60:
                    break
        pictures = [one for one in got if isinstance(one, CodedPicture)]
        assert pictures[0].key and sum(one.key for one in pictures) == 2
        decoder: Any = av.CodecContext.create("h264", "r")
        frames = [f for one in pictures for f in decoder.decode(av.Packet(one.data))]
        indices = [read_index(f.to_ndarray()[: f.height]) for f in frames]
        assert indices == sorted(set(indices)) and len(indices) >= len(pictures) - 1
        voice = [one.pts for one in got if isinstance(one, CodedVoice)]
        assert set(np.diff(voice)) == {960}
        with pytest.raises(ValueError, match="no codec"):
            await AvatarSession.open(server.url, codec="av1")


class Socket:
    """A server that sends what it is told at once, and notes what is asked of it."""

    def __init__(self, messages: list[bytes]) -> None:
        self._messages = messages
        self.asked: list[str] = []

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for message in self._messages:
            yield message

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.asked.append(message)

    async def close(self) -> None: ...


async def test_of_too_many_packets_no_picture_is_kept_that_refers_to_a_lost_one() -> None:
    def face(number: int, key: bool) -> bytes:
        data = bytearray(pack(Kind.FACE, number, 1920 * number, b"f"))
        data[2] = key
        return bytes(data)

    late = EVENTS + 20  # pictures before anybody takes one; then one that stands alone
    messages = [face(n, n in (0, late)) for n in range(late + 10)]
    socket = Socket(messages)
    config = {"session": "/sessions/x", "person": "fake"}
    config["face"] = {"width": 128, "height": 128, "fps": 25, "codec": "h264"}  # type: ignore[assignment]
    session = AvatarSession(socket, config, 48_000, live=True, coded=True)  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    got = [event async for event in session if isinstance(event, CodedPicture)]
    assert [one.pts // 1920 for one in got] == list(range(late, late + 10)) and got[0].key
    assert session.dropped == late
    assert socket.asked == ['{"type": "key_frame"}'], "once"
    await session.close()


@pytest.mark.parametrize(
    ("background", "framing", "choices"),
    [
        (None, None, {}),
        ("blurred", "face", {"background": "blurred", "framing": "face"}),
        ("#30405A", None, {"background": "#30405A"}),
        ("office", "filmed", {"background": {"picture": "office"}, "framing": "filmed"}),
        (None, "1.5,0.5,0.25", {"framing": {"zoom": 1.5, "x": 0.5, "y": 0.25}}),
    ],
)
def test_options_become_choices(
    background: str | None, framing: str | None, choices: dict[str, Any]
) -> None:
    assert read_look(background, framing) == Look(choices)


def test_what_options_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(b"\xff\xd8\xff" + bytes(MOST_BYTES))
    (tmp_path / "text.png").write_text("hello")
    for background, words in (
        ("#12", "no colour"),
        (str(tmp_path / "absent.jpg"), "cannot be read: No such file"),
        (str(tmp_path / "large.jpg"), "larger than 8 MB"),
        (str(tmp_path / "text.png"), "neither a JPEG nor a PNG"),
    ):
        with pytest.raises(ClientError, match=words):
            read_look(background, None)
    for framing in ("near", "2", "1,2", "5,0.5,0.5", "2,-0.1,0", "nan,0,0", "2,0,inf"):
        with pytest.raises(ClientError, match="framing"):
            read_look(None, framing)


def test_a_camera_has_no_transparency(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["camera", "--background", "transparent"]) == ExitCode.STARTUP_FAILURE
    assert "no transparency" in capsys.readouterr().err
