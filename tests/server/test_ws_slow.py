"""The WebSocket path over networks that are narrow, or that stand still for a while."""

from __future__ import annotations

import asyncio
import socket

import numpy as np

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine, read_index
from tests.server.peers import RATE, Server, tone_bursts
from tests.server.sockets import Came, SocketClient
from tests.server.test_ws_session import pictures


class Throttle:
    """A TCP relay that lets so many bytes a second through towards the browser."""

    def __init__(self, server: Server, bytes_per_second: float) -> None:
        self._port = int(server.url.rpartition(":")[2])
        self.rate = bytes_per_second
        self.open = asyncio.Event()
        self.open.set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return Server(None, f"http://127.0.0.1:{port}")  # type: ignore[arg-type]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = socket.socket()
        upstream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        upstream.setblocking(False)
        await asyncio.get_running_loop().sock_connect(upstream, ("127.0.0.1", self._port))
        back, forth = await asyncio.open_connection(sock=upstream, limit=4096)

        async def up() -> None:
            while data := await reader.read(65536):
                forth.write(data)
                await forth.drain()
            forth.close()

        async def down() -> None:
            while data := await back.read(1024):
                await self.open.wait()
                await asyncio.sleep(len(data) / self.rate)
                writer.write(data)
                await writer.drain()
            writer.close()

        for work in (up(), down()):
            task = asyncio.create_task(work)
            self.tasks.add(task)

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


def noise(seconds: float) -> np.ndarray:
    """What needs every bit that Opus is allowed."""
    return np.random.default_rng(1).integers(-8000, 8000, int(seconds * RATE), dtype=np.int16)


def ages(came: list[Came], since: float) -> list[float]:
    """How old each packet was when it came, against the quickest one, in seconds."""
    age = [one.at - one.packet.pts / RATE for one in came]
    return [a - min(age) for a, one in zip(age, came, strict=True) if one.at >= since]


async def test_on_a_narrow_network_the_voice_is_not_late_and_pictures_are_fewer(
    serving: Serving,
) -> None:
    async with (
        serving(FakeEngine(size=384)) as server,
        Throttle(server, 12_000) as narrow,
        SocketClient(narrow, noise(12)) as client,
    ):
        await asyncio.sleep(10.0)
        late = ages(client.voice, client.started + 4)
        # All of the voice needs 6 kB a second, all of the pictures some 8 to 60.
        assert len(late) > 0.8 * 50 * 5
        assert np.percentile(late, 95) < 1.0
        assert max(ages(client.face, client.started + 4)) < 1.5
        assert np.median(late[len(late) // 2 :]) < np.median(late) + 0.3  # it does not grow
        shown = pictures(client.face)  # each can be decoded, whatever was left out
        assert [read_index(luma) for luma in shown.values()] == list(shown)


async def test_after_a_network_that_stood_still_everything_is_as_before(
    serving: Serving,
) -> None:
    async with serving() as server:
        relay = Throttle(server, 1e6)
        async with relay as through, SocketClient(through, tone_bursts(12)) as client:
            await client.until(lambda: len(client.face) > 30)
            relay.open.clear()
            await asyncio.sleep(3.0)
            back = asyncio.get_running_loop().time()
            relay.open.set()
            await asyncio.sleep(3.0)
            late = ages(client.voice, back + 0.5)
            assert len(late) > 50 and np.median(late) < 0.1
            # Of three seconds only what was under way when it began comes late: not all of it.
            waited = [age for age in ages(client.voice, back) if age > 0.3]
            assert len(waited) < 60
            async with http(server) as requests:
                report = (await requests.get(f"{client.config['session']}/stats")).json()
            assert report["voice_shed_ms"] > 1000
