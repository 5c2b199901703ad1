"""Looks of live sessions: what a real peer sees, and what is refused with nothing changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from aiortc.codecs import depayload
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from numpy.typing import NDArray

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine, draw_matte, draw_plate, read_index
from tests.server.look.picture_files import as_jpeg, as_png
from tests.server.peers import Client, tone_bursts
from tests.server.sockets import SocketClient
from tests.server.test_sdp import offer
from visavis.engines.client import ControlNames
from visavis.engines.errors import ConfigError, EngineAway
from visavis.engines.i420 import planes_of
from visavis.server.app import create_app
from visavis.server.config import ServerConfig
from visavis.server.look import routes
from visavis.server.look.badge import badge_for

U8 = NDArray[np.uint8]
SIZE = 192
RED, GREEN = (81, 90, 240), (145, 54, 34)
SDP = {"Content-Type": "application/sdp"}
JPEG, PNG = {"Content-Type": "image/jpeg"}, {"Content-Type": "image/png"}


def matte_engine(**changes: Any) -> FakeEngine:
    return FakeEngine(size=SIZE, matte=True, face=(0.5, 0.3, 0.2), **changes)


def solid_picture(*rgb: int) -> U8:
    return np.full((60, 80, 3), rgb, np.uint8)


class Screen:
    """Decodes what a peer gets, as it comes."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._decoder = av.CodecContext.create("libvpx", "r")
        self._parameters = RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90_000)
        self._done = 0
        self._parts = b""
        self.pictures: list[U8] = []

    async def shows(self, seen: Callable[[U8], bool], seconds: float = 8.0) -> U8:
        """Wait for a picture of that kind; returns it."""
        found: list[U8] = []

        def look() -> bool:
            found.extend(picture for picture in self._new() if seen(picture))
            return bool(found)

        await self._client.until(look, seconds)
        return found[-1]

    def _new(self) -> list[U8]:
        before = len(self.pictures)
        packets = sorted(self._client.face.packets, key=lambda packet: packet.sequence)
        for packet in packets[self._done :]:
            self._done += 1
            if packet.payload:
                self._parts += depayload(self._parameters, packet.payload)
            if packet.marker:
                frames = self._decoder.decode(av.Packet(self._parts))  # type: ignore[attr-defined]
                self.pictures += [frame.to_ndarray() for frame in frames]
                self._parts = b""
        return self.pictures[before:]


def corner(picture: U8) -> tuple[float, ...]:
    """Y, U and V at the top right, where nobody stands."""
    return tuple(float(plane[2:8, -8:-2].mean()) for plane in planes_of(picture))


def is_near(color: tuple[int, ...]) -> Callable[[U8], bool]:
    return lambda picture: np.abs(np.subtract(corner(picture), color)).max() < 8


def disc(picture: U8, index: int) -> U8:
    """The luma of the person's disc, but for its edge and where the badge may be."""
    matte = draw_matte(index, SIZE, SIZE)
    matte[:, :112] = 0
    matte[: SIZE // 2] = 0
    return picture[:SIZE][matte == 255]


def badge_part(picture: U8) -> U8:
    badge = badge_for(SIZE, SIZE)
    assert badge is not None
    rows, columns = badge.keep.shape
    return picture[badge.y : badge.y + rows, badge.x : badge.x + columns]


def disc_is_away(picture: U8) -> bool:
    """Whether nothing of the person is where the badge would be."""
    return int(badge_part(draw_matte(read_index(picture), SIZE, SIZE)).max()) == 0


def choose(server_url: str, location: str, **changes: Any) -> Any:
    async def ask() -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=server_url, verify=False) as client:
            response = await client.post(f"{location}/controls", json=changes)
            assert response.status_code == 200, response.text
            answer: dict[str, Any] = response.json()
            return answer

    return ask()


async def test_a_peer_sees_what_was_chosen(serving: Serving) -> None:
    engine = matte_engine()
    async with serving(engine) as server, Client(server, tone_bursts(2)) as client:
        screen = Screen(client)
        plate = draw_plate(SIZE, SIZE)
        filmed = await screen.shows(is_near(tuple(p[4, -4] for p in planes_of(plate))))
        assert filmed.shape == (SIZE * 3 // 2, SIZE)
        assert badge_part(filmed).max() > 200 and np.percentile(badge_part(filmed), 20) < 60

        answer = await choose(server.url, client.location, background="#ff0000")
        assert answer == {
            "style": None,
            "head": "own",
            "performance": None,
            "background": "#ff0000",
            "framing": "filmed",
        }

        def red_with_a_disc(picture: U8) -> bool:
            return is_near(RED)(picture) and len(disc(picture, read_index(picture))) > 300

        red = await screen.shows(red_with_a_disc)
        assert np.abs(disc(red, read_index(red)).astype(int) - 200).mean() < 8
        assert badge_part(red).max() > 200

        await choose(server.url, client.location, background="transparent")
        stacked = await screen.shows(lambda picture: picture.shape[0] == SIZE * 3)
        stacked = await screen.shows(lambda picture: picture[SIZE : 2 * SIZE].min() < 30)
        matte = draw_matte(read_index(stacked), SIZE, SIZE).astype(float)
        below = stacked[SIZE : 2 * SIZE, 112:]
        assert np.abs(below - (16 + matte[:, 112:] * 219 / 255)).mean() < 6
        assert stacked[:SIZE, 112:][matte[:, 112:] == 0].mean() < 30
        assert (await client.stats())["frame_height"] == 2 * SIZE

        answer = await choose(
            server.url, client.location, background="filmed", framing={"zoom": 2, "x": 0, "y": 0}
        )
        assert answer["framing"] == {"zoom": 2.0, "x": 0.0, "y": 0.0}
        near = await screen.shows(
            lambda picture: (
                picture.shape == (SIZE * 3 // 2, SIZE)
                and is_near(tuple(p[-8, p.shape[1] // 2 - 6] for p in planes_of(plate)))(picture)
            )
        )
        assert read_index(near[:SIZE:2, ::2].copy()) > 0  # its blocks are twice as large
        assert (await client.stats())["frame_height"] == SIZE
        told = [one["matte"] for one in next(iter(engine.sessions)).told if "matte" in one]
        assert told == [True, False]


async def test_no_badge_where_it_was_left_away(serving: Serving) -> None:
    async with (
        serving(matte_engine(), badge=False) as server,
        Client(server, tone_bursts(2)) as client,
    ):
        screen = Screen(client)
        await choose(server.url, client.location, background="#00ff00")

        picture = await screen.shows(lambda seen: is_near(GREEN)(seen) and disc_is_away(seen))
        assert np.abs(badge_part(picture).astype(int) - GREEN[0]).max() < 12


async def test_messages_choose_a_look_too(serving: Serving) -> None:
    engine = matte_engine()
    async with serving(engine) as server, SocketClient(server, tone_bursts(2)) as client:
        await client.until(lambda: len(client.face) > 3)
        await client.socket.send('{"type": "control", "background": "blurred", "framing": "face"}')
        await client.socket.send('{"type": "control", "framing": "feet"}')
        await client.socket.send('{"type": "control", "matte": true}')
        await client.socket.send('{"type": "control", "framing": {"zoom": 1' + "0" * 400 + "}}")
        await client.until(lambda: sum("controls" in text["type"] for text in client.texts) == 4)
        chosen, *refused = [text for text in client.texts if "controls" in text["type"]]
        assert (chosen["background"], chosen["framing"]) == ("blurred", "face")
        assert "matte" not in chosen
        assert [text["status"] for text in refused] == [422] * 3
        assert [text["detail"].split("'")[1] for text in refused[:2]] == ["feet", "matte"]
        shown = len(client.face)
        await client.until(lambda: len(client.face) > shown + 3)


async def test_a_refusal_changes_nothing(serving: Serving) -> None:
    """The toys: half of a choice is made; a matte is drawn for nobody."""
    engine = matte_engine(controls=ControlNames(heads=("own", "still")))
    plates: list[Any] = []

    def away(person: str) -> bytes | None:
        plates.append(person)
        raise EngineAway

    async with serving(engine) as server, http(server) as client:
        location = (await client.post("/sessions", content=offer(), headers=SDP)).headers[
            "location"
        ]
        path = f"{location}/controls"
        start = (await client.get(path)).json()
        engine.plate = away  # type: ignore[method-assign]
        for changes, status in (
            ({"background": "#ff0000", "head": "sideways"}, 503),
            ({"framing": "face", "head": "sideways"}, 422),
            ({"head": "still", "background": "beach"}, 422),
            ({"head": "still", "framing": {"zoom": 9}}, 422),
            ({"head": "still", "matte": True}, 422),
            ({"head": "still", "background": {"picture": "own"}}, 422),
            ({"background": "#ff0000"}, 503),
        ):
            refused = await client.post(path, json=changes)
            assert refused.status_code == status, changes
            assert (await client.get(path)).json() == start
        del engine.plate  # type: ignore[method-assign]
        refused = await client.post(path, json={"background": "#ff0000", "head": "sideways"})
        assert refused.status_code == 422 and "sideways" in refused.json()["detail"]
        assert (await client.get(path)).json() == start
        (session,) = engine.sessions
        assert plates and not any("matte" in told or "head" in told for told in session.told)
        chosen = await client.post(path, json={"background": "#ff0000", "head": "still"})
        assert chosen.json() == {
            **start,
            "background": "#ff0000",
            "head": "still",
        }
        assert session.told[-1] == {"head": "still", "matte": True}
        # With the matte there already, another background is the server's own business.
        await client.post(path, json={"background": "#00ff00"})
        assert session.told[-1] == {}


async def test_a_picture_of_one_s_own(serving: Serving) -> None:
    async with (
        serving(matte_engine(), requests_per_second=1000.0) as server,
        Client(server, tone_bursts(2)) as client,
        http(server) as requests,
    ):
        screen = Screen(client)
        place, path = f"{client.location}/background", f"{client.location}/controls"
        own = {"background": {"picture": "own"}}
        refused = await requests.post(path, json=own)
        assert refused.status_code == 422 and "send it first" in refused.json()["detail"]
        for content, headers, status in (
            (as_png(solid_picture(255, 0, 0)), {"Content-Type": "text/plain"}, 415),
            (b"GIF89a" + bytes(50), PNG, 415),
            (as_png(solid_picture(255, 0, 0))[:60], PNG, 422),
            (bytes((8 << 20) + 1), JPEG, 413),
        ):
            refused = await requests.put(place, content=content, headers=headers)
            assert refused.status_code == status and refused.json()["detail"].endswith(".")
        assert (await requests.post(path, json=own)).status_code == 422
        sent = await requests.put(place, content=as_png(solid_picture(255, 0, 0)), headers=PNG)
        assert sent.status_code == 204
        assert (await requests.get(path)).json()["background"] == "filmed"
        assert (await requests.post(path, json=own)).json()["background"] == own["background"]
        await screen.shows(is_near(RED))
        # Another one is shown at once; a broken one is not.
        await requests.put(place, content=as_jpeg(solid_picture(0, 255, 0)), headers=JPEG)
        await screen.shows(is_near(GREEN))
        broken = await requests.put(place, content=b"\xff\xd8\xff", headers=JPEG)
        assert broken.status_code == 422
        await asyncio.sleep(0.2)
        screen._new()
        assert is_near(GREEN)(screen.pictures[-1])
        gone = "/sessions/nobody/background"
        sent = await requests.put(gone, content=as_png(solid_picture(1, 2, 3)), headers=PNG)
        assert sent.status_code == 404


async def test_a_person_without_a_matte_takes_no_picture(serving: Serving) -> None:
    async with serving(FakeEngine()) as server, http(server) as client:
        location = (await client.post("/sessions", content=offer(), headers=SDP)).headers[
            "location"
        ]
        refused = await client.put(
            f"{location}/background", content=as_png(solid_picture(1, 2, 3)), headers=PNG
        )
        assert refused.status_code == 422 and "filmed with" in refused.json()["detail"]
        answer = await client.post(f"{location}/controls", json={"framing": {"zoom": 1.5}})
        assert answer.status_code == 200 and answer.json()["framing"]["zoom"] == 1.5


async def test_a_look_outlives_a_suspension(serving: Serving) -> None:
    """The toy: a session that comes back before the background that it was filmed with."""
    engine = matte_engine()
    async with (
        serving(engine, suspend_seconds=0.3) as server,
        http(server) as requests,
        SocketClient(server, tone_bursts(2)) as client,
    ):
        await client.until(lambda: len(client.face) > 3)
        path = f"{client.config['session']}/controls"
        look = {"background": "#ff0000", "framing": "shoulders"}
        assert (await requests.post(path, json=look)).status_code == 200
        client.silent = True
        await client.until(lambda: not engine.sessions)
        assert (await requests.post(path, json={"framing": "face"})).status_code == 409
        client.silent = False
        await client.until(lambda: len(engine.sessions) == 1)
        (session,) = engine.sessions
        assert session.told == [{"matte": True}]
        answer = (await requests.get(path)).json()
        assert {name: answer[name] for name in look} == look


async def test_the_server_s_pictures(serving: Serving, tmp_path: Path) -> None:
    (tmp_path / "Beach at night.png").write_bytes(as_png(solid_picture(255, 0, 0)))
    (tmp_path / "office.JPG").write_bytes(as_jpeg(solid_picture(0, 255, 0)))
    (tmp_path / "broken.jpeg").write_bytes(b"nothing")
    (tmp_path / "notes.txt").write_text("not offered")
    async with (
        serving(matte_engine(), backgrounds=str(tmp_path)) as server,
        http(server) as requests,
        Client(server, tone_bursts(2)) as client,
    ):
        listing = (await requests.get("/persons")).json()
        assert listing["pictures"] == ["Beach at night", "broken", "office"]
        (person,) = listing["persons"]
        assert person["controls"]["backgrounds"] == [
            "filmed",
            "blurred",
            "color",
            "transparent",
            "picture",
        ]
        assert person["controls"]["framings"] == ["filmed", "shoulders", "face"]
        beach = await requests.get("/backgrounds/Beach at night")
        assert beach.content == (tmp_path / "Beach at night.png").read_bytes()
        assert beach.headers["content-type"] == "image/png"
        office = await requests.get("/backgrounds/office")
        assert office.headers["content-type"] == "image/jpeg"
        for name in ("notes", "../notes", "office.JPG", "%2e%2e%2fnotes"):
            assert (await requests.get(f"/backgrounds/{name}")).status_code == 404
        screen = Screen(client)
        path = f"{client.location}/controls"
        for name, color in (("Beach at night", RED), ("office", GREEN)):
            answer = await requests.post(path, json={"background": {"picture": name}})
            assert answer.status_code == 200
            await screen.shows(is_near(color))
        refused = await requests.post(path, json={"background": {"picture": "broken"}})
        assert refused.status_code == 500 and str(tmp_path) not in refused.text
        refused = await requests.post(path, json={"background": {"picture": "notes"}})
        assert refused.status_code == 422
        assert (await requests.get(path)).json()["background"] == {"picture": "office"}


async def test_pictures_are_bounded_in_number_and_in_time(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The toy: senders who never finish keep everybody else out, or fill the memory."""
    monkeypatch.setattr(routes, "MAX_UPLOADS", 2)
    monkeypatch.setattr(routes, "READ_SECONDS", 0.5)

    async def never_ends() -> AsyncIterator[bytes]:
        yield b"\xff\xd8\xff"
        await asyncio.sleep(1.2)

    async with serving(matte_engine()) as server, http(server) as client:
        location = (await client.post("/sessions", content=offer(), headers=SDP)).headers[
            "location"
        ]

        def send(content: Any) -> asyncio.Task[httpx.Response]:
            return asyncio.create_task(
                client.put(f"{location}/background", content=content, headers=PNG)
            )

        slow = [send(never_ends()) for _ in range(2)]
        await asyncio.sleep(0.2)
        full = await send(as_png(solid_picture(1, 2, 3)))
        assert full.status_code == 503 and "retry-after" in full.headers
        for task in slow:
            response = await task
            assert response.status_code == 408
        assert (await send(as_png(solid_picture(1, 2, 3)))).status_code == 204


def test_a_folder_that_cannot_be_offered_is_said_at_start(tmp_path: Path) -> None:
    picture = as_png(solid_picture(1, 2, 3))

    def start(folder: Path) -> str:
        with pytest.raises(ConfigError) as refused:
            create_app(ServerConfig(backgrounds=str(folder)), lambda: matte_engine())
        return str(refused.value)

    assert "--backgrounds takes a folder" in start(tmp_path / "nowhere")
    for names, words in (
        (("a.png", "a.jpg"), "named 'a'"),
        (("own.png",), "'own'"),
        (("x" * 70 + ".png",), "x" * 60 + "'"),
    ):
        folder = tmp_path / words.strip("'")[:8]
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(picture)
        assert words in start(folder)
    large = tmp_path / "large"
    large.mkdir()
    with (large / "one.jpg").open("wb") as file:
        file.truncate((8 << 20) + 1)
    assert "larger than 8 MiB" in start(large)


async def test_another_site_may_send_a_picture(serving: Serving) -> None:
    async with serving(matte_engine(), token="secret") as server, http(server) as client:
        asked = {"Origin": "https://other.example", "Access-Control-Request-Method": "PUT"}
        answer = await client.options("/sessions/x/background", headers=asked)
        assert "PUT" in answer.headers["access-control-allow-methods"]
