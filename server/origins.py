"""Which sites may use the server from a browser (CORS), and OPTIONS for every path.

The rule stands in :attr:`visavis.server.config.ServerConfig.any_origin`.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Origins"]

EXPOSED = "ETag, Link, Location, Retry-After"
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
    "Access-Control-Max-Age": "600",
}


class Origins:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, any_origin: bool) -> None:
        self._app = app
        self._any_origin = any_origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_origin(message: Message) -> None:
            if message["type"] == "http.response.start" and self._any_origin:
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"] = "*"
                headers["Access-Control-Expose-Headers"] = EXPOSED
            await send(message)

        if scope["method"] == "OPTIONS":
            headers = dict(PREFLIGHT) if self._any_origin else {}
            if scope["path"].rstrip("/").endswith("/sessions"):
                headers["Accept-Post"] = "application/sdp"
            response = Response(status_code=204, headers=headers)
            await response(scope, receive, send_with_origin)
            return
        await self._app(scope, receive, send_with_origin)
