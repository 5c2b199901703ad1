"""Background pictures: ``GET /backgrounds/NAME``; one's own: ``PUT /sessions/ID/background``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from visavis.server.auth import require_token
from visavis.server.errors import RequestError, Unavailable
from visavis.server.limits import check_rate, read_bytes
from visavis.server.look.pictures import MAX_PICTURE_BYTES, Pictures
from visavis.server.pages import cached
from visavis.server.whip import sessions_of

__all__ = ["Uploads", "picture_routes", "read_upload", "routes"]

PNG = b"\x89PNG"

MAX_UPLOADS = 16
READ_SECONDS = 30.0
RETRY_SECONDS = 2


class Uploads:
    """Bounds how many pictures are sent at once: each takes megabytes until it is read."""

    def __init__(self) -> None:
        self._taken = 0

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place.

        Raises:
            Unavailable: all are taken.
        """
        if self._taken >= MAX_UPLOADS:
            raise Unavailable("Too many pictures are being sent.", retry_after=RETRY_SECONDS)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


async def read_upload(request: Request) -> bytes:
    """The picture in a request, unread.

    Raises:
        NotAllowed, TooMany: whoever asks may not.
        RequestError: it says that it is something else, or does not come to its end.
        TooLarge: it has too many bytes; the rest was not read.
    """
    require_token(request)
    check_rate(request, request.app.state.open_limit)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("image/jpeg", "image/png"):
        raise RequestError("The content type must be image/jpeg or image/png.", status=415)
    try:
        return await asyncio.wait_for(read_bytes(request, MAX_PICTURE_BYTES), READ_SECONDS)
    except TimeoutError:
        raise RequestError("The picture did not come in time.", status=408) from None


async def _put(request: Request) -> Response:
    require_token(request)
    session = sessions_of(request).get(request.path_params["id"])
    with request.app.state.uploads.place():
        await session.take_picture(await read_upload(request))
    return Response(status_code=204)


async def _picture(request: Request) -> Response:
    require_token(request)
    pictures: Pictures = request.app.state.pictures
    name = request.path_params["name"]
    if name not in pictures.names:
        raise RequestError(f"There is no picture {name[:60]!r}.", status=404)
    data = await asyncio.to_thread(pictures.read, name)
    return cached(request, data, "image/png" if data.startswith(PNG) else "image/jpeg")


def picture_routes() -> list[Route]:
    """The server's own pictures, for pages that show what there is to choose."""
    return [Route("/backgrounds/{name}", _picture, methods=["GET"])]


def routes() -> list[Route]:
    """A session's own picture."""
    return [Route("/sessions/{id}/background", _put, methods=["PUT"])]
