"""What the server is told at start, checked once."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import unquote

from visavis.engines.errors import ConfigError

__all__ = ["IceServer", "ServerConfig", "parse_ice_server"]


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server, as browsers know it."""

    url: str
    username: str | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How to serve.

    Raises:
        ConfigError: the values contradict each other or would leave the server unprotected.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes any free port."""
    token: str | None = None
    """What visitors must present; required to listen beyond this machine, unless ``open``."""
    open: bool = False
    """Serve anybody who reaches the port."""
    https: bool = False
    """Serve over TLS with a certificate made here."""
    max_sessions: int | None = None
    """At most so many sessions; by default what the engine measured."""
    ice_servers: tuple[str, ...] = ()
    """``stun:HOST:PORT`` or ``turn:USER:PASSWORD@HOST:PORT``, also ``stuns:`` and ``turns:``."""
    default_person: str | None = None
    """Who speaks when a visitor names nobody; by default the first person loaded."""
    budget_ms: float = 20.0
    """What the voice waits for drawing and encoding at first; it adapts."""
    suspend_seconds: float = 4.0
    """A session whose peer sends nothing for so long gives its place back."""
    resume_seconds: float = 30.0
    """A suspended session is kept for so long."""
    connect_seconds: float = 15.0
    """A session that is not connected after so long is ended."""
    drain_seconds: float = 10.0
    """After SIGTERM, sessions may go on for so long."""
    encoder_threads: int | None = None
    """How many frames are compressed at once; by default one per processor, at most 8."""
    requests_per_second: float = 5.0
    """Sessions that one address may ask for, on average."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"The port must be between 0 and 65535, not {self.port}.")
        if self.token is not None and self.open:
            raise ConfigError("--token and --open contradict each other; give one of them.")
        if self.token is not None and not self.token.strip():
            raise ConfigError("The token is empty; choose one, or leave --token away.")
        if not self.is_local and self.token is None and not self.open:
            raise ConfigError(
                f"Listening on {self.host} lets others in; protect the server with --token SECRET, "
                "or say --open to serve anybody."
            )
        if self.max_sessions is not None and self.max_sessions < 1:
            raise ConfigError("--max-sessions must be at least 1.")
        for server in self.ice_servers:
            parse_ice_server(server)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def any_origin(self) -> bool:
        """Whether pages of other sites may use the server.

        With a token or with ``open`` it makes no difference where a page came from. Without them,
        any site the user visits could reach a server on their own machine, so none may.
        """
        return self.token is not None or self.open


def parse_ice_server(text: str) -> IceServer:
    """``stun:HOST:PORT`` or ``turn:USER:PASSWORD@HOST:PORT`` (percent-encoded where needed).

    Raises:
        ConfigError: it is neither.
    """
    scheme, colon, rest = text.partition(":")
    credentials, at, place = rest.rpartition("@")
    if not colon or scheme not in ("stun", "stuns", "turn", "turns") or not place:
        raise ConfigError(
            f"{text!r} is no ICE server; write stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT."
        )
    if scheme.startswith("stun"):
        if at:
            raise ConfigError(f"A STUN server takes no password: {text!r}.")
        return IceServer(f"{scheme}:{place}")
    username, separator, credential = credentials.partition(":")
    if not username or not separator or not credential:
        raise ConfigError(f"A TURN server needs a user and a password: {scheme}:USER:PASSWORD@…")
    return IceServer(f"{scheme}:{place}", unquote(username), unquote(credential))
