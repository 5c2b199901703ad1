"""``/ws``: one WebSocket is one session, from its first message to its last.

Everybody's connection is accepted, except from pages of other sites
(:mod:`visavis.server.origins`): a browser's script cannot read why a handshake failed. Whoever is
turned away then gets an ``error`` message with a sentence, and a close code of 4000 and the HTTP
status that the same request over HTTP would have had.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import time
from typing import Any

from starlette.requests import HTTPConnection
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from visavis.engines.errors import VisavisError
from visavis.server.auth import is_allowed
from visavis.server.errors import NoSuchSession, NotAllowed, RequestError, Unavailable
from visavis.server.limits import check_rate
from visavis.server.media.voice import LEAD
from visavis.server.problems import describe
from visavis.server.sessions import Sessions
from visavis.server.ws.framing import MAX_MESSAGE_BYTES, VERSION
from visavis.server.ws.hello import Hello, parse_hello
from visavis.server.ws.transport import SocketTransport

__all__ = [
    "CLOSE_BASE",
    "GOODBYES",
    "MAX_STRANGERS",
    "first_text",
    "receive",
    "refuse",
    "require_hello_token",
    "routes",
]

logger = logging.getLogger(__name__)

CLOSE_BASE = 4000
GOODBYES = (1000, 1001)
"""Close codes of a peer that leaves; with any other it was lost (uvicorn says 1005 then)."""
HELLO_SECONDS = 5.0
MAX_STRANGERS = 64
"""Connections that have not said hello yet."""
STATS_SECONDS = 1.0
LOADING_RETRY_SECONDS = 2


class _Endpoint:
    """What all connections of one application share."""

    def __init__(self) -> None:
        self._strangers = 0

    async def open(self, socket: WebSocket) -> None:
        await socket.accept()
        started = time.monotonic()
        try:
            joined = await self._join(socket)
        except WebSocketDisconnect:
            return
        except VisavisError as error:
            status = await refuse(socket, error)
            socket.app.state.metrics.sessions_refused.labels(str(status)).inc()
            return
        socket.app.state.metrics.answered((time.monotonic() - started) * 1000)
        await _serve(socket, *joined)

    async def _join(self, socket: WebSocket) -> tuple[Sessions, str, SocketTransport]:
        state = socket.app.state
        check_rate(socket, state.open_limit)
        if self._strangers >= MAX_STRANGERS:
            raise Unavailable("Too many connections say nothing.", retry_after=1)
        self._strangers += 1
        try:
            hello = parse_hello(await first_text(socket))
        finally:
            self._strangers -= 1
        require_hello_token(socket, hello)
        sessions: Sessions | None = state.sessions
        if sessions is None:
            raise Unavailable("The persons are being loaded.", retry_after=LOADING_RETRY_SECONDS)
        if hello.resume is not None:
            identifier, token = hello.resume
            transport = await sessions.rejoin(
                identifier, token, lambda events: SocketTransport(hello, events)
            )
        else:
            identifier, transport = await sessions.join(
                await sessions.people.find(hello.person),
                lambda events: SocketTransport(hello, events),
                lookahead_ms=hello.lookahead_ms,
                on_wait=lambda: socket.send_text(json.dumps({"type": "loading"})),
            )
        transport.send_message(_config(socket, sessions, identifier, hello))
        return sessions, identifier, transport


async def first_text(socket: WebSocket) -> str:
    """The hello, unread.

    Raises:
        WebSocketDisconnect: there is none.
        RequestError: it did not come in time, or is no text.
    """
    try:
        message = await asyncio.wait_for(receive(socket), HELLO_SECONDS)
    except TimeoutError:
        raise RequestError("The hello did not come in time.", status=408) from None
    if not isinstance(message, str):
        raise RequestError('The first message must be a "hello" in JSON.')
    return message


async def receive(socket: WebSocket) -> str | bytes:
    """The next message.

    Raises:
        WebSocketDisconnect: there is none.
        RequestError: it is too large.
    """
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    text: str | None = message.get("text")
    data: str | bytes = message.get("bytes") or b"" if text is None else text
    if len(data) > MAX_MESSAGE_BYTES:
        raise RequestError(f"A message has at most {MAX_MESSAGE_BYTES} bytes.", status=413)
    return data


def require_hello_token(connection: HTTPConnection, hello: Hello) -> None:
    """Let the connection pass, by the token in its hello or in its header, or raise.

    Raises:
        NotAllowed: it is missing or wrong.
    """
    token = connection.app.state.config.token
    given = None if hello.token is None else f"Bearer {hello.token}"
    given = given or connection.headers.get("authorization")
    if not is_allowed(given, token):
        what = "is wrong" if given else "is missing"
        raise NotAllowed(f'The token {what}; send it as "token" in the hello.')


def _config(
    socket: WebSocket, sessions: Sessions, identifier: str, hello: Hello
) -> dict[str, object]:
    person = sessions.get(identifier).person
    root = socket.scope.get("root_path", "")
    return {
        "type": "config",
        "version": VERSION,
        "session": f"{root}/sessions/{identifier}",
        "resume": sessions.resume_token(identifier),
        "person": person.name,
        "voice": {"codec": hello.voice, "rate": 48_000, "frame_ms": 20, "lead_ms": LEAD * 1000},
        "face": {
            "codec": hello.face,
            "width": person.width,
            "height": person.height,
            "fps": person.fps,
        },
    }


async def refuse(socket: WebSocket, error: VisavisError) -> int:
    """Say why in a message and in the close code; returns the HTTP status."""
    status, sentence, retry_after = describe(error)
    message: dict[str, Any] = {"type": "error", "status": status, "detail": sentence}
    if retry_after is not None:
        message["retry_after"] = retry_after
    try:
        await socket.send_text(json.dumps(message))
        await socket.close(CLOSE_BASE + status, sentence[:120])
    except (WebSocketDisconnect, RuntimeError):
        pass  # it has left already
    return status


async def _serve(
    socket: WebSocket, sessions: Sessions, identifier: str, transport: SocketTransport
) -> None:
    writing = asyncio.create_task(transport.write(socket))
    telling = asyncio.create_task(_tell(sessions, identifier, transport))
    transport.begin()
    try:
        while True:
            transport.take(await receive(socket))
    except WebSocketDisconnect as gone:
        transport.ended("closed" if gone.code in GOODBYES else "failed")
    except RequestError as error:
        transport.ended("closed")
        status, sentence, _ = describe(error)
        transport.send_message({"type": "error", "status": status, "detail": sentence})
        transport.close_with(CLOSE_BASE + status, sentence[:120])
    finally:
        telling.cancel()
        transport.close_with(1001, "")
        await asyncio.wait([telling, writing], timeout=2.0)
        writing.cancel()
        await asyncio.wait([writing])
        failure = None if writing.cancelled() else writing.exception()
        if failure is not None and not isinstance(failure, WebSocketDisconnect | RuntimeError):
            logger.error("a WebSocket could not be written", exc_info=failure)


async def _tell(sessions: Sessions, identifier: str, transport: SocketTransport) -> None:
    """The session's own numbers, once a second."""
    while True:
        await asyncio.sleep(STATS_SECONDS)
        with contextlib.suppress(NoSuchSession):
            report = dataclasses.asdict(sessions.get(identifier).report())
            transport.send_message({"type": "stats", **report})
            if transport.speech is not None:
                waiting = round(transport.speech.waiting_seconds * 1000)
                transport.send_message({"type": "queue", "waiting_ms": waiting})


def routes() -> list[WebSocketRoute]:
    """The route of this module."""
    return [WebSocketRoute("/ws", _Endpoint().open)]
