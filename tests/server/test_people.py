"""Many persons behind one server: lists, pictures, and visitors who wait for one to be loaded."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from websockets.asyncio.client import connect

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine
from tests.server.peers import Client
from tests.server.sockets import hello
from tests.server.test_sdp import offer
from visavis.engines.client import PersonInfo
from visavis.engines.errors import NoConsent, NoRoom, PersonFileError, UnknownPerson
from visavis.server import people as module
from visavis.server.config import ServerConfig
from visavis.server.errors import ServerFull, Unavailable
from visavis.server.metrics import Metrics
from visavis.server.people import People
from visavis.server.sessions import Sessions

SDP = {"Content-Type": "application/sdp"}


class Many(FakeEngine):
    """A fake engine with persons p0000, p0001 and so on, of whom some are slow to load."""

    def __init__(self, count: int = 3, *, places: int = 4) -> None:
        super().__init__(places=places)
        self.people: tuple[PersonInfo, ...] = ()
        self.show(count)
        self.slow: set[str] = set()
        self.go = threading.Event()
        self.fail: dict[str, Exception] = {}
        self.threads: set[int] = set()
        self.asked: list[str] = []

    def show(self, count: int) -> None:
        self.people = tuple(
            replace(self.person, name=f"p{index:04}", id=f"{index:04}" * 16)
            for index in range(count)
        )

    def persons(self) -> Sequence[PersonInfo]:
        self.threads.add(threading.get_ident())
        return self.people

    def poster(self, person: str) -> bytes:
        self.threads.add(threading.get_ident())
        self.asked.append(person)
        return super().poster(person) + person.encode()

    def prepare(self, person: str) -> None:
        super().prepare(person)
        if person in self.fail:
            raise self.fail[person]
        if person in self.slow:
            assert self.go.wait(20)

    def open(self, person: str, *args: object, **kwargs: object):  # type: ignore[no-untyped-def]
        self._require(person)
        return super().open(self.person.name, *args, **kwargs)  # type: ignore[arg-type]

    def close(self) -> None:
        self.go.set()
        super().close()


class Hand:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def engine() -> AsyncIterator[Many]:
    engine = Many()
    yield engine
    engine.close()


@pytest.fixture
async def people(engine: Many) -> AsyncIterator[People]:
    people = People(engine, clock=Hand())
    yield people
    engine.go.set()
    await people.aclose()


async def turns(count: int = 20) -> None:
    """Let tasks and threads run."""
    for _ in range(count):
        await asyncio.sleep(0.002)


async def test_a_list_of_a_thousand_is_one_answer_that_browsers_keep(serving: Serving) -> None:
    async with serving(Many(1000)) as server, http(server) as client:
        first = await client.get("/persons")
        body = first.json()
        assert body["default"] == "p0000" and len(body["persons"]) == 1000
        assert body["persons"][999]["poster"] == "/persons/p0999/poster.jpg"
        again = await client.get("/persons", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304 and not again.content
        poster = await client.get("/persons/p0500/poster.jpg")
        assert poster.content.endswith(b"p0500")
        again = await client.get(
            "/persons/p0500/poster.jpg", headers={"If-None-Match": poster.headers["etag"]}
        )
        assert again.status_code == 304
        other = await client.get("/persons/p0501/poster.jpg")
        assert other.headers["etag"] != poster.headers["etag"]


async def test_lists_are_looked_up_in_a_thread_once_a_second(engine: Many, people: People) -> None:
    clock = people._clock
    assert isinstance(clock, Hand)
    first = await people.listing()
    engine.show(5)
    clock.now += 0.9
    assert await people.listing() is first
    with pytest.raises(UnknownPerson, match="'p0004'"):
        await people.find("p0004")
    clock.now += 0.1
    assert (await people.find("p0004")).name == "p0004"
    assert (await people.listing()).etag != first.etag
    clock.now += 1.0
    assert await people.listing() is await people.listing()
    assert threading.get_ident() not in engine.threads


async def test_who_speaks_when_nobody_is_named(engine: Many) -> None:
    for wanted, default in ((None, "p0000"), ("p0002", "p0002"), ("nobody", "p0000")):
        people = People(engine, wanted)
        assert (await people.find(None)).name == default
        await people.aclose()
    engine.show(0)
    people = People(engine)
    with pytest.raises(Unavailable, match="nobody"):
        await people.find(None)
    await people.aclose()


async def test_pictures_are_kept_within_bounds(
    engine: Many, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PICTURE_BYTES", 40)
    monkeypatch.setattr(module, "MAX_PICTURES", 3)
    persons = engine.people
    size = len(await people.picture(persons[0], "poster") or b"")
    assert size == 13 > 40 // 4
    assert people._kept_bytes == 0, "larger than a quarter: never kept"
    monkeypatch.setattr(module, "PICTURE_BYTES", 60)
    for index in (0, 1, 2, 0, 1, 2):
        await people.picture(persons[index], "poster")
    assert engine.asked == ["p0000", "p0000", "p0001", "p0002"]
    assert people._kept_bytes == 39
    replaced = replace(persons[1], id="f" * 64)
    await people.picture(replaced, "poster")
    assert engine.asked[-1] == "p0001", "another file is another picture"
    assert people._kept_bytes == 39 and len(people._pictures) == 3
    await people.picture(persons[0], "poster")
    assert engine.asked[-1] == "p0000", "the one asked for longest ago has gone"
    assert threading.get_ident() not in engine.threads


async def test_everybody_waits_for_the_same_load(engine: Many, people: People) -> None:
    engine.slow.add("p0001")
    waiting = [asyncio.create_task(people.prepare("p0001")) for _ in range(10)]
    await turns()
    assert engine.prepared == ["p0001"]
    # Nobody waits for an unloaded person on the way to a loaded one.
    await people.prepare("p0002")
    # One who leaves takes nothing from the others.
    waiting[0].cancel()
    await turns()
    engine.go.set()
    assert await asyncio.gather(*waiting[1:]) == [None] * 9
    assert engine.prepared == ["p0001", "p0002"]
    await people.prepare("p0001")
    assert engine.prepared[-1] == "p0001", "who may have been unloaded is asked for again"


async def test_a_person_that_cannot_be_loaded_is_said_to_all_who_wait(
    engine: Many, people: People
) -> None:
    engine.fail["p0001"] = NoRoom("p0001", 1 << 30)
    outcomes = await asyncio.gather(
        *(people.prepare("p0001") for _ in range(3)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [NoRoom] * 3


async def test_waiting_has_an_end_and_bounds(
    engine: Many, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOAD_SECONDS", 0.05)
    monkeypatch.setattr(module, "NOTICE_SECONDS", 0.02)
    engine.slow |= {"p0000", "p0001"}
    told: list[str] = []

    async def tell() -> None:
        told.append("loading")

    with pytest.raises(Unavailable, match="p0000 is still being loaded"):
        await people.prepare("p0000", tell)
    await people.prepare("p0002", tell)
    assert told == ["loading"]
    monkeypatch.setattr(module, "MAX_LOADS", 1)
    with pytest.raises(Unavailable, match="Too many"):
        await people.prepare("p0001")
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    one = asyncio.create_task(people.prepare("p0000"))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="Too many"):
        await people.prepare("p0000")
    with pytest.raises(Unavailable):
        await one
    await people.aclose()
    with pytest.raises(Unavailable, match="stopped"):
        await people.prepare("p0002")


async def test_stopping_tells_who_waits(engine: Many, people: People) -> None:
    engine.slow.add("p0000")
    waiting = asyncio.create_task(people.prepare("p0000"))
    await turns()
    await people.aclose()
    with pytest.raises(Unavailable, match="stopped"):
        await waiting


async def test_a_place_is_held_while_a_person_is_loaded() -> None:
    engine = Many(places=2)
    engine.slow.add("p0001")
    sessions = Sessions(ServerConfig(), engine, Metrics())

    async def ask(name: str) -> str:
        person = await sessions.people.find(name)
        wants = {"lookahead_ms": None, "loopback": True, "prefer_h264": False}
        return (await sessions.open(person, offer(), **wants))[0]  # type: ignore[arg-type]

    try:
        waiting = [asyncio.create_task(ask("p0001")) for _ in range(2)]
        await turns()
        assert sessions.taken == 2 and not engine.sessions
        with pytest.raises(ServerFull):
            await ask("p0000")
        assert "p0000" not in engine.prepared, "nobody is loaded for whom there is no place"
        engine.go.set()
        first, _ = await asyncio.gather(*waiting)
        assert sessions.taken == len(engine.sessions) == 2
        await sessions.close(first)
        # What fails gives its place back.
        engine.fail["p0002"] = PersonFileError("broken")
        for _ in range(3):
            with pytest.raises(PersonFileError):
                await ask("p0002")
        assert sessions.taken == 1
        await ask("p0000")
    finally:
        await sessions.aclose()
        engine.close()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (NoRoom("p0001", 1 << 30), 503, "no memory left for 'p0001'"),
        (NoConsent("/home/me/p0001.person"), 404, "cannot be shown"),
        (PersonFileError("/home/me/p0001.person is broken."), 404, "cannot be shown"),
    ],
)
async def test_visitors_are_told_what_they_may_know(
    serving: Serving, error: Exception, status: int, said: str
) -> None:
    engine = Many()
    engine.fail["p0001"] = error
    async with serving(engine) as server, http(server) as client:
        answer = await client.post("/sessions?person=p0001", content=offer(), headers=SDP)
        assert answer.status_code == status
        assert said in answer.json()["detail"] and "/home" not in answer.text
        assert ("retry-after" in answer.headers) == (status == 503)
        address = server.url.replace("http", "ws") + "/ws"
        async with connect(address, compression=None) as socket:
            await socket.send(hello(person="p0001"))
            message = json.loads(await socket.recv())
            assert message["status"] == status and "/home" not in message["detail"]
        assert not engine.sessions


async def test_a_socket_hears_that_its_person_is_being_loaded(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NOTICE_SECONDS", 0.05)
    engine = Many()
    engine.slow.add("p0001")
    async with serving(engine) as server:
        address = server.url.replace("http", "ws") + "/ws"
        async with connect(address, compression=None) as socket:
            await socket.send(hello(person="p0001"))
            assert json.loads(await socket.recv()) == {"type": "loading"}
            engine.go.set()
            assert json.loads(await socket.recv())["type"] == "config"


async def test_who_comes_back_to_an_unloaded_person_holds_up_nobody(serving: Serving) -> None:
    engine = Many(places=3)
    async with (
        serving(engine, suspend_seconds=0.3, resume_seconds=20) as server,
        Client(server, None, query="?person=p0001") as lost,
    ):
        await lost.until(lambda: len(lost.face.packets) > 5)
        sessions = server.app.state.sessions
        (entry,) = sessions._sessions.values()
        await entry.session.suspend()
        assert not engine.sessions
        engine.slow.add("p0001")
        # Its packets go on, so it is taken up again, as soon as the person is there.
        await lost.until(lambda: entry.returning)
        assert sessions.taken == 1
        async with Client(server, None, query="?person=p0002") as other:
            await other.until(lambda: len(other.face.packets) > 5)
            other.vanish()
            await other.until(lambda: len(engine.sessions) == 0, seconds=20)
        count = len(lost.face.packets)
        engine.go.set()
        await lost.until(lambda: len(lost.face.packets) > count + 10)
        assert not entry.returning
