"""The page and its files, with the headers that keep them fresh and keep others out."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from visavis import __version__
from visavis.server.auth import is_allowed
from visavis.server.bundle import bundle
from visavis.server.config import ServerConfig
from visavis.server.errors import RequestError

__all__ = ["cached", "load_pages", "routes"]

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".d.ts": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
# The page loads nothing from anywhere else. Recordings and posters are blobs of its own making.
PAGE_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob: data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    ]
)
SAFE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
BUNDLE = "bundle/visavis.js"
# Pages of other sites may take it, also those that are isolated from others' origins.
SHARED = {
    **SAFE,
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
PAGE_HEADERS = {
    **SAFE,
    "Content-Security-Policy": PAGE_POLICY,
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
}


def load_pages() -> dict[str, bytes]:
    """All files of the client, by name, from the installed package."""
    found: dict[str, bytes] = {}

    def walk(folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                walk(entry, f"{prefix}{entry.name}/")
            elif any(entry.name.endswith(suffix) for suffix in TYPES):
                found[f"{prefix}{entry.name}"] = entry.read_bytes()

    walk(files("visavis.client_web"), "")
    found[BUNDLE] = bundle(found, "visavis.js")
    return found


def cached(
    request: Request,
    body: bytes,
    media_type: str,
    headers: dict[str, str] | None = None,
    *,
    etag: str | None = None,
) -> Response:
    """A body that the browser keeps and asks about: 304 while it is unchanged; ranges for video.

    Args:
        request: what was asked.
        body: the whole of it.
        media_type: of the body.
        headers: instead of the usual ones.
        etag: what names this content and no other, in quotes; its hash where None.
    """
    etag = etag or f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    shared = {"ETag": etag, "Cache-Control": "no-cache", **(SAFE if headers is None else headers)}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=shared)
    if media_type.startswith("video/"):
        shared["Accept-Ranges"] = "bytes"
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if match:
            first = int(match[1])
            last = min(int(match[2] or len(body) - 1), len(body) - 1)
            if first > last:
                shared["Content-Range"] = f"bytes */{len(body)}"
                return Response(status_code=416, headers=shared)
            shared["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
            part = body[first : last + 1]
            return Response(part, status_code=206, media_type=media_type, headers=shared)
    return Response(body, media_type=media_type, headers=shared)


async def _page(request: Request) -> Response:
    pages: dict[str, bytes] = request.app.state.pages
    return cached(request, pages["index.html"], TYPES[".html"], PAGE_HEADERS)


async def _bundle(request: Request) -> Response:
    body: bytes = request.app.state.pages[BUNDLE]
    return cached(request, body, TYPES[".js"], SHARED)


async def _types(request: Request) -> Response:
    body: bytes = request.app.state.pages["visavis.d.ts"]
    return cached(request, body, TYPES[".d.ts"], SHARED)


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    body = request.app.state.pages.get(name)
    if body is None:
        raise RequestError(f"There is no file {name!r}.", status=404)
    suffix = next(suffix for suffix in TYPES if name.endswith(suffix))
    return cached(request, body, TYPES[suffix])


async def _config(request: Request) -> Response:
    config: ServerConfig = request.app.state.config
    allowed = is_allowed(request.headers.get("authorization"), config.token)
    servers = []
    for server in request.app.state.ice_servers.fresh():
        if not server.is_turn:
            servers.append({"urls": server.url})
        elif allowed:
            # The password of a TURN server is for visitors, not for everybody.
            servers.append(
                {
                    "urls": server.url,
                    "username": server.username or "",
                    "credential": server.credential or "",
                }
            )
    body = {"ice_servers": servers, "auth": config.token is not None, "version": __version__}
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


def routes() -> list[Route]:
    """The routes of this module."""
    return [
        Route("/", _page, methods=["GET"]),
        Route("/visavis.js", _bundle, methods=["GET"]),
        Route("/visavis.d.ts", _types, methods=["GET"]),
        Route("/static/{name:path}", _static, methods=["GET"]),
        Route("/config", _config, methods=["GET"]),
    ]
