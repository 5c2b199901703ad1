"""The ASGI application: routes, middleware and the life of the engine behind them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from visavis.engines.client import EngineClient
from visavis.engines.errors import VisavisError
from visavis.server import health, ingest, pages, persons, whep, whip
from visavis.server.config import ServerConfig
from visavis.server.ice import IceServers
from visavis.server.limits import RateLimit
from visavis.server.look import routes as look
from visavis.server.look.pictures import open_pictures
from visavis.server.media.cost import MediaCost, measure
from visavis.server.media.encoding import find_encoding
from visavis.server.metrics import Metrics
from visavis.server.origins import Origins
from visavis.server.problems import handle_error, handle_http_exception
from visavis.server.recording import routes as recording
from visavis.server.recording.recorder import open_recorder
from visavis.server.sessions import Sessions
from visavis.server.ws import connection as ws

__all__ = [
    "BURST",
    "CHANGES_BURST",
    "CHANGES_PER_SECOND",
    "EngineSource",
    "create_app",
    "probe_loop",
]

logger = logging.getLogger(__name__)

EngineSource = EngineClient | Callable[[], EngineClient]

LOOP_PROBE_SECONDS = 0.1
BURST = 20
CHANGES_PER_SECOND = 20
CHANGES_BURST = 100


def create_app(
    config: ServerConfig,
    engine: EngineSource,
    *,
    on_loaded: Callable[[Exception | None], None] | None = None,
    on_measured: Callable[[Sessions, MediaCost], None] | None = None,
    prefix: str = "",
) -> Starlette:
    """Build the application.

    Args:
        config: checked already.
        engine: an engine, which stays the caller's to close; or what makes one, which is called in
            a thread after the start and whose engine is closed with the application. Until it has
            returned, ``/readyz`` is not green and sessions are answered 503.
        on_loaded: called on the loop when the engine is there, or with what stood in its way.
        on_measured: called before that with what a session's pictures and packets cost, which takes
            two seconds to find out; not measured where None.
        prefix: what the ids of the sessions begin with.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        loading = asyncio.create_task(_load(app, engine, on_loaded, on_measured, prefix))
        probe = asyncio.create_task(probe_loop(app.state.metrics))
        try:
            yield
        finally:
            probe.cancel()
            # A thread cannot be cancelled: an engine that is still being made is waited for.
            await asyncio.wait([loading, probe])
            if app.state.sessions is not None:
                await app.state.sessions.aclose()
                if callable(engine):
                    await asyncio.to_thread(app.state.sessions.engine.close)

    app = Starlette(
        routes=[
            *pages.routes(),
            *persons.routes(),
            *whip.routes(),
            *ingest.routes(),
            *whep.routes(),
            *look.routes(),
            *look.picture_routes(),
            *recording.session_routes(),
            *recording.routes(),
            *ws.routes(),
            *health.routes(),
        ],
        middleware=[Middleware(Origins, any_origin=config.any_origin)],
        exception_handlers={
            HTTPException: handle_http_exception,
            VisavisError: handle_error,
            Exception: handle_error,
        },
        lifespan=lifespan,
    )
    app.state.config = config
    app.state.metrics = Metrics()
    app.state.ice_servers = IceServers(config)
    app.state.pages = pages.load_pages()
    app.state.pictures = open_pictures(config.backgrounds)
    app.state.uploads = look.Uploads()
    app.state.recorder = open_recorder(config)
    app.state.recordings = None if app.state.recorder is None else app.state.recorder.store
    app.state.sessions = None
    app.state.engine_error = None
    app.state.open_limit = RateLimit(config.requests_per_second, BURST)
    app.state.change_limit = RateLimit(CHANGES_PER_SECOND, CHANGES_BURST)
    return app


async def _load(
    app: Starlette,
    source: EngineSource,
    on_loaded: Callable[[Exception | None], None] | None,
    on_measured: Callable[[Sessions, MediaCost], None] | None,
    prefix: str,
) -> None:
    failure: Exception | None = None
    try:
        config: ServerConfig = app.state.config
        encoding = await asyncio.to_thread(find_encoding, config.encoder)
        engine = await asyncio.to_thread(source) if callable(source) else source
        recorder = app.state.recorder
        sessions = Sessions(
            config,
            engine,
            app.state.metrics,
            prefix=prefix,
            encoding=encoding,
            recorder=recorder,
            pictures=app.state.pictures,
        )
        await sessions.warm_up()
        if on_measured is not None:
            on_measured(sessions, await asyncio.to_thread(measure, engine, encoding))
        app.state.metrics.watch(sessions.reports, sessions.ended, lambda: sessions.capacity)
        app.state.metrics.watch_viewers(sessions.viewer_places)
        if recorder is not None:
            app.state.metrics.watch_recordings(recorder.tally)
        app.state.metrics.ready.set(1)
        app.state.sessions = sessions
    except Exception as error:
        failure = app.state.engine_error = error
    if on_loaded is not None:
        on_loaded(failure)
    elif failure is not None:
        logger.error("the engine could not be loaded: %s", failure)


async def probe_loop(metrics: Metrics) -> None:
    """Measure how late the loop wakes: whatever blocks it blocks every voice."""
    while True:
        due = time.monotonic() + LOOP_PROBE_SECONDS
        await asyncio.sleep(LOOP_PROBE_SECONDS)
        metrics.loop_delayed(max(0.0, time.monotonic() - due) * 1000)
