"""Choosing: over HTTP and over the WebSocket, refused in a sentence, kept through a suspension."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine
from tests.server.peers import tone_bursts
from tests.server.sockets import SocketClient
from tests.server.test_sdp import offer
from visavis.engines.client import ControlNames, PersonInfo
from visavis.server.look.looks import Looks
from visavis.server.look.session_look import SessionLook
from visavis.server.media.choices import MAX_WAITING, Choices

SDP = {"Content-Type": "application/sdp"}
CODE = [0.25] * 135
HEADS = ControlNames(heads=("own", "still"))
FILMED = {"background": "filmed", "framing": "filmed"}


def news(client: SocketClient) -> list[dict[str, Any]]:
    return [text for text in client.texts if text["type"].startswith("controls")]


async def test_a_session_is_told_and_says_what_was_chosen(serving: Serving) -> None:
    engine = FakeEngine(controls=ControlNames(("calm", "lively"), "lively", ("own", "still")))
    async with serving(engine) as server, http(server) as client:
        (person,) = (await client.get("/persons")).json()["persons"]
        assert person["controls"] == {
            "styles": ["calm", "lively"],
            "style": "lively",
            "heads": ["own", "still"],
            "performances": [],
            "backgrounds": ["filmed"],
            "framings": ["filmed"],
        }
        location = (await client.post("/sessions", content=offer(), headers=SDP)).headers[
            "location"
        ]
        path = f"{location}/controls"
        start = {"style": None, "head": "own", "performance": None, **FILMED}
        assert (await client.get(path)).json() == start
        response = await client.post(path, json={"style": CODE, "head": "still"})
        assert response.status_code == 200 and response.headers["cache-control"] == "no-store"
        chosen = {"style": CODE, "head": "still", "performance": None, **FILMED}
        assert response.json() == chosen
        assert (await client.get(path)).json()["head"] == "still"
        # One of the two alone leaves the other as it is.
        (session,) = engine.sessions
        assert (await client.post(path, json={"performance": None})).json()["style"] == CODE
        assert session.told == [{}, {"style": CODE, "head": "still"}, {}, {"performance": None}]


async def test_a_person_without_controls_says_so(serving: Serving) -> None:
    async with serving(FakeEngine()) as server, http(server) as client:
        (person,) = (await client.get("/persons")).json()["persons"]
        assert person["controls"] is None


@pytest.mark.parametrize(
    ("content", "media", "status", "words"),
    [
        ('{"head": "upside down"}', "application/json", 422, "no head 'upside down'"),
        ('{"head": "own"}', "text/plain", 415, "application/json"),
        ("[1]", "application/json", 400, "one object"),
        ('{"style": [NaN]}', "application/json", 400, "NaN is not a number"),
        ('{"style": [1e999]}', "application/json", 400, "too large"),
        ('{"head": "own", "head": "still"}', "application/json", 400, "twice"),
        (json.dumps({"style": [0.5] * 20_000}), "application/json", 413, "larger than"),
    ],
)
async def test_nonsense_is_refused_and_the_session_goes_on(
    serving: Serving, content: str, media: str, status: int, words: str
) -> None:
    engine = FakeEngine(controls=HEADS)
    async with serving(engine) as server, http(server) as client:
        response = await client.post("/sessions", content=offer(), headers=SDP)
        path = f"{response.headers['location']}/controls"
        refused = await client.post(path, content=content, headers={"Content-Type": media})
        assert refused.status_code == status
        assert refused.headers["content-type"] == "application/problem+json"
        assert words in refused.json()["detail"]
        assert (await client.get(path)).json()["head"] == "own" and len(engine.sessions) == 1
        assert (await client.post("/sessions/nobody/controls", json={})).status_code == 404


async def test_messages_choose_too(serving: Serving) -> None:
    engine = FakeEngine(pace=3.0, controls=HEADS)
    async with serving(engine) as server, SocketClient(server, tone_bursts(2)) as client:
        await client.until(lambda: len(client.face) > 3)
        await client.socket.send('{"type": "control", "head": "still"}')
        await client.socket.send('{"type": "control", "head": "sideways"}')
        await client.socket.send('{"type": "control"}')
        await client.until(lambda: len(news(client)) == 3)
        chosen = {"type": "controls", "style": None, "head": "still", "performance": None, **FILMED}
        refused = {
            "type": "controls_refused",
            "status": 422,
            "detail": "There is no head 'sideways'.",
        }
        assert news(client) == [chosen, refused, chosen]
        shown = len(client.face)
        await client.until(lambda: len(client.face) > shown + 3)
        await client.until(lambda: any(text["type"] == "stats" for text in client.texts))
        stats = next(text for text in client.texts if text["type"] == "stats")
        assert stats["pace_fps"] == 3.0


async def test_a_choice_outlives_a_suspension(serving: Serving) -> None:
    """The toy: a session that comes back as by default."""
    engine = FakeEngine(controls=HEADS)
    async with (
        serving(engine, suspend_seconds=0.3) as server,
        http(server) as requests,
        SocketClient(server, tone_bursts(2)) as client,
    ):
        await client.until(lambda: len(client.face) > 3)
        path = f"{client.config['session']}/controls"
        assert (await requests.post(path, json={"head": "still"})).status_code == 200
        client.silent = True
        await client.until(lambda: not engine.sessions)
        refused = await requests.post(path, json={"head": "own"})
        assert refused.status_code == 409 and "suspended" in refused.json()["detail"]
        client.silent = False
        await client.until(lambda: len(engine.sessions) == 1)
        assert (await requests.get(path)).json()["head"] == "still"


async def test_a_flood_of_choices_is_bounded() -> None:
    class Slow:
        def control(self, changes: dict[str, Any]) -> dict[str, Any]:
            return dict(changes)

    answers: list[dict[str, Any]] = []
    person = PersonInfo("fake", "Fake", 64, 64, 25, 100, (100,), "0" * 64, False)
    look = SessionLook(person, looks := Looks(), lambda: None)
    choices = Choices(lambda: Slow(), look, lambda look: None)  # type: ignore[arg-type,return-value]
    for count in range(MAX_WAITING + 2):
        choices.ask({"performance": str(count)}, answers.append)
    assert [answer["status"] for answer in answers] == [429, 429]
    await choices.aclose()
    await looks.aclose()
    told = [answer["performance"] for answer in answers[2:]]
    assert told == [str(count) for count in range(MAX_WAITING)]
