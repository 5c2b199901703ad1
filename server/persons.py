"""``/persons``: who can speak here, and what they look like."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from visavis.server.auth import require_token
from visavis.server.errors import RequestError
from visavis.server.pages import cached
from visavis.server.whip import sessions_of

__all__ = ["routes"]


async def _list(request: Request) -> Response:
    require_token(request)
    sessions = sessions_of(request)
    persons = []
    for person in sessions.persons.values():
        folder = f"/persons/{quote(person.name)}"
        entry = {
            "name": person.name,
            "display_name": person.display_name,
            "width": person.width,
            "height": person.height,
            "fps": person.fps,
            "lookahead_ms": person.lookahead_ms,
            "lookaheads_ms": list(person.lookaheads_ms),
            "poster": f"{folder}/poster.jpg",
            "preview": None if person.preview is None else f"{folder}/preview.mp4",
        }
        persons.append(entry)
    body = {"default": sessions.default_person, "persons": persons}
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


async def _poster(request: Request) -> Response:
    require_token(request)
    person = sessions_of(request).person(request.path_params["name"])
    return cached(request, person.poster, "image/jpeg")


async def _preview(request: Request) -> Response:
    require_token(request)
    person = sessions_of(request).person(request.path_params["name"])
    if person.preview is None:
        raise RequestError(f"{person.display_name} has no preview.", status=404)
    return cached(request, person.preview, "video/mp4")


def routes() -> list[Route]:
    """The routes of this module."""
    return [
        Route("/persons", _list, methods=["GET"]),
        Route("/persons/{name}/poster.jpg", _poster, methods=["GET"]),
        Route("/persons/{name}/preview.mp4", _preview, methods=["GET"]),
    ]
