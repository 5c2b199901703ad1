"""``/sessions``: open, trickle, watch, interrupt and end a session with WHIP's HTTP semantics.

RFC 9725, with two differences. The offer's audio is ``sendrecv`` and its video ``recvonly``. There
is no ICE restart (aiortc has none), so no entity tag is issued and ``If-Match`` is not looked at; a
session whose connection is lost goes on over a new one: ``POST /sessions/ID/resume``.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import time
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from visavis.engines.errors import PersonFileError, VisavisError
from visavis.engines.strict_json import parse_json
from visavis.server.auth import require_token
from visavis.server.config import IceServer
from visavis.server.errors import OfferError, RequestError, Unavailable
from visavis.server.limits import MAX_FRAGMENT_BYTES, MAX_OFFER_BYTES, check_rate, read_body
from visavis.server.media.sdp import parse_fragment
from visavis.server.problems import handle_error
from visavis.server.sessions import Sessions

__all__ = [
    "RESUME",
    "VIEW",
    "is_loopback",
    "link_headers",
    "open_session",
    "require_type",
    "routes",
    "sessions_of",
]

LOADING_RETRY_SECONDS = 2
RESUME = "Visavis-Resume"
"""The header with the resume token, both ways: what stands in addresses is logged by proxies."""
VIEW = "Visavis-View"
"""The header with the id by which others may watch: ``/whep/ID``."""


def sessions_of(request: Request) -> Sessions:
    """The registry, once the engine is loaded.

    Raises:
        Unavailable: it is not.
    """
    sessions: Sessions | None = request.app.state.sessions
    if sessions is None:
        raise Unavailable("The persons are being loaded.", retry_after=LOADING_RETRY_SECONDS)
    return sessions


def link_headers(servers: Iterable[IceServer]) -> list[str]:
    """ICE servers as RFC 9725 section 4.6 sends them."""
    links = []
    for server in servers:
        link = f'<{server.url}>; rel="ice-server"'
        if server.username is not None:
            link += (
                f'; username="{_quoted(server.username)}"'
                f'; credential="{_quoted(server.credential or "")}"'
                '; credential-type="password"'
            )
        links.append(link)
    return links


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


async def _open(request: Request) -> Response:
    return await open_session(request, request.query_params.get("person"))


async def open_session(request: Request, person: str | None, *, publish: bool = False) -> Response:
    """Answer an offer: 201, or why not. `publish` says that the peer only speaks (WHIP)."""
    app = request.app.state
    started = time.monotonic()
    try:
        require_token(request)
        check_rate(request, app.open_limit)
        require_type(request, "application/sdp")
        offer = await read_body(request, MAX_OFFER_BYTES)
        sessions = sessions_of(request)
        identifier, answer = await sessions.open(
            await sessions.people.find(person),
            offer,
            lookahead_ms=_lookahead(request),
            loopback=is_loopback(request),
            prefer_h264=_prefers_h264(request),
            publish=publish,
        )
    except VisavisError as error:
        response = await handle_error(request, error)
        app.metrics.sessions_refused.labels(str(response.status_code)).inc()
        return response
    app.metrics.answered((time.monotonic() - started) * 1000)
    response = _answer(request, identifier, answer, 201)
    for link in link_headers(app.ice_servers.fresh()):
        response.headers.append("Link", link)
    return response


async def _resume(request: Request) -> Response:
    require_token(request)
    check_rate(request, request.app.state.open_limit)
    require_type(request, "application/sdp")
    identifier = request.path_params["id"]
    answer = await sessions_of(request).resume(
        identifier,
        request.headers.get(RESUME, ""),
        await read_body(request, MAX_OFFER_BYTES),
        loopback=is_loopback(request),
        prefer_h264=_prefers_h264(request),
    )
    return _answer(request, identifier, answer, 200)


def _answer(request: Request, identifier: str, answer: str, status: int) -> Response:
    root = request.scope.get("root_path", "")
    headers = {
        "Location": f"{root}/sessions/{identifier}",
        "Cache-Control": "no-store",
        RESUME: sessions_of(request).resume_token(identifier),
        VIEW: sessions_of(request).view_of(identifier),
    }
    return Response(answer, status_code=status, media_type="application/sdp", headers=headers)


async def _trickle(request: Request) -> Response:
    require_token(request)
    check_rate(request, request.app.state.change_limit)
    session = sessions_of(request).get(request.path_params["id"])
    require_type(request, "application/trickle-ice-sdpfrag")
    await session.trickle(parse_fragment(await read_body(request, MAX_FRAGMENT_BYTES)))
    return Response(status_code=204)


async def _end(request: Request) -> Response:
    require_token(request)
    check_rate(request, request.app.state.change_limit)
    await sessions_of(request).close(request.path_params["id"])
    return Response(status_code=200)


async def _nothing(request: Request) -> Response:
    """GET: reserved by RFC 9725; says only whether there is such a thing."""
    require_token(request)
    if "id" in request.path_params:
        sessions_of(request).get(request.path_params["id"])
    return Response(status_code=204)


async def _stats(request: Request) -> Response:
    require_token(request)
    report = sessions_of(request).get(request.path_params["id"]).report()
    return JSONResponse(dataclasses.asdict(report), headers={"Cache-Control": "no-store"})


async def _clear(request: Request) -> Response:
    require_token(request)
    check_rate(request, request.app.state.change_limit)
    sessions_of(request).get(request.path_params["id"]).clear()
    return Response(status_code=204)


async def _control(request: Request) -> Response:
    """Choose: what is not in the body stays as it is. Answered with the whole choice."""
    require_token(request)
    check_rate(request, request.app.state.change_limit)
    session = sessions_of(request).get(request.path_params["id"])
    require_type(request, "application/json")
    body = await read_body(request, MAX_FRAGMENT_BYTES)
    try:
        changes = parse_json("The choice", body.encode())
    except PersonFileError as error:
        raise RequestError(str(error)) from None
    return _choice(await session.control(changes))


async def _controls(request: Request) -> Response:
    require_token(request)
    check_rate(request, request.app.state.change_limit)
    return _choice(await sessions_of(request).get(request.path_params["id"]).control({}))


def _choice(choice: dict[str, Any]) -> Response:
    return JSONResponse(choice, headers={"Cache-Control": "no-store"})


def require_type(request: Request, wanted: str) -> None:
    """Refuse a body of another kind.

    Raises:
        RequestError: 415.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != wanted:
        raise RequestError(f"The content type must be {wanted}.", status=415)


def _lookahead(request: Request) -> int | None:
    text = request.query_params.get("lookahead")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise RequestError("The look-ahead must be a whole number of milliseconds.")
    return int(text)


def _prefers_h264(request: Request) -> bool:
    codec = request.query_params.get("codec", "").lower()
    if not codec:
        return sessions_of(request).encoding.prefers_h264
    if codec not in ("vp8", "h264"):
        raise OfferError("The codec must be vp8 or h264.", status=400)
    return codec == "h264"


def is_loopback(request: Request) -> bool:
    """Whether who asks is on this machine."""
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def routes() -> list[Route]:
    """The routes of this module; OPTIONS is answered in :mod:`visavis.server.origins`."""
    return [
        Route("/sessions", _open, methods=["POST"]),
        Route("/sessions", _nothing, methods=["GET"]),
        Route("/sessions/{id}", _trickle, methods=["PATCH"]),
        Route("/sessions/{id}", _end, methods=["DELETE"]),
        Route("/sessions/{id}", _nothing, methods=["GET"]),
        Route("/sessions/{id}/resume", _resume, methods=["POST"]),
        Route("/sessions/{id}/stats", _stats, methods=["GET"]),
        Route("/sessions/{id}/clear", _clear, methods=["POST"]),
        Route("/sessions/{id}/controls", _controls, methods=["GET"]),
        Route("/sessions/{id}/controls", _control, methods=["POST"]),
    ]
