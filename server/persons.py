"""``/persons``: who can speak here, and what they look like."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from visavis.server.auth import require_token
from visavis.server.errors import RequestError
from visavis.server.pages import cached
from visavis.server.people import Picture
from visavis.server.whip import sessions_of

__all__ = ["routes"]


async def _list(request: Request) -> Response:
    require_token(request)
    listing = await sessions_of(request).people.listing()
    return cached(request, listing.body, "application/json", etag=listing.etag)


async def _poster(request: Request) -> Response:
    return await _picture(request, "poster", "image/jpeg")


async def _preview(request: Request) -> Response:
    return await _picture(request, "preview", "video/mp4")


async def _picture(request: Request, kind: Picture, media_type: str) -> Response:
    require_token(request)
    people = sessions_of(request).people
    person = await people.find(request.path_params["name"])
    picture = await people.picture(person, kind)
    if picture is None:
        raise RequestError(f"{person.display_name} has no {kind}.", status=404)
    # A person's id names every part of their file.
    return cached(request, picture, media_type, etag=f'"{person.id[:32]}-{kind}"')


def routes() -> list[Route]:
    """The routes of this module."""
    return [
        Route("/persons", _list, methods=["GET"]),
        Route("/persons/{name}/poster.jpg", _poster, methods=["GET"]),
        Route("/persons/{name}/preview.mp4", _preview, methods=["GET"]),
    ]
