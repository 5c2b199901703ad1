"""``/sessions/ID/recording`` and ``/recordings``.

A recording's name is a secret of 128 bits: whoever was told it may fetch the file. The list, and
removing a recording, are for those who run the server; where anybody may come, for nobody.
"""

from __future__ import annotations

import asyncio
import dataclasses

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from visavis.server.auth import require_token
from visavis.server.config import ServerConfig
from visavis.server.errors import RequestError
from visavis.server.limits import check_rate
from visavis.server.recording.download import download
from visavis.server.recording.store import Store
from visavis.server.whip import sessions_of

__all__ = ["routes", "session_routes"]

NO_RECORDINGS = "This server records nothing; start it with --recordings FOLDER."
NOTHING = {
    "recording": False,
    "name": None,
    "started": None,
    "seconds": 0.0,
    "bytes": 0,
    "dropped_frames": 0,
    "failed": None,
}
FRESH = {"Cache-Control": "no-store"}


async def _start(request: Request) -> Response:
    require_token(request)
    check_rate(request, request.app.state.change_limit)
    sessions = sessions_of(request)
    session = sessions.get(request.path_params["id"])
    if sessions.recorder is None:
        raise RequestError(NO_RECORDINGS, status=403)
    await sessions.recorder.require_room()
    recording = session.record(sessions.recorder)
    return JSONResponse(recording.status(), status_code=201, headers=FRESH)


async def _status(request: Request) -> Response:
    require_token(request)
    recording = sessions_of(request).get(request.path_params["id"]).recording
    return JSONResponse(NOTHING if recording is None else recording.status(), headers=FRESH)


async def _stop(request: Request) -> Response:
    require_token(request)
    check_rate(request, request.app.state.change_limit)
    sessions = sessions_of(request)
    recording = sessions.get(request.path_params["id"]).recording
    if recording is None:
        raise RequestError("This session was not recorded.", status=404)
    if recording.running and sessions.recorder is not None and sessions.recorder.every:
        raise RequestError("This server records every session to its end.", status=403)
    await recording.stop()
    return JSONResponse(recording.status(), headers=FRESH)


async def _list(request: Request) -> Response:
    entries = await asyncio.to_thread(_kept(request).entries)
    body = {"recordings": [dataclasses.asdict(entry) for entry in entries]}
    return JSONResponse(body, headers=FRESH)


async def _fetch(request: Request) -> Response:
    require_token(request)
    name = request.path_params["name"]
    file = await asyncio.to_thread(_store(request).open, name)
    return download(request, file, name, "video/mp4")


async def _delete(request: Request) -> Response:
    store = _kept(request)
    check_rate(request, request.app.state.change_limit)
    await asyncio.to_thread(store.delete, request.path_params["name"])
    return Response(status_code=204)


def _store(request: Request) -> Store:
    store: Store | None = request.app.state.recordings
    if store is None:
        raise RequestError(NO_RECORDINGS, status=403)
    return store


def _kept(request: Request) -> Store:
    """The folder, for who may see all of it.

    Raises:
        RequestError: nobody may, where anybody can come.
    """
    require_token(request)
    config: ServerConfig = request.app.state.config
    store = _store(request)
    if config.open:
        raise RequestError(
            "Only a server with --token lists or removes recordings; this one is open to anybody.",
            status=403,
        )
    return store


def session_routes() -> list[Route]:
    """The routes of a session's own recording, where the session lives."""
    return [
        Route("/sessions/{id}/recording", _start, methods=["POST"]),
        Route("/sessions/{id}/recording", _status, methods=["GET"]),
        Route("/sessions/{id}/recording", _stop, methods=["DELETE"]),
    ]


def routes() -> list[Route]:
    """The routes of the folder."""
    return [
        Route("/recordings", _list, methods=["GET"]),
        Route("/recordings/{name}", _fetch, methods=["GET"]),
        Route("/recordings/{name}", _delete, methods=["DELETE"]),
    ]
