"""From a configuration to a server that runs until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import gc
import io
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import TextIO
from urllib.parse import quote

import qrcode
import uvicorn

from visavis.engines.client import EngineClient
from visavis.engines.errors import ConfigError
from visavis.server.app import create_app
from visavis.server.config import ServerConfig
from visavis.server.sessions import Sessions
from visavis.server.tls import Certificate, lan_addresses, local_certificate
from visavis.server.ws.framing import MAX_MESSAGE_BYTES

__all__ = ["address_to_open", "bind", "run_server"]

UNREAD_MS = 30_000
"""A connection whose peer reads nothing for so long is dropped by the kernel."""


def run_server(
    config: ServerConfig, engine: Callable[[], EngineClient], *, out: TextIO | None = None
) -> int:
    """Serve until SIGINT, or until SIGTERM and the sessions have ended.

    The port is taken at once and ``/healthz`` answers; the engine is made in a thread meanwhile,
    and one line then says what to open.

    Args:
        config: what to serve.
        engine: makes the engine.
        out: where that line goes; standard output by default.

    Returns:
        0 when it was told to stop.

    Raises:
        ConfigError: the port is taken, or the address is not this machine's.
        VisavisError: the engine could not be made.
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

    app = create_app(config, engine, on_loaded=loaded)
    server = _Server(
        _uvicorn_config(app, certificate), config.drain_seconds, lambda: app.state.sessions
    )
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(server.serve(sockets=[sock]))
    finally:
        sock.close()
    if failure:
        raise failure[0]
    return 0


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


def _uvicorn_config(app: object, certificate: Certificate | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # sound and pictures are compressed already
        timeout_graceful_shutdown=3,
        ssl_certfile=None if certificate is None else str(certificate.certificate),
        ssl_keyfile=None if certificate is None else str(certificate.key),
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


class _Server(uvicorn.Server):
    """uvicorn, but SIGTERM first lets the sessions end, and no signal is raised again at the end.

    Args:
        config: uvicorn's.
        drain_seconds: how long sessions may go on.
        sessions: the registry, once there is one.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        drain_seconds: float,
        sessions: Callable[[], Sessions | None],
    ) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._drain_until: float | None = None
        self._sessions = sessions

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal handler; a second signal ends at once."""
        sessions = self._sessions()
        if self.should_exit:
            self.force_exit = sig == signal.SIGINT
        elif sig == signal.SIGTERM and self._drain_until is None and sessions is not None:
            sessions.draining = True
            self._drain_until = time.monotonic() + self._drain_seconds
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to shut down."""
        if self._drain_until is not None:
            sessions = self._sessions()
            if not sessions or time.monotonic() > self._drain_until:
                self.should_exit = True
        return await super().on_tick(counter)
