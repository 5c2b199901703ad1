"""Who is turned away from the WebSocket path, and what they are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine
from tests.server.peers import Server, tone_bursts
from tests.server.sockets import SocketClient, hello
from visavis.server.draining import uvicorn_config
from visavis.server.origins import is_same_origin
from visavis.server.ws import connection
from visavis.server.ws.framing import MAX_MESSAGE_BYTES, Kind, Packet


async def refusal(
    server: Server, *messages: str | bytes, host: str = "127.0.0.1", **options: Any
) -> tuple[int, str, Any]:
    """Say that and return close code, reason and the last message before."""
    port = int(server.url.rpartition(":")[2])
    address = {"host": "127.0.0.1", "port": port}
    last: Any = None
    async with connect(f"ws://{host}:{port}/ws", **address, compression=None, **options) as client:
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                await client.send(message)
        with contextlib.suppress(ConnectionClosed):
            while True:
                came = await asyncio.wait_for(client.recv(), 10)
                if isinstance(came, str):
                    last = json.loads(came)
        assert client.close_code is not None
        return client.close_code, client.close_reason or "", last


def microphone(number: int = 0, payload: bytes = bytes(1920)) -> bytes:
    return Packet(Kind.MICROPHONE, number, number * 960, payload).pack()


@pytest.mark.parametrize(
    ("messages", "status", "sentence"),
    [
        ([b"\x01\x02"], 400, 'must be a "hello"'),
        (["no json"], 400, "must be JSON"),
        (['{"type": "clear"}'], 400, 'must be a "hello"'),
        ([hello(version=7)], 400, "version 1"),
        ([hello(person="nobody")], 404, "nobody"),
        ([hello(lookahead_ms=77)], 422, "77"),
        ([hello(face=["av1"])], 422, "vp8 or h264"),
        (["x" * (MAX_MESSAGE_BYTES + 1)], 413, "at most 8192 bytes"),
        ([hello(), "no json"], 400, "must be JSON"),
        ([hello(), '{"type": "dance"}'], 400, "'dance'"),
        ([hello(), b"short"], 400, "at least 16 bytes"),
        ([hello(), b"\x02" + bytes(15)], 400, "version 1 of the framing"),
        ([hello(), Packet(Kind.FACE, 0).pack()], 400, "microphone packets and ack"),
        ([hello(), microphone(0, bytes(5762))], 413, "60 ms"),
        ([hello(), bytes(MAX_MESSAGE_BYTES + 1)], 413, "at most 8192 bytes"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_a_sentence(
    serving: Serving, messages: list[str | bytes], status: int, sentence: str
) -> None:
    engine = FakeEngine()
    async with serving(engine) as server:
        code, reason, last = await refusal(server, *messages)
        assert code == 4000 + status
        assert last["type"] == "error" and last["status"] == status
        assert sentence in last["detail"] and reason == last["detail"][:120]
        assert not engine.sessions and len(server.app.state.sessions) == 0


async def test_a_token_is_needed_where_there_is_one(serving: Serving) -> None:
    async with serving(token="secret") as server:
        for given in ({}, {"token": ""}, {"token": "secre"}):
            code, _, last = await refusal(server, hello(**given))
            assert code == 4401 and "token" in last["detail"] and "secret" not in last["detail"]
        async with SocketClient(server, tone_bursts(1), hello={"token": "secret"}) as client:
            await client.until(lambda: bool(client.face))
        header = {"additional_headers": {"Authorization": "Bearer secret"}}
        async with SocketClient(server, tone_bursts(1), options=header) as client:
            await client.until(lambda: bool(client.face))
        # With a token it makes no difference where a page came from.
        options = {"origin": "https://elsewhere.example"}
        async with SocketClient(
            server, tone_bursts(1), hello={"token": "secret"}, options=options
        ) as client:
            await client.until(lambda: bool(client.face))


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("https://evil.example", "127.0.0.1", 403),
        ("http://localhost:1", "127.0.0.1", 403),
        ("null", "127.0.0.1", 403),
        (None, "evil.example", 421),
        ("http://evil.example", "evil.example", 421),
    ],
)
async def test_pages_of_other_sites_do_not_reach_a_local_server(
    serving: Serving, origin: str | None, host: str, status: int
) -> None:
    async with serving() as server:
        with pytest.raises(InvalidStatus) as refused:
            await refusal(server, hello(), host=host, origin=origin)
        assert refused.value.response.status_code == status
        assert b"--token" in (refused.value.response.body or b"")
        own = {"origin": server.url}
        async with SocketClient(server, tone_bursts(1), options=own) as client:
            await client.until(lambda: bool(client.face))


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://localhost:8080", "localhost:8080", True),
        ("https://LOCALHOST", "localhost", True),
        ("http://localhost:8080", "localhost:8081", False),
        ("http://localhost:8080", "127.0.0.1:8080", False),
        ("file://", "", False),
        ("null", "null", False),
        ("http://localhost:8080.evil.example", "localhost:8080", False),
        ("", "localhost", False),
    ],
)
def test_what_is_the_same_origin(origin: str, host: str, same: bool) -> None:
    assert is_same_origin(origin, host) is same


async def test_a_full_server_says_so_and_when_to_come_back(serving: Serving) -> None:
    async with serving(max_sessions=1) as server:
        async with SocketClient(server, tone_bursts(1)) as client:
            await client.until(lambda: bool(client.face))
            code, _, last = await refusal(server, hello())
            assert code == 4503 and last["retry_after"] == 5
            async with http(server) as requests:
                text = (await requests.get("/metrics")).text
            assert 'visavis_sessions_refused_total{status="503"} 1.0' in text
            assert 'visavis_sessions{state="live"} 1.0' in text
        async with SocketClient(server, tone_bursts(1)) as client:
            await client.until(lambda: bool(client.face))


async def test_too_many_connections_and_too_many_messages(serving: Serving) -> None:
    async with serving(requests_per_second=0.001) as server:
        codes = [(await refusal(server, "x"))[0] for _ in range(21)]
        assert codes[:20] == [4400] * 20 and codes[20] == 4429
    async with serving() as server:
        flood = [microphone(number) for number in range(2000)]
        code, _, last = await refusal(server, hello(), *flood)
        assert code == 4429 and "faster than sound" in last["detail"]


async def test_who_says_nothing_is_not_waited_for(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HELLO_SECONDS", 0.3)
    monkeypatch.setattr(connection, "MAX_STRANGERS", 2)
    async with serving() as server:
        url = server.url.replace("http", "ws", 1) + "/ws"
        async with connect(url), connect(url):
            await asyncio.sleep(0.1)
            code, _, last = await refusal(server, hello())
            assert code == 4503 and last["retry_after"] == 1
        code, _, last = await refusal(server)
        assert code == 4408 and "in time" in last["detail"]


def test_the_real_server_takes_no_larger_messages_and_compresses_nothing() -> None:
    config = uvicorn_config(object())
    assert config.ws == "websockets-sansio"
    assert config.ws_max_size == MAX_MESSAGE_BYTES
    assert config.ws_per_message_deflate is False
