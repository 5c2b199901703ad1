"""``/whip``: speak from any program that publishes over WHIP (RFC 9725).

What comes is one voice, and perhaps a picture, which is taken and thrown away; nothing goes back.
The session is one like any other, at ``/sessions/ID``, where it is trickled to and ended; who
watches it does so over WHEP (:mod:`visavis.server.whep`).
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from visavis.server.auth import require_token
from visavis.server.whip import open_session

__all__ = ["routes"]


async def _publish(request: Request) -> Response:
    return await open_session(request, request.path_params.get("person"), publish=True)


async def _nothing(request: Request) -> Response:
    """GET: reserved by RFC 9725."""
    require_token(request)
    return Response(status_code=204)


def routes() -> list[Route]:
    """The routes of this module."""
    return [
        Route("/whip", _publish, methods=["POST"]),
        Route("/whip", _nothing, methods=["GET"]),
        Route("/whip/{person}", _publish, methods=["POST"]),
        Route("/whip/{person}", _nothing, methods=["GET"]),
    ]
