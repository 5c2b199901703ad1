"""A real server on a test's own loop, and waiting for what it does."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from tests.server.fake_engine import FakeEngine
from tests.server.peers import Server, serve
from visavis.server.app import create_app
from visavis.server.config import ServerConfig

__all__ = ["server_here", "until"]


@contextlib.asynccontextmanager
async def server_here(engine: FakeEngine) -> AsyncIterator[Server]:
    """A server that is ready; the engine is closed with it."""
    try:
        async with serve(create_app(ServerConfig(requests_per_second=50), engine)) as server:
            await until(lambda: server.app.state.sessions is not None)
            yield server
    finally:
        engine.close()


async def until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
