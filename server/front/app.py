"""The front's application: pages and persons, and the way to the workers for everything else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from visavis.engines.errors import VisavisError
from visavis.server import health, pages, persons
from visavis.server.app import BURST, CHANGES_BURST, CHANGES_PER_SECOND, probe_loop
from visavis.server.auth import require_token
from visavis.server.config import ServerConfig
from visavis.server.front import sockets, whip
from visavis.server.front.fleet import Fleet
from visavis.server.front.plan import FleetPlan
from visavis.server.front.roster import Roster
from visavis.server.front.scrape import FleetCollector, merge
from visavis.server.ice import IceServers
from visavis.server.limits import RateLimit
from visavis.server.look import routes as look
from visavis.server.look.pictures import open_pictures
from visavis.server.look.routes import Uploads
from visavis.server.metrics import Metrics
from visavis.server.origins import Origins
from visavis.server.people import People, offers_of
from visavis.server.problems import handle_error, handle_http_exception
from visavis.server.recording import routes as recording
from visavis.server.recording.store import open_store

__all__ = ["create_front"]

logger = logging.getLogger(__name__)

SCRAPE_SECONDS = 1.0


def create_front(
    config: ServerConfig,
    plan: FleetPlan,
    *,
    on_loaded: Callable[[Exception | None], None] | None = None,
) -> Starlette:
    """Build the application.

    Args:
        config: checked already.
        plan: which processes to run; they live as long as the application.
        on_loaded: called on the loop when sessions can be opened, or with what stood in the way.
    """
    metrics = Metrics()
    fleet = Fleet(config, plan, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        loading = asyncio.create_task(_load(app, on_loaded))
        probe = asyncio.create_task(probe_loop(metrics))
        try:
            yield
        finally:
            probe.cancel()
            loading.cancel()
            await asyncio.wait([loading, probe])
            roster: Roster | None = app.state.sessions
            await fleet.aclose()
            if roster is not None:
                await roster.people.aclose()

    app = Starlette(
        routes=[
            *pages.routes(),
            *persons.routes(),
            *whip.routes(),
            *look.picture_routes(),
            *recording.routes(),
            *sockets.routes(),
            Route("/healthz", health.alive, methods=["GET"]),
            Route("/readyz", _ready, methods=["GET"]),
            Route("/metrics", _metrics, methods=["GET"]),
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
    app.state.metrics = metrics
    app.state.fleet = fleet
    app.state.ice_servers = IceServers(config)
    app.state.pages = pages.load_pages()
    app.state.recordings = open_store(config)
    app.state.pictures = open_pictures(config.backgrounds)
    app.state.uploads = Uploads()
    app.state.sessions = None  # who can be shown, for the routes that list them
    app.state.engine_error = None
    app.state.open_limit = RateLimit(config.requests_per_second, BURST)
    app.state.change_limit = RateLimit(CHANGES_PER_SECOND, CHANGES_BURST)
    metrics.registry.register(FleetCollector(fleet))
    return app


async def _load(app: Starlette, on_loaded: Callable[[Exception | None], None] | None) -> None:
    fleet: Fleet = app.state.fleet
    failure: Exception | None = None
    try:
        await fleet.start()
        assert fleet.client is not None
        config: ServerConfig = app.state.config
        offers = offers_of(config, app.state.pictures)
        people = People(fleet.client, config.default_person, offers=offers)
        app.state.sessions = Roster(people)
        app.state.metrics.ready.set(1)
    except Exception as error:
        failure = app.state.engine_error = error
    if on_loaded is not None:
        on_loaded(failure)
    elif failure is not None:
        logger.error("the server could not be started: %s", failure)


async def _ready(request: Request) -> Response:
    state = request.app.state
    fleet: Fleet = state.fleet
    if state.engine_error is not None:
        return health.readiness("failed")
    if fleet.draining:
        return health.readiness("stopping")
    if state.sessions is None:
        return health.readiness("loading")
    if (trouble := fleet.trouble) is not None:
        return health.readiness("restarting", trouble)
    return health.readiness("ready")


async def _metrics(request: Request) -> Response:
    require_token(request)
    fleet: Fleet = request.app.state.fleet
    told = await asyncio.gather(*(_scrape(fleet, number) for number in range(len(fleet.workers))))
    own = request.app.state.metrics.text()
    text = await asyncio.to_thread(merge, own, [one for one in told if one is not None])
    return health.exposition(text)


async def _scrape(fleet: Fleet, number: int) -> tuple[int, bytes] | None:
    """A worker's metrics; None where it is not there, or does not answer."""
    client = fleet.workers[number]
    if client is None:
        return None
    try:
        reply = await client.ask("GET", "/metrics", seconds=SCRAPE_SECONDS)
    except VisavisError:
        return None
    return (number, reply.body) if reply.status == 200 else None
