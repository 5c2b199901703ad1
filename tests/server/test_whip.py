"""``/sessions`` over HTTP, without media: RFC 9725's semantics, limits and admission."""

from __future__ import annotations

import pytest

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine
from tests.server.test_sdp import REFUSED, offer

SDP = {"Content-Type": "application/sdp"}
TRICKLE = {"Content-Type": "application/trickle-ice-sdpfrag"}
CANDIDATE = "a=candidate:1 1 udp 2122260223 192.0.2.9 61764 typ host\r\n"


async def test_open_and_end(serving: Serving) -> None:
    engine = FakeEngine()
    async with serving(engine) as server, http(server) as client:
        response = await client.post("/sessions", content=offer(), headers=SDP)
        assert response.status_code == 201
        assert response.headers["content-type"] == "application/sdp"
        location = response.headers["location"]
        assert location.startswith("/sessions/") and len(location) > 30
        answer = response.text
        assert answer.count("m=") == 2
        assert "a=candidate:" in answer and "a=end-of-candidates" in answer
        assert "127.0.0.1" in answer  # the browser is on this machine
        assert "a=setup:active" in answer and "a=ptime:10" in answer
        assert "playout-delay" in answer
        audio, video = answer.split("m=video")
        assert "a=sendrecv" in audio and "a=sendonly" in video
        streams = {line.split()[0] for line in answer.splitlines() if line.startswith("a=msid:")}
        assert (
            len(streams) == 1
        )  # one stream, or the browser would not keep lips and voice together
        assert len(engine.sessions) == 1

        assert (await client.get(location)).status_code == 204
        assert (await client.get(f"{location}/stats")).json()["state"] == "connecting"
        assert (await client.post(f"{location}/clear")).status_code == 204
        response = await client.delete(location, headers={"If-Match": '"anything"'})
        assert response.status_code == 200
        assert not engine.sessions
        assert (await client.delete(location)).status_code == 404
        assert (await client.get(f"{location}/stats")).status_code == 404


@pytest.mark.parametrize("case", list(REFUSED))
async def test_what_cannot_be_answered_leaves_nothing_behind(serving: Serving, case: str) -> None:
    text, status = REFUSED[case]
    engine = FakeEngine()
    async with serving(engine) as server, http(server) as client:
        response = await client.post("/sessions", content=text, headers=SDP)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status
        assert response.json()["detail"].endswith(".")
        assert not engine.sessions
        assert len(server.app.state.sessions) == 0


async def test_the_wrong_kind_of_request(serving: Serving) -> None:
    async with serving() as server, http(server) as client:
        for headers in ({}, {"Content-Type": "application/json"}):
            response = await client.post("/sessions", content=offer(), headers=headers)
            assert response.status_code == 415
        response = await client.post("/sessions?person=nobody", content=offer(), headers=SDP)
        assert response.status_code == 404
        assert "nobody" in response.json()["detail"] and "fake" in response.json()["detail"]
        response = await client.post("/sessions?codec=av1", content=offer(), headers=SDP)
        assert response.status_code == 400
        response = await client.post("/sessions", content="v=0\r\n" * 50_000, headers=SDP)
        assert response.status_code == 413
        for method in ("PUT", "DELETE", "PATCH"):
            response = await client.request(method, "/sessions")
            assert response.status_code == 405
            assert response.headers["content-type"] == "application/problem+json"
        assert (await client.get("/sessions")).status_code == 204
        assert (await client.get("/nothing")).status_code == 404


async def test_a_session_chooses_among_the_look_aheads(serving: Serving) -> None:
    engine = FakeEngine()
    async with serving(engine) as server, http(server) as client:
        for query, wanted in (("", 100), ("?lookahead=160", 160), ("?lookahead=40", 40)):
            response = await client.post(f"/sessions{query}", content=offer(), headers=SDP)
            assert response.status_code == 201
            location = response.headers["location"]
            assert (await client.get(f"{location}/stats")).json()["lookahead_ms"] == wanted
            assert [session.lookahead_ms for session in engine.sessions] == [wanted]
            await client.delete(location)
        for query, status, words in (
            ("120", 422, "'fake' can look ahead by 40, 100, 160 ms, not by 120."),
            ("0", 422, "not by 0."),
            ("-40", 400, "whole number"),
            ("40.0", 400, "whole number"),
            ("", 400, "whole number"),
            ("²", 400, "whole number"),
            ("9" * 5000, 400, "whole number"),
        ):
            response = await client.post(
                "/sessions", params={"lookahead": query}, content=offer(), headers=SDP
            )
            assert response.status_code == status
            assert words in response.json()["detail"]
            assert not engine.sessions and len(server.app.state.sessions) == 0


async def test_trickle(serving: Serving) -> None:
    async with serving() as server, http(server) as client:
        response = await client.post("/sessions", content=offer(), headers=SDP)
        location = response.headers["location"]

        async def patch(body: str, headers: dict[str, str] = TRICKLE) -> int:
            return (await client.patch(location, content=body, headers=headers)).status_code

        mine = "a=ice-ufrag:7OoP\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
        assert await patch(mine + CANDIDATE) == 204
        assert await patch(CANDIDATE) == 204
        assert await patch(mine + "a=candidate:nonsense\r\n") == 204
        assert await patch(mine + CANDIDATE, {**TRICKLE, "If-Match": '"x"'}) == 204
        assert await patch("a=ice-ufrag:OTHER\r\n" + CANDIDATE) == 422  # a restart
        assert await patch(CANDIDATE, {"Content-Type": "application/sdp"}) == 415
        assert await patch("hello") == 400
        assert await patch(CANDIDATE * 1000) == 413
        assert await patch(mine + "a=end-of-candidates\r\n") == 204
        assert await patch(mine + CANDIDATE) == 204  # too late, and no harm
        unknown = await client.patch("/sessions/unknown", content=CANDIDATE, headers=TRICKLE)
        assert unknown.status_code == 404


async def test_options(serving: Serving) -> None:
    async with serving() as server, http(server, Origin="https://example.org") as client:
        response = await client.options("/sessions")
        assert response.status_code == 204
        assert response.headers["accept-post"] == "application/sdp"
        # Without a token, other sites must not reach a server on the visitor's own machine.
        assert "access-control-allow-origin" not in response.headers
        assert (await client.options("/sessions/any")).status_code == 204
    async with serving(token="t") as server, http(server, Origin="https://example.org") as client:
        response = await client.options("/sessions")
        assert response.headers["access-control-allow-origin"] == "*"
        assert "Authorization" in response.headers["access-control-allow-headers"]
        assert "PATCH" in response.headers["access-control-allow-methods"]
        assert "link" not in response.headers
        response = await client.get("/config")
        assert response.headers["access-control-allow-origin"] == "*"
        assert "Location" in response.headers["access-control-expose-headers"]


async def test_a_full_server_says_so_at_once(serving: Serving) -> None:
    async with serving(FakeEngine(places=2)) as server, http(server) as client:
        locations = []
        for _ in range(2):
            response = await client.post("/sessions", content=offer(), headers=SDP)
            locations.append(response.headers["location"])
        response = await client.post("/sessions", content=offer(), headers=SDP)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert "2 places" in response.json()["detail"]
        await client.delete(locations[0])
        assert (await client.post("/sessions", content=offer(), headers=SDP)).status_code == 201
        text = (await client.get("/metrics")).text
        assert 'visavis_sessions_refused_total{status="503"} 1.0' in text
        assert 'visavis_sessions{state="connecting"} 2.0' in text


async def test_the_limit_of_the_options_counts(serving: Serving) -> None:
    async with serving(max_sessions=1) as server, http(server) as client:
        assert (await client.post("/sessions", content=offer(), headers=SDP)).status_code == 201
        assert (await client.post("/sessions", content=offer(), headers=SDP)).status_code == 503


async def test_ids_cannot_be_guessed(serving: Serving) -> None:
    async with serving() as server, http(server) as client:
        seen = set()
        for _ in range(8):
            response = await client.post("/sessions", content=offer(), headers=SDP)
            seen.add(response.headers["location"])
            await client.delete(response.headers["location"])
        assert len(seen) == 8
        assert all(len(location.rsplit("/", 1)[1]) >= 22 for location in seen)


async def test_too_many_requests_are_turned_away(serving: Serving) -> None:
    async with serving(requests_per_second=0.5) as server, http(server) as client:
        statuses = [
            (await client.post("/sessions", content="x", headers=SDP)).status_code
            for _ in range(30)
        ]
        assert statuses[:20] == [400] * 20
        assert statuses[25:] == [429] * 5
        response = await client.post("/sessions", content="x", headers=SDP)
        assert int(response.headers["retry-after"]) >= 1
        assert (await client.get("/healthz")).status_code == 200


async def test_ice_servers_are_announced(serving: Serving) -> None:
    servers = ("stun:192.0.2.1:9", "turn:me:p%22w@192.0.2.1:9?transport=udp")
    async with serving(ice_servers=servers, token="t", max_sessions=1) as server:
        async with http(server, Authorization="Bearer t") as client:
            both = (await client.get("/config")).json()["ice_servers"]
            assert both == [
                {"urls": "stun:192.0.2.1:9"},
                {
                    "urls": "turn:192.0.2.1:9?transport=udp",
                    "username": "me",
                    "credential": 'p"w',
                },
            ]
        async with http(server) as client:
            public = (await client.get("/config")).json()
            assert public["ice_servers"] == [{"urls": "stun:192.0.2.1:9"}]
            assert public["auth"] is True
            assert "me" not in str(public["ice_servers"])


async def test_nothing_is_admitted_while_the_engine_loads_or_stops(serving: Serving) -> None:
    async with serving() as server, http(server) as client:
        server.app.state.sessions.draining = True
        response = await client.post("/sessions", content=offer(), headers=SDP)
        assert response.status_code == 503 and "retry-after" in response.headers
        assert (await client.get("/readyz")).json() == {"status": "stopping"}
