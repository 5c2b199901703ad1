from __future__ import annotations

import pytest

from tests.server.conftest import Serving, http
from tests.server.test_sdp import offer
from visavis.server.auth import is_allowed
from visavis.server.origins import is_local_name


@pytest.mark.parametrize(
    ("header", "token", "allowed"),
    [
        (None, None, True),
        ("Bearer anything", None, True),
        ("Bearer secret", "secret", True),
        ("bearer secret", "secret", True),
        ("Bearer  secret ", "secret", True),
        ("Bearer secre", "secret", False),
        ("Bearer secret2", "secret", False),
        ("Bearer Secret", "secret", False),
        ("Bearer ", "secret", False),
        ("Bearer", "secret", False),
        ("Basic secret", "secret", False),
        ("secret", "secret", False),
        ("", "secret", False),
        (None, "secret", False),
        ("Bearer schlüssel", "schlüssel", True),
        ("Bearer \udcff", "secret", False),
    ],
)
def test_who_is_let_in(header: str | None, token: str | None, allowed: bool) -> None:
    assert is_allowed(header, token) is allowed


PROTECTED = [
    ("GET", "/persons"),
    ("GET", "/persons/fake/poster.jpg"),
    ("GET", "/persons/fake/preview.mp4"),
    ("GET", "/backgrounds/x"),
    ("POST", "/sessions"),
    ("GET", "/sessions"),
    ("PATCH", "/sessions/x"),
    ("DELETE", "/sessions/x"),
    ("GET", "/sessions/x"),
    ("GET", "/sessions/x/stats"),
    ("POST", "/sessions/x/clear"),
    ("POST", "/sessions/x/resume"),
    ("GET", "/sessions/x/controls"),
    ("POST", "/sessions/x/controls"),
    ("PUT", "/sessions/x/background"),
    ("POST", "/sessions/x/recording"),
    ("GET", "/sessions/x/recording"),
    ("DELETE", "/sessions/x/recording"),
    ("GET", "/recordings"),
    ("GET", "/recordings/x"),
    ("DELETE", "/recordings/x"),
    ("POST", "/whip"),
    ("GET", "/whip"),
    ("POST", "/whip/fake"),
    ("GET", "/whip/fake"),
    ("POST", "/whep/x"),
    ("GET", "/whep/x"),
    ("PATCH", "/whep/x/y"),
    ("DELETE", "/whep/x/y"),
    ("GET", "/whep/x/y"),
    ("GET", "/metrics"),
]
OPEN = ["/", "/visavis.js", "/visavis.d.ts", "/static/page.js", "/config", "/healthz", "/readyz"]


async def test_every_route_is_protected_or_harmless(serving: Serving) -> None:
    async with serving(token="secret") as server:
        async with http(server) as client:
            for method, path in PROTECTED:
                response = await client.request(method, path)
                assert response.status_code == 401, path
                assert response.headers["www-authenticate"].startswith("Bearer")
                assert "secret" not in response.text
            for path in OPEN:
                assert (await client.get(path)).status_code == 200, path
        async with http(server, Authorization="Bearer secret") as client:
            for method, path in PROTECTED:
                assert (await client.request(method, path)).status_code != 401, path
            response = await client.post(
                "/sessions", content=offer(), headers={"Content-Type": "application/sdp"}
            )
            assert response.status_code == 201
        known = {route.path for route in server.app.routes}  # type: ignore[attr-defined]
        # /ws has its own refusals: test_ws_refusals.py.
        assert len(known - {"/ws"}) == 26, "a new route: is it protected?"


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("localhost:8080", True),
        ("127.0.0.1:8080", True),
        ("127.0.0.1", True),
        ("[::1]:8080", True),
        ("[::1]", True),
        ("app.localhost:8080", True),
        ("evil.example:8080", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:8080", False),
        ("192.0.2.1", False),
        ("", False),
    ],
)
def test_names_of_this_machine(host: str, local: bool) -> None:
    assert is_local_name(host) is local


async def test_a_foreign_name_that_points_here_is_turned_away(serving: Serving) -> None:
    async with serving() as server, http(server, Host="evil.example") as client:
        for path in ("/", "/persons", "/sessions"):
            response = await client.get(path)
            assert response.status_code == 421
            assert "--token" in response.json()["detail"]
    async with serving(token="secret") as server, http(server, Host="avatar.example") as client:
        assert (await client.get("/")).status_code == 200
