"""The front without any process behind it, and the page of numbers that it makes of many."""

from __future__ import annotations

import asyncio
import json
import sys

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosed

from tests.server.peers import serve
from tests.server.sockets import hello
from tests.server.test_sdp import offer
from visavis.engines.client import EngineClient
from visavis.engines.errors import PersonFileError
from visavis.server.config import ServerConfig
from visavis.server.front.app import create_front
from visavis.server.front.plan import FleetPlan
from visavis.server.front.scrape import merge
from visavis.server.metrics import Metrics

SDP = {"Content-Type": "application/sdp"}


def connect(address: str, slots: int) -> EngineClient:
    raise AssertionError("there is no engine")


def plan(code: str = "pass") -> FleetPlan:
    return FleetPlan((sys.executable, "-S", "-c", code), {}, connect)


def client(**config: object) -> httpx.AsyncClient:
    app = create_front(ServerConfig(**config), plan())  # type: ignore[arg-type]
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost", headers=SDP
    )


async def test_who_may_come_is_asked_before_any_worker() -> None:
    async with client(token="mif") as http:
        for method, path in (
            ("POST", "/sessions"),
            ("POST", "/sessions/0.a/resume"),
            ("PATCH", "/sessions/0.a"),
            ("DELETE", "/sessions/0.a"),
            ("GET", "/sessions/0.a"),
            ("GET", "/sessions/0.a/stats"),
            ("POST", "/sessions/0.a/clear"),
            ("POST", "/sessions/0.a/recording"),
            ("GET", "/sessions/0.a/recording"),
            ("DELETE", "/sessions/0.a/recording"),
            ("GET", "/recordings"),
            ("GET", "/recordings/a"),
            ("DELETE", "/recordings/a"),
            ("GET", "/metrics"),
            ("GET", "/persons"),
        ):
            assert (await http.request(method, path)).status_code == 401, path
        known = {"Authorization": "Bearer mif"}
        answer = await http.post("/sessions", content=offer(), headers=known)
        assert answer.status_code == 503 and answer.json()["detail"].startswith("The persons are")
        assert (await http.get("/sessions/0.a", headers=known)).status_code == 404
        assert (await http.get("/readyz")).json() == {"status": "loading"}
        assert (await http.get("/healthz")).status_code == 200


async def test_how_much_may_come_is_asked_too() -> None:
    async with client(requests_per_second=0.01) as http:
        large = await http.post("/sessions", content="x" * 70_000)
        assert large.status_code == 413
        codes = [(await http.post("/sessions", content="x")).status_code for _ in range(25)]
        assert codes[0] == 503 and codes[-1] == 429
        large = await http.patch("/sessions/0.a", content="x" * 20_000)
        assert large.status_code == 413
        answer = await http.get("/", headers={"Host": "example.org"})
        assert answer.status_code == 421


async def test_a_socket_is_refused_with_the_sentence_of_a_server() -> None:
    slow = plan("import sys; sys.stdin.read()")
    async with serve(create_front(ServerConfig(token="mif"), slow)) as server:
        for said, status in ((hello(), 401), (hello(token="mif"), 503), ("nonsense", 400)):
            async with connect_socket(server.url.replace("http", "ws", 1) + "/ws") as socket:
                await socket.send(said)
                assert json.loads(await socket.recv())["status"] == status
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
                assert closed.value.rcvd is not None and closed.value.rcvd.code == 4000 + status


async def test_an_engine_that_does_not_start_is_why_the_server_does_not() -> None:
    why = "import json; print(json.dumps({'kind': 'person', 'error': 'Nobody is there.'}))"
    outcome: asyncio.Queue[Exception | None] = asyncio.Queue()
    app = create_front(ServerConfig(), plan(why), on_loaded=outcome.put_nowait)
    async with serve(app) as server, httpx.AsyncClient(base_url=server.url) as http:
        error = await asyncio.wait_for(outcome.get(), 10)
        assert type(error) is PersonFileError and str(error) == "Nobody is there."
        assert (await http.get("/readyz")).json() == {"status": "failed"}


def test_numbers_of_all_processes_on_one_page() -> None:
    front, workers = Metrics(), [Metrics(), Metrics()]
    front.answered(20.0)
    front.sessions_refused.labels("503").inc()
    front.loop_delayed(1.0)
    for number, worker in enumerate(workers):
        worker.answered(10.0)  # the front has counted them
        for _ in range(number + 1):
            worker.frame_encoded(2.0)
    text = merge(front.text(), ((n, worker.text()) for n, worker in enumerate(workers)))
    families = {f.name: f for f in text_string_to_metric_families(text.decode())}
    assert len(families) == len(list(text_string_to_metric_families(text.decode())))

    def values(name: str) -> dict[tuple[str, ...], float]:
        return {
            (sample.name.removeprefix(name), *sample.labels.values()): sample.value
            for sample in families[name].samples
        }

    assert values("visavis_sessions_opened") == {("_total",): 1.0}
    assert values("visavis_sessions_refused") == {("_total", "503"): 1.0}
    encode = values("visavis_frame_encode_cpu_seconds")
    assert encode["_count", "0"] == 1.0 and encode["_count", "1"] == 2.0
    assert encode["_sum", "1"] == pytest.approx(0.004)
    assert values("visavis_event_loop_delay_seconds")["_count",] == 1.0
    assert {sample.labels["worker"] for sample in families["visavis_ready"].samples[1:]} == {
        "0",
        "1",
    }
