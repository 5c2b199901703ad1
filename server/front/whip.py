"""``/sessions``, ``/whip`` and ``/whep`` in the front.

Who may ask is settled here, the rest is the workers' to answer.
"""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from visavis.engines.errors import VisavisError
from visavis.server.auth import require_token
from visavis.server.front.backend import OFFER, Reply, WorkerClient, WorkerGone
from visavis.server.front.fleet import Fleet
from visavis.server.limits import MAX_FRAGMENT_BYTES, MAX_OFFER_BYTES, check_rate, read_body
from visavis.server.look.routes import read_upload
from visavis.server.problems import handle_error
from visavis.server.whip import RESUME, VIEW

__all__ = ["routes"]

ASKED = ("Content-Type", RESUME)
"""What of a request's headers a worker looks at."""
ANSWERED = ("Content-Type", "Cache-Control", "Location", "Retry-After", RESUME, VIEW)


async def _open(request: Request) -> Response:
    app = request.app.state
    started = time.monotonic()
    try:
        require_token(request)
        check_rate(request, app.open_limit)
        offer = await read_body(request, MAX_OFFER_BYTES)
        reply = await _place(request, app.fleet, offer.encode())
    except VisavisError as error:
        response = await handle_error(request, error)
    else:
        response = _response(reply)
    if response.status_code == 201:
        app.metrics.answered((time.monotonic() - started) * 1000)
    else:
        app.metrics.sessions_refused.labels(str(response.status_code)).inc()
    return response


async def _place(request: Request, fleet: Fleet, offer: bytes) -> Reply:
    """Ask the least loaded worker, and the next one where it does not want the session."""
    refused: set[int] = set()
    reply: Reply | None = None
    while True:
        try:
            place = await fleet.take(refused)
        except VisavisError:
            if reply is not None:
                return reply  # the last one that was asked said best why not
            raise
        try:
            reply = await _forward(request, place.client, offer, place.offer)
        except WorkerGone:
            refused.add(place.worker)
            continue
        # Any other failure leaves it open whether there is a session now; the worker will say.
        if reply.status != 201:
            fleet.placement.give_back(place.worker)
        if reply.status != 503:
            return reply
        refused.add(place.worker)


async def _offer(request: Request) -> Response:
    require_token(request)
    check_rate(request, request.app.state.open_limit)
    offer = await read_body(request, MAX_OFFER_BYTES)
    return await _follow(request, offer.encode())


async def _trickle(request: Request) -> Response:
    require_token(request)
    check_rate(request, request.app.state.change_limit)
    return await _follow(request, (await read_body(request, MAX_FRAGMENT_BYTES)).encode())


async def _picture(request: Request) -> Response:
    require_token(request)
    request.app.state.fleet.home_of(request.path_params["id"])
    with request.app.state.uploads.place():
        return await _follow(request, await read_upload(request))


async def _change(request: Request) -> Response:
    require_token(request)
    check_rate(request, request.app.state.change_limit)
    return await _follow(request)


async def _end(request: Request) -> Response:
    require_token(request)
    check_rate(request, request.app.state.change_limit)
    return await _follow(request, ends=True)


async def _ask(request: Request) -> Response:
    require_token(request)
    return await _follow(request)


async def _nothing(request: Request) -> Response:
    """GET /sessions: reserved by RFC 9725."""
    require_token(request)
    return Response(status_code=204)


async def _follow(request: Request, body: bytes = b"", *, ends: bool = False) -> Response:
    """Lead a request to the worker in which its session lives, and which it perhaps ends."""
    fleet: Fleet = request.app.state.fleet
    number, client = fleet.home_of(request.path_params["id"])
    reply = await _forward(request, client, body)
    if ends and reply.status == 200:
        fleet.placement.give_back(number)
    return _response(reply)


async def _forward(
    request: Request, client: WorkerClient, body: bytes, offer: int | None = None
) -> Reply:
    headers = {name: request.headers[name] for name in ASKED if name in request.headers}
    headers["X-Forwarded-For"] = request.client.host if request.client else ""
    if offer is not None:
        headers[OFFER] = str(offer)
    # As it came: a worker unquotes it once, as it would have done by itself.
    target = request.scope["raw_path"].decode("latin-1")
    if query := request.scope["query_string"]:
        target += "?" + query.decode("latin-1")
    return await client.ask(request.method, target, headers=headers, body=body)


def _response(reply: Reply) -> Response:
    response = Response(reply.body, status_code=reply.status)
    for name in ANSWERED:
        if name in reply.headers:
            response.headers[name] = reply.headers[name]
    for link in reply.headers.get_list("Link"):
        response.headers.append("Link", link)
    return response


def routes() -> list[Route]:
    """The routes of this module, as ``whip``, ``ingest`` and ``whep`` of a worker have them."""
    return [
        Route("/sessions", _open, methods=["POST"]),
        Route("/sessions", _nothing, methods=["GET"]),
        Route("/sessions/{id}", _trickle, methods=["PATCH"]),
        Route("/sessions/{id}", _end, methods=["DELETE"]),
        Route("/sessions/{id}", _ask, methods=["GET"]),
        Route("/sessions/{id}/resume", _offer, methods=["POST"]),
        Route("/sessions/{id}/stats", _ask, methods=["GET"]),
        Route("/sessions/{id}/clear", _change, methods=["POST"]),
        Route("/whip", _open, methods=["POST"]),
        Route("/whip", _nothing, methods=["GET"]),
        Route("/whip/{person}", _open, methods=["POST"]),
        Route("/whip/{person}", _nothing, methods=["GET"]),
        Route("/whep/{id}", _offer, methods=["POST"]),
        Route("/whep/{id}", _ask, methods=["GET"]),
        Route("/whep/{id}/{viewer}", _trickle, methods=["PATCH"]),
        Route("/whep/{id}/{viewer}", _change, methods=["DELETE"]),
        Route("/whep/{id}/{viewer}", _ask, methods=["GET"]),
        Route("/sessions/{id}/controls", _change, methods=["GET"]),
        Route("/sessions/{id}/controls", _trickle, methods=["POST"]),
        Route("/sessions/{id}/background", _picture, methods=["PUT"]),
        Route("/sessions/{id}/recording", _change, methods=["POST"]),
        Route("/sessions/{id}/recording", _ask, methods=["GET"]),
        Route("/sessions/{id}/recording", _change, methods=["DELETE"]),
    ]
