"""From a configuration to a server that runs until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import gc
import io
import logging
import socket
import sys
from collections.abc import Callable
from typing import TextIO
from urllib.parse import quote

import qrcode
from starlette.applications import Starlette

from visavis.engines.client import EngineClient
from visavis.engines.cores import available_cores
from visavis.engines.errors import ConfigError
from visavis.server.app import create_app
from visavis.server.capacity import Measured, capacity_of
from visavis.server.config import ServerConfig
from visavis.server.draining import Drainable, DrainingServer, uvicorn_config
from visavis.server.loops import loop_factory
from visavis.server.media.cost import MediaCost
from visavis.server.metrics import Metrics
from visavis.server.sessions import Sessions
from visavis.server.tls import Certificate, lan_addresses, local_certificate

__all__ = ["Loaded", "address_to_open", "bind", "run_server", "serve_app"]

logger = logging.getLogger(__name__)

Loaded = Callable[[Exception | None], None]
"""Told that an application has loaded, or what stood in its way."""
UNREAD_MS = 30_000
"""A connection whose peer reads nothing for so long is dropped by the kernel."""


def run_server(
    config: ServerConfig,
    engine: Callable[[], EngineClient],
    *,
    measure: bool = True,
    out: TextIO | None = None,
) -> int:
    """Serve until SIGINT, or until SIGTERM and the sessions have ended.

    The port is taken at once and ``/healthz`` answers; the engine is made in a thread meanwhile,
    and one line then says what to open.

    Args:
        config: what to serve.
        engine: makes the engine.
        measure: whether the costs of a session are measured at start, with a session of the engine;
            without that the engine alone says how many fit.
        out: where that line goes; standard output by default.

    Returns:
        0 when it was told to stop.

    Raises:
        ConfigError: the port is taken, or the address is not this machine's.
        VisavisError: the engine could not be made.
    """

    def create(loaded: Loaded) -> Starlette:
        def measured(sessions: Sessions, cost: MediaCost) -> None:
            _divide(config, app.state.metrics, sessions, cost)

        app = create_app(
            config, engine, on_loaded=loaded, on_measured=measured if measure else None
        )
        return app

    return serve_app(config, create, lambda app: app.state.sessions, out=out)


def serve_app(
    config: ServerConfig,
    create: Callable[[Loaded], Starlette],
    sessions: Callable[[Starlette], Drainable | None],
    *,
    out: TextIO | None = None,
) -> int:
    """Take the port, serve an application that is still loading, and say when it is there.

    Args:
        config: what to serve.
        create: makes the application, which says on the loop when it has loaded, or why not.
        sessions: of the application, what is let come to its end; None before it has loaded.
        out: where the address to open goes; standard output by default.

    Returns:
        0 when it was told to stop.

    Raises:
        ConfigError: the port is taken, or the address is not this machine's.
        Exception: what the application said stood in its way.
    """
    out = out or sys.stdout
    sock = bind(config.host, config.port)
    certificate = local_certificate(lan_addresses()) if config.https else None
    failure: list[Exception] = []

    def loaded(error: Exception | None) -> None:
        if error is not None:
            failure.append(error)
            server.should_exit = True
        else:
            # A full collection over everything that was loaded stops the loop, and so every voice,
            # for 60 to 100 ms. None of it becomes garbage: it is put out of the collector's sight.
            gc.collect()
            gc.freeze()
            out.write(_greeting(config, sock.getsockname()[1]))
            out.flush()

    app = create(loaded)
    server = DrainingServer(
        uvicorn_config(app, **_tls_options(certificate)),
        config.drain_seconds,
        lambda: sessions(app),
    )
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(server.serve(sockets=[sock]))
    finally:
        sock.close()
    if failure:
        raise failure[0]
    return 0


def _divide(config: ServerConfig, metrics: Metrics, sessions: Sessions, cost: MediaCost) -> None:
    """Let in as many as were measured to fit, and say how many that is."""
    capacity = capacity_of(
        Measured(
            engine_sessions=sessions.engine.capacity(),
            load=sessions.engine.load(),
            encode_seconds=cost.encode_seconds,
            packet_seconds=cost.packet_seconds,
            cores=available_cores(),
            card_frames_per_s=cost.card_frames_per_s,
        ),
        asked=config.max_sessions,
    )
    sessions.places, sessions.limit = capacity.sessions, capacity.limit
    metrics.divided(capacity)
    logger.info("%s", capacity)


def _tls_options(certificate: Certificate | None) -> dict[str, str]:
    """uvicorn's options for https; none for http."""
    if certificate is None:
        return {}
    return {"ssl_certfile": str(certificate.certificate), "ssl_keyfile": str(certificate.key)}


def bind(host: str, port: int) -> socket.socket:
    """Take the port.

    Raises:
        ConfigError: it is taken, forbidden, or the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise ConfigError(f"The host {host!r} is not known: {error.strerror}.") from error
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
    try:
        sock.bind(address)
        sock.listen(socket.SOMAXCONN)
    except OSError as error:
        sock.close()
        match error.errno:
            case errno.EADDRINUSE:
                message = f"Port {port} on {host} is taken; choose another with --port."
            case errno.EACCES:
                message = f"Port {port} needs more rights than this user has; choose one over 1023."
            case errno.EADDRNOTAVAIL:
                message = f"{host} is not an address of this machine."
            case _:
                message = f"Port {port} on {host} cannot be used: {error.strerror}."
        raise ConfigError(message) from error
    sock.setblocking(False)
    return sock


def address_to_open(config: ServerConfig, port: int, lan: tuple[str, ...]) -> str:
    """What to type into a browser.

    Args:
        config: what is served.
        port: the one that was taken.
        lan: this machine's addresses in its network, best first.
    """
    host = config.host
    if host in ("0.0.0.0", "::", ""):
        host = lan[0] if lan and config.https else "localhost"
    if ":" in host:
        host = f"[{host}]"
    query = "" if config.token is None else f"?token={quote(config.token, safe='')}"
    return f"{'https' if config.https else 'http'}://{host}:{port}/{query}"


def _greeting(config: ServerConfig, port: int) -> str:
    """The line that says what to open, with a QR code where a phone may come."""
    address = address_to_open(config, port, lan_addresses())
    line = f"Open {address} and talk. Ctrl-C stops.\n"
    if not config.https or config.is_local:
        return line
    code = qrcode.QRCode(border=1)
    code.add_data(address)
    drawing = io.StringIO()
    code.print_ascii(out=drawing, invert=True)
    hint = "On a phone, scan this, and let the browser trust the certificate, which was made here:"
    return f"{line}{hint}\n{drawing.getvalue()}"
