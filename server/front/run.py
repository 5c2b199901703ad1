"""From a configuration and a plan to a server of many processes."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from typing import TextIO

from visavis.server.config import ServerConfig
from visavis.server.draining import DrainingServer, uvicorn_config
from visavis.server.front.app import create_front
from visavis.server.front.plan import FleetPlan
from visavis.server.loops import loop_factory
from visavis.server.run import bind, greeting, tls_options
from visavis.server.tls import lan_addresses, local_certificate

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
    out = out or sys.stdout
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every look at a worker
    sock = bind(config.host, config.port)
    certificate = local_certificate(lan_addresses()) if config.https else None
    failure: list[Exception] = []

    def loaded(error: Exception | None) -> None:
        if error is not None:
            failure.append(error)
            server.should_exit = True
        else:
            gc.collect()
            gc.freeze()
            out.write(greeting(config, sock.getsockname()[1]))
            out.flush()

    app = create_front(config, plan, on_loaded=loaded)
    server = DrainingServer(
        uvicorn_config(app, **tls_options(certificate)),
        config.drain_seconds,
        lambda: app.state.fleet if app.state.sessions is not None else None,
    )
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(server.serve(sockets=[sock]))
    finally:
        sock.close()
    if failure:
        raise failure[0]
    return 0
