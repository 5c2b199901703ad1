"""A media worker: the sessions of one process, behind a Unix socket that the front alone reaches.

The same application as a server of one process, with an engine that lives elsewhere. It is told its
settings by the front, says when it is ready, and ends with the front.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import logging
import os
import sys
from collections.abc import Callable

from starlette.datastructures import Headers, State
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from visavis.engines.client import EngineClient
from visavis.server.app import create_app
from visavis.server.draining import DrainingServer, uvicorn_config
from visavis.server.errors import RequestError
from visavis.server.front.backend import OFFER
from visavis.server.front.child import describe_failure
from visavis.server.front.parent import die_soon, read_settings, say, watch_parent
from visavis.server.front.placing import prefix_of
from visavis.server.front.settings import WorkerSettings, read_worker_settings
from visavis.server.limits import read_body
from visavis.server.loops import loop_factory
from visavis.server.media.cost import MediaCost
from visavis.server.sessions import Sessions
from visavis.server.whip import sessions_of

__all__ = ["main", "run_worker"]

ConnectEngine = Callable[[str, int], EngineClient]
"""Connects to the engine process's socket, for so many sessions."""


def main() -> int:
    """The process's entry: settings on standard input."""
    from visavis.engines.remote.client import RemoteEngine

    return run_worker(lambda address, slots: RemoteEngine(address, slots=slots))


def run_worker(connect: ConnectEngine) -> int:
    """Serve until told to end, or until the front is gone.

    Args:
        connect: makes the engine client.

    Returns:
        The exit status.
    """
    try:
        settings = read_worker_settings(read_settings())
    except Exception as error:
        say(describe_failure(error))
        return 1
    logging.basicConfig(
        stream=sys.stderr,
        level=(logging.WARNING, logging.INFO, logging.DEBUG)[min(settings.verbose, 2)],
        format="%(levelname)s %(name)s: %(message)s",
    )
    return _Worker(settings, connect).run()


class _Worker:
    def __init__(self, settings: WorkerSettings, connect: ConnectEngine) -> None:
        self._settings = settings
        self._cost: MediaCost | None = None
        self._news: dict[str, object] | None = None
        self.app = create_app(
            settings.config,
            lambda: connect(settings.engine, settings.slots),
            on_loaded=self._loaded,
            on_measured=self._measured if settings.measure else None,
            prefix=prefix_of(settings.number),
        )
        self.app.state.seen = 0
        self.app.add_middleware(_Offers, state=self.app.state)
        self.app.router.routes.insert(0, Route("/worker", _report, methods=["GET"]))
        self.app.router.routes.insert(0, Route("/worker", _set_places, methods=["PUT"]))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(settings.socket)  # left by a worker that was killed
        self._server = DrainingServer(
            # The front says who asks; nobody else can.
            uvicorn_config(self.app, uds=settings.socket, forwarded_allow_ips="*"),
            settings.config.drain_seconds,
            lambda: self.app.state.sessions,
            on_tick=self._look,
        )
        self._failed = False

    def run(self) -> int:
        """Until the end; returns the exit status."""
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            loop = runner.get_loop()

            def orphaned() -> None:
                die_soon()
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._end)

            watch_parent(orphaned)
            runner.run(self._server.serve())
        # The folder is the front's to remove; where the front was killed, the last of us does it.
        with contextlib.suppress(OSError):
            os.unlink(self._settings.socket)
            os.rmdir(os.path.dirname(self._settings.socket))
        return int(self._failed)

    def _end(self) -> None:
        self._server.should_exit = True

    def _measured(self, sessions: Sessions, cost: MediaCost) -> None:
        self._cost = cost

    def _loaded(self, error: Exception | None) -> None:
        if error is not None:
            self._failed = True
            self._news = dict(describe_failure(error))
            self._server.should_exit = True
            return
        # How many may come, the front says; until then nobody.
        self.app.state.sessions.places = 0
        gc.collect()
        gc.freeze()
        cost = None if self._cost is None else dataclasses.asdict(self._cost)
        self._news = {"cost": cost}

    def _look(self) -> None:
        if self._news is not None:
            news, self._news = self._news, None
            say(news)


class _Offers:
    """ASGI middleware that notes the number of an offer before anybody looks at it."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            number = Headers(scope=scope).get(OFFER, "")
            if number.isdecimal():
                self._state.seen = max(self._state.seen, int(number))
        await self._app(scope, receive, send)


async def _report(request: Request) -> Response:
    """How many sessions have a place here, and the last offer that came."""
    taken = sessions_of(request).taken
    return JSONResponse({"taken": taken, "seen": request.app.state.seen})


async def _set_places(request: Request) -> Response:
    """The front says how many sessions may be live here, how many in all, and what limits them."""
    sessions = sessions_of(request)
    places, _, rest = (await read_body(request, 64)).partition(" ")
    all_places, _, limit = rest.partition(" ")
    if not (places.isdecimal() and all_places.isdecimal()):
        raise RequestError("Say how many places there are, here and in all.")
    sessions.places, sessions.of_places, sessions.limit = int(places), int(all_places), limit
    return Response(status_code=204)


if __name__ == "__main__":
    sys.exit(main())
