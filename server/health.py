"""``/healthz``, ``/readyz`` and ``/metrics``: for whoever watches over the server."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from visavis.server.auth import require_token

__all__ = ["routes"]

NO_STORE = {"Cache-Control": "no-store"}


async def _alive(request: Request) -> Response:
    return JSONResponse({"status": "alive"}, headers=NO_STORE)


async def _ready(request: Request) -> Response:
    state = request.app.state
    if state.engine_error is not None:
        status, code = "failed", 503
    elif state.sessions is None:
        status, code = "loading", 503
    elif state.sessions.draining:
        status, code = "stopping", 503
    else:
        status, code = "ready", 200
    return JSONResponse({"status": status}, status_code=code, headers=NO_STORE)


async def _metrics(request: Request) -> Response:
    require_token(request)
    text = request.app.state.metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8", headers=NO_STORE)


def routes() -> list[Route]:
    """The routes of this module."""
    return [
        Route("/healthz", _alive, methods=["GET"]),
        Route("/readyz", _ready, methods=["GET"]),
        Route("/metrics", _metrics, methods=["GET"]),
    ]
