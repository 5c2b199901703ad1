"""``/whep/VIEW``: watch a session with any player that speaks WHEP.

draft-ietf-wish-whep-04, whose endpoint is a session's viewing id. An offer that can be answered is
answered; there is no counter-offer (406). A session that is not there, or no longer, is 404; one
whose speaker is still connecting is answered, and its pictures come when they come. There is no
ICE restart, as in :mod:`visavis.server.whip`.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from visavis.server.auth import require_token
from visavis.server.limits import MAX_FRAGMENT_BYTES, MAX_OFFER_BYTES, check_rate, read_body
from visavis.server.media.sdp import parse_fragment
from visavis.server.media.viewers import Viewers
from visavis.server.whip import is_loopback, link_headers, require_type, sessions_of

__all__ = ["routes"]


async def _watch(request: Request) -> Response:
    require_token(request)
    app = request.app.state
    check_rate(request, app.open_limit)
    require_type(request, "application/sdp")
    view = request.path_params["id"]
    session = sessions_of(request).viewed(view)
    offer = await read_body(request, MAX_OFFER_BYTES)
    identifier, answer = await session.watch(offer, loopback=is_loopback(request))
    root = request.scope.get("root_path", "")
    headers = {"Location": f"{root}/whep/{view}/{identifier}", "Cache-Control": "no-store"}
    response = Response(answer, status_code=201, media_type="application/sdp", headers=headers)
    for link in link_headers(app.ice_servers.fresh()):
        response.headers.append("Link", link)
    return response


async def _look(request: Request) -> Response:
    """GET and HEAD: players look whether there is something to watch."""
    require_token(request)
    sessions_of(request).viewed(request.path_params["id"])
    return Response(media_type="application/sdp", headers={"Cache-Control": "no-store"})


async def _trickle(request: Request) -> Response:
    require_token(request)
    check_rate(request, request.app.state.change_limit)
    viewers = _viewers(request)
    require_type(request, "application/trickle-ice-sdpfrag")
    fragment = parse_fragment(await read_body(request, MAX_FRAGMENT_BYTES))
    await viewers.trickle(request.path_params["viewer"], fragment)
    return Response(status_code=204)


async def _leave(request: Request) -> Response:
    require_token(request)
    check_rate(request, request.app.state.change_limit)
    await _viewers(request).remove(request.path_params["viewer"])
    return Response(status_code=200)


async def _nothing(request: Request) -> Response:
    """GET: says only whether there is such a viewer."""
    require_token(request)
    _viewers(request).get(request.path_params["viewer"])
    return Response(status_code=204)


def _viewers(request: Request) -> Viewers:
    return sessions_of(request).viewed(request.path_params["id"]).viewers


def routes() -> list[Route]:
    """The routes of this module; OPTIONS is answered in :mod:`visavis.server.origins`."""
    return [
        Route("/whep/{id}", _watch, methods=["POST"]),
        Route("/whep/{id}", _look, methods=["GET"]),
        Route("/whep/{id}/{viewer}", _trickle, methods=["PATCH"]),
        Route("/whep/{id}/{viewer}", _leave, methods=["DELETE"]),
        Route("/whep/{id}/{viewer}", _nothing, methods=["GET"]),
    ]
