"""``/healthz``, ``/readyz`` and ``/metrics``: for whoever watches over the server."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from visavis.server.auth import require_token

__all__ = ["alive", "exposition", "readiness", "routes"]

NO_STORE = {"Cache-Control": "no-store"}


async def alive(request: Request) -> Response:
    """200 as long as the loop turns."""
    return JSONResponse({"status": "alive"}, headers=NO_STORE)


async def _ready(request: Request) -> Response:
    state = request.app.state
    if state.engine_error is not None:
        return readiness("failed")
    if state.sessions is None:
        return readiness("loading")
    return readiness("stopping" if state.sessions.draining else "ready")


def readiness(status: str, detail: str | None = None) -> Response:
    """``ready`` with 200; anything else with 503, and with a sentence where there is one."""
    body = {"status": status} if detail is None else {"status": status, "detail": detail}
    return JSONResponse(body, status_code=200 if status == "ready" else 503, headers=NO_STORE)


async def _metrics(request: Request) -> Response:
    require_token(request)
    return exposition(request.app.state.metrics.text())


def exposition(text: bytes) -> Response:
    """Metrics, as Prometheus reads them."""
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8", headers=NO_STORE)


def routes() -> list[Route]:
    """The routes of this module."""
    return [
        Route("/healthz", alive, methods=["GET"]),
        Route("/readyz", _ready, methods=["GET"]),
        Route("/metrics", _metrics, methods=["GET"]),
    ]
