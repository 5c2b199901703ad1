"""The page's files, the persons' pictures, health and metrics."""

from __future__ import annotations

import threading

import httpx
import pytest

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine
from tests.server.peers import serve
from visavis.engines.errors import PersonFileError
from visavis.server.app import create_app
from visavis.server.config import ServerConfig


async def test_the_page_and_its_files(serving: Serving) -> None:
    async with serving() as server, http(server) as client:
        page = await client.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "microphone=(self)" in page.headers["permissions-policy"]
        script = await client.get("/static/page.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        assert script.headers["cache-control"] == "no-cache"
        again = await client.get(
            "/static/page.js", headers={"If-None-Match": script.headers["etag"]}
        )
        assert again.status_code == 304 and not again.content
        for path in ("__init__.py", "../server/app.py", "%2e%2e/server/app.py", "nothing.js", ""):
            assert (await client.get(f"/static/{path}")).status_code == 404, path


async def test_every_file_the_page_asks_for_is_there(serving: Serving) -> None:
    async with serving() as server, http(server) as client:
        page = (await client.get("/")).text
        names = [part.split('"')[0] for part in page.split('"static/')[1:]]
        assert names
        for name in names:
            assert (await client.get(f"/static/{name}")).status_code == 200, name


async def test_persons(serving: Serving) -> None:
    async with serving() as server, http(server) as client:
        body = (await client.get("/persons")).json()
        assert body["default"] == "fake"
        assert body["persons"] == [
            {
                "name": "fake",
                "display_name": "Fake",
                "width": 128,
                "height": 128,
                "fps": 25,
                "lookahead_ms": 100,
                "lookaheads_ms": [40, 100, 160],
                "controls": None,
                "poster": "/persons/fake/poster.jpg",
                "preview": "/persons/fake/preview.mp4",
            }
        ]
        poster = await client.get("/persons/fake/poster.jpg")
        assert poster.headers["content-type"] == "image/jpeg" and poster.content[:2] == b"\xff\xd8"
        assert (await client.get("/persons/nobody/poster.jpg")).status_code == 404


@pytest.mark.parametrize(
    ("header", "status", "body"),
    [
        ("bytes=0-1", 206, bytes([0, 1])),
        ("bytes=1020-", 206, bytes([252, 253, 254, 255])),
        ("bytes=1020-9999", 206, bytes([252, 253, 254, 255])),
        ("bytes=5000-", 416, b""),
        ("lines=1-2", 200, bytes(range(256)) * 4),
    ],
)
async def test_previews_are_sent_in_ranges(
    serving: Serving, header: str, status: int, body: bytes
) -> None:
    """Safari plays no video without them."""
    async with serving() as server, http(server) as client:
        response = await client.get("/persons/fake/preview.mp4", headers={"Range": header})
        assert response.status_code == status
        assert response.content == body


async def test_healthy_at_once_and_ready_when_loaded() -> None:
    go = threading.Event()
    made: list[FakeEngine] = []

    def make() -> FakeEngine:
        go.wait(5)
        made.append(FakeEngine())
        return made[0]

    outcome: list[Exception | None] = []
    app = create_app(ServerConfig(), make, on_loaded=outcome.append)
    async with serve(app) as server, http(server) as client:
        assert (await client.get("/healthz")).status_code == 200
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, {"status": "loading"})
        assert "visavis_ready 0.0" in (await client.get("/metrics")).text
        response = await client.post("/sessions", headers={"Content-Type": "application/sdp"})
        assert response.status_code == 503 and "retry-after" in response.headers
        assert (await client.get("/persons")).status_code == 503
        go.set()
        async with httpx.AsyncClient(base_url=server.url, verify=False) as waiting:
            while (await waiting.get("/readyz")).status_code != 200:
                pass
        assert outcome == [None]
        text = (await client.get("/metrics")).text
        assert "visavis_ready 1.0" in text and "visavis_capacity_sessions 4.0" in text
    # What the application made it has closed.
    assert not made[0]._thread.is_alive()


async def test_an_engine_that_cannot_be_made_is_told_of() -> None:
    def make() -> FakeEngine:
        raise PersonFileError("me.person is broken.")

    outcome: list[Exception | None] = []
    app = create_app(ServerConfig(), make, on_loaded=outcome.append)
    async with serve(app) as server, http(server) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).json() == {"status": "failed"}
    assert isinstance(outcome[0], PersonFileError)
