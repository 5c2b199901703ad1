"""From a configuration and a plan to a server of many processes."""

from __future__ import annotations

import logging
from typing import TextIO

from visavis.server.config import ServerConfig
from visavis.server.front.app import create_front
from visavis.server.front.plan import FleetPlan
from visavis.server.run import serve_app

__all__ = ["run_fleet"]


def run_fleet(config: ServerConfig, plan: FleetPlan, *, out: TextIO | None = None) -> int:
    """Serve until SIGINT, or until SIGTERM and the sessions have ended.

    The port is taken at once and ``/healthz`` answers; the engine and the workers start meanwhile,
    and one line then says what to open.

    Args:
        config: what to serve.
        plan: which processes to run.
        out: where that line goes; standard output by default.

    Returns:
        0 when it was told to stop.

    Raises:
        ConfigError: the port is taken, or the address is not this machine's.
        VisavisError: a process could not be started.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every look at a worker
    return serve_app(
        config,
        lambda loaded: create_front(config, plan, on_loaded=loaded),
        lambda app: app.state.fleet if app.state.sessions is not None else None,
        out=out,
    )
