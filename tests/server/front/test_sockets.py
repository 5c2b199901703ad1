"""What passes through the front, one message at a time; the other side is held by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Close

from visavis.server.front import sockets


async def turns(enough: Callable[[], bool] = lambda: False) -> None:
    """Let everything else run for a while, or until it is enough."""
    for _ in range(200):
        if enough():
            return
        await asyncio.sleep(0)


class Browser:
    """A WebSocket of a browser that reads when it is let."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.came: list[str | bytes] = []
        self.says: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.closed: tuple[int, str | None] | None = None

    async def receive(self) -> dict[str, Any]:
        return await self.says.get()

    async def send_text(self, data: str) -> None:
        await self.reads.wait()
        self.came.append(data)

    async def send_bytes(self, data: bytes) -> None:
        await self.reads.wait()
        self.came.append(data)

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        if self.closed is None:
            self.closed = (code, reason)


class Worker:
    """A connection to a worker that always has something to say."""

    def __init__(self) -> None:
        self.said = 0
        self.came: list[str | bytes] = []
        self.closed: int | None = None
        self.end: ConnectionClosedOK | ConnectionClosedError | None = None
        self.takes = asyncio.Event()
        self.takes.set()

    async def recv(self) -> str | bytes:
        await asyncio.sleep(0)
        if self.end is not None:
            raise self.end
        self.said += 1
        return b"%d" % self.said if self.said % 2 else str(self.said)

    async def send(self, message: str | bytes) -> None:
        await self.takes.wait()
        if self.end is not None:
            raise self.end
        self.came.append(message)

    async def close(self, code: int) -> None:
        self.closed = code
        self.end = ConnectionClosedOK(Close(code, ""), Close(code, ""), True)


@pytest.fixture
async def joined() -> tuple[Browser, Worker, asyncio.Task[None]]:
    browser, worker = Browser(), Worker()
    return browser, worker, asyncio.create_task(sockets._join(browser, worker))  # type: ignore[arg-type]


Joined = tuple[Browser, Worker, asyncio.Task[None]]


async def test_messages_pass_as_they_are_and_in_order(joined: Joined) -> None:
    browser, worker, task = joined
    for message in ({"text": "a"}, {"bytes": b"b"}, {"text": "c"}):
        browser.says.put_nowait({"type": "websocket.receive", **message})
    await turns(lambda: len(browser.came) > 4 and len(worker.came) == 3)
    assert browser.came[:4] == [b"1", "2", b"3", "4"] and worker.came == ["a", b"b", "c"]
    browser.says.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await task
    assert worker.closed == 1000


async def test_who_does_not_read_stops_his_worker_and_nothing_piles_up(joined: Joined) -> None:
    browser, worker, task = joined
    browser.reads.clear()
    await turns()
    said = worker.said
    await turns()
    assert worker.said == said == len(browser.came) + 1
    # He can be heard all the same.
    browser.says.put_nowait({"type": "websocket.receive", "text": "still here"})
    await turns(lambda: bool(worker.came))
    worker.takes.clear()
    for number in range(20):
        browser.says.put_nowait({"type": "websocket.receive", "text": str(number)})
    await turns()
    assert browser.says.qsize() == 19, "nor does what he says pile up here"
    task.cancel()
    await asyncio.wait([task])


async def test_a_browser_that_was_lost_says_no_goodbye(joined: Joined) -> None:
    browser, worker, task = joined
    browser.says.put_nowait({"type": "websocket.disconnect", "code": 1006})
    browser.reads.clear()
    await asyncio.wait_for(task, 5)
    assert worker.closed is None, "the connection is aborted then, and the session kept for a while"


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (ConnectionClosedOK(Close(4408, "Too slow."), None), 4408),
        (ConnectionClosedError(None, None), sockets.LOST),
    ],
)
async def test_how_the_worker_ended_is_passed_on(
    joined: Joined, end: ConnectionClosedOK | ConnectionClosedError, code: int
) -> None:
    browser, worker, task = joined
    worker.end = end
    await asyncio.wait_for(task, 5)
    assert browser.closed is not None and browser.closed[0] == code


async def test_too_large_a_message_ends_the_session_with_a_sentence(joined: Joined) -> None:
    browser, worker, task = joined
    browser.says.put_nowait({"type": "websocket.receive", "bytes": bytes(1 << 20)})
    await asyncio.wait_for(task, 5)
    assert worker.closed == sockets.GOING_AWAY and browser.closed is not None
    assert browser.closed[0] == 4413 and any("413" in str(text) for text in browser.came)
