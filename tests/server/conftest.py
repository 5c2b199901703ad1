"""A running server with a fake engine, one per test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest

from tests.server.fake_engine import FakeEngine
from tests.server.peers import Server, serve
from visavis.server.app import create_app
from visavis.server.config import ServerConfig

Serving = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture
def serving() -> Serving:
    """``async with serving(engine=..., **config) as server``."""

    @contextlib.asynccontextmanager
    async def run(engine: FakeEngine | None = None, **config: object) -> AsyncIterator[Server]:
        engine = engine or FakeEngine()
        values = {"requests_per_second": 1000.0, **config}
        app = create_app(ServerConfig(**values), engine)  # type: ignore[arg-type]
        try:
            async with serve(app) as server:
                while app.state.sessions is None:
                    await httpx_sleep()
                yield server
        finally:
            engine.close()

    return run


async def httpx_sleep() -> None:
    """Let the application's own tasks run."""
    import asyncio

    await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def http(server: Server, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client for plain requests; no certificates are read, which would take a while."""
    async with httpx.AsyncClient(base_url=server.url, verify=False, headers=headers) as client:
        yield client
