"""``/ws`` in the front: the first message says where a connection belongs; the rest passes through.

One message at a time each way, and the next one is read when it has been written. So a browser that
reads slowly stops its own worker's writing, which sheds pictures as it always does, and nobody
else's; what waits here is a handful of messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from visavis.engines.errors import VisavisError
from visavis.server.errors import Unavailable
from visavis.server.front.backend import ANSWER_SECONDS, OFFER, WorkerClient, WorkerGone
from visavis.server.front.fleet import Fleet
from visavis.server.limits import check_rate
from visavis.server.ws.connection import (
    GOODBYES,
    MAX_STRANGERS,
    first_text,
    receive,
    refuse,
    require_hello_token,
)
from visavis.server.ws.hello import Hello, parse_hello

__all__ = ["routes"]

MAX_FACE_BYTES = 4 << 20
"""The largest message of a worker: a key frame."""
QUEUE = 8
WRITE_LIMIT = 32 * 1024
LAST_WORDS_SECONDS = 1.0
GOING_AWAY = 1001
LOST = 1012
"""Service restart: the worker is gone (IANA's registry of close codes)."""


class _Endpoint:
    """What all connections of one front share."""

    def __init__(self) -> None:
        self._strangers = 0

    async def open(self, socket: WebSocket) -> None:
        await socket.accept()
        state = socket.app.state
        started = time.monotonic()
        try:
            text, hello = await self._greet(socket)
            fleet: Fleet = state.fleet
            upstream, answer = await _find(socket, fleet, text, hello)
        except WebSocketDisconnect:
            return
        except VisavisError as error:
            status = await refuse(socket, error)
            state.metrics.sessions_refused.labels(str(status)).inc()
            return
        try:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await socket.send_text(answer)
            if (refusal := _status(answer)) is None:
                state.metrics.answered((time.monotonic() - started) * 1000)
            else:
                state.metrics.sessions_refused.labels(str(refusal)).inc()
            await _join(socket, upstream)
        finally:
            # Without a goodbye: what the browser said last has been passed on, or it said none.
            upstream.transport.abort()
            await upstream.wait_closed()

    async def _greet(self, socket: WebSocket) -> tuple[str, Hello]:
        state = socket.app.state
        check_rate(socket, state.open_limit)
        if self._strangers >= MAX_STRANGERS:
            raise Unavailable("Too many connections say nothing.", retry_after=1)
        self._strangers += 1
        try:
            text = await first_text(socket)
        finally:
            self._strangers -= 1
        hello = parse_hello(text)
        require_hello_token(socket, hello)
        return text, hello


async def _find(
    socket: WebSocket, fleet: Fleet, text: str, hello: Hello
) -> tuple[ClientConnection, str]:
    """A worker that takes the session, and what it answered.

    A worker's refusal is passed on like any other answer, but for 503: then the next one is asked.
    """
    if hello.resume is not None:
        _, client = fleet.home_of(hello.resume[0])
        return await _greet_worker(socket, client, text, {})
    refused: set[int] = set()
    while True:
        place = await fleet.take(refused)
        try:
            upstream, answer = await _greet_worker(
                socket, place.client, text, {OFFER: str(place.offer)}
            )
        except WorkerGone:
            refused.add(place.worker)
            continue
        status = _status(answer)
        if status is not None:
            fleet.placement.give_back(place.worker)
        if status == 503:
            refused.add(place.worker)
            if fleet.placement.has_room(refused):
                upstream.transport.abort()
                continue
        return upstream, answer


async def _greet_worker(
    socket: WebSocket, client: WorkerClient, text: str, headers: dict[str, str]
) -> tuple[ClientConnection, str]:
    address = socket.client.host if socket.client else ""
    try:
        upstream = await unix_connect(
            client.path,
            "ws://worker/ws",
            additional_headers={"X-Forwarded-For": address, **headers},
            compression=None,
            max_size=MAX_FACE_BYTES,
            max_queue=QUEUE,
            write_limit=WRITE_LIMIT,
            ping_interval=None,
        )
    except (OSError, InvalidHandshake, TimeoutError) as error:
        raise WorkerGone from error
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await upstream.send(text)
            answer = await upstream.recv()
            while _message(answer)["type"] == "loading":
                await socket.send_text(str(answer))
                answer = await upstream.recv()
    except (ConnectionClosed, TimeoutError) as error:
        upstream.transport.abort()
        raise WorkerGone from error
    except BaseException:
        upstream.transport.abort()
        raise
    return upstream, str(answer)


def _status(answer: str) -> int | None:
    """The HTTP status of a refusal; None where the browser is let in."""
    message = _message(answer)
    return int(message["status"]) if message["type"] == "error" else None


def _message(text: str | bytes) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(text)
    return message


async def _join(socket: WebSocket, upstream: ClientConnection) -> None:
    """Pass messages on, both ways, until either side is gone."""
    up = asyncio.create_task(_to_worker(socket, upstream))
    down = asyncio.create_task(_to_browser(socket, upstream))
    ways = (up, down)
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if up.done() and up.exception() is None and up.result():
            # What the worker said last, and how it ended, is still to be passed on.
            await asyncio.wait([down], timeout=LAST_WORDS_SECONDS)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.wait(ways)
    for way in ways:
        if not way.cancelled():
            way.result()  # raises what went wrong


async def _to_worker(socket: WebSocket, upstream: ClientConnection) -> bool:
    """Returns whether it was the worker who ended."""
    try:
        while True:
            await upstream.send(await receive(socket))
    except WebSocketDisconnect as gone:
        if gone.code in GOODBYES:
            # With any other code it was lost, and the worker is to see that too.
            await upstream.close(gone.code)
    except ConnectionClosed:
        return True
    except VisavisError as error:
        await refuse(socket, error)
        await upstream.close(GOING_AWAY)
    return False


async def _to_browser(socket: WebSocket, upstream: ClientConnection) -> None:
    try:
        while True:
            message = await upstream.recv()
            if isinstance(message, str):
                await socket.send_text(message)
            else:
                await socket.send_bytes(message)
    except ConnectionClosed as closed:
        code, reason = LOST, "The session has ended with its process."
        if closed.rcvd is not None:
            code, reason = closed.rcvd.code, closed.rcvd.reason
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await socket.close(code, reason)
    except (WebSocketDisconnect, RuntimeError):
        pass  # the browser is gone, as the other way sees


def routes() -> list[WebSocketRoute]:
    """The route of this module."""
    return [WebSocketRoute("/ws", _Endpoint().open)]
