"""What the server is told at start, checked once."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import unquote

from visavis.engines.errors import ConfigError

__all__ = ["ENCODERS", "IceServer", "ServerConfig", "parse_ice_server"]

TURN_SECONDS = (60, 86_400)
LEAST_PORTS = 2
ENCODERS = ("auto", "vp8", "x264", "nvenc")


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server, as browsers know it."""

    url: str
    username: str | None = None
    credential: str | None = None

    @property
    def is_turn(self) -> bool:
        """Whether it relays, and wants to know who asks."""
        return self.url.startswith("turn")


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
    """``stun:HOST:PORT`` or ``turn:USER:PASSWORD@HOST:PORT``, also ``turns:``; TURN with
    ``?transport=tcp`` where needed, and without a password where there is a ``turn_secret``."""
    turn_secret: str | None = None
    """Shared with the TURN servers; passwords are made with it that expire."""
    turn_seconds: int = 4 * 3600
    """For so long such a password may be used."""
    relay_only: bool = False
    """Use TURN and nothing else, to see whether it works."""
    announce: str | None = None
    """The address that others reach this machine by, where a NAT leads it here port by port."""
    udp_ports: tuple[int, int] | None = None
    """The lowest and highest UDP port for sessions; by default the system's own range."""
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
    viewers: int = 100
    """How many people may watch sessions over WHEP at once, in each process; 0 for nobody."""
    encoder_threads: int | None = None
    """How many frames are compressed at once; by default one per processor, at most 8."""
    encoder: str = "vp8"
    """What compresses pictures: ``vp8`` or ``x264`` on the processor, ``nvenc`` on a card, or
    ``auto``: NVENC where it works, else VP8."""
    requests_per_second: float = 5.0
    """Sessions that one address may ask for, on average."""
    badge: bool = True
    """Whether every picture says that it is AI-generated."""
    backgrounds: str | None = None
    """A folder of pictures that visitors may choose as a background."""
    recordings: str | None = None
    """The folder that sessions may be recorded to; None where nothing may be recorded."""
    record_all: bool = False
    """Record every session, from its first picture on."""
    recording_hours: float = 4.0
    """A recording ends after so long."""
    recording_free_mib: int = 1024
    """Recordings leave so much of their disk free."""

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
        if self.record_all and self.recordings is None:
            raise ConfigError("--record-all needs a folder; name one with --recordings FOLDER.")
        if not 0 < self.recording_hours <= 24 or self.recording_free_mib < 0:
            raise ConfigError("A recording may last up to 24 h, and leave no less than 0 MiB free.")
        if self.viewers < 0:
            raise ConfigError("--viewers must be 0 or more.")
        if self.encoder not in ENCODERS:
            raise ConfigError(f"--encoder takes {', '.join(ENCODERS)}, not {self.encoder!r}.")
        servers = [parse_ice_server(server) for server in self.ice_servers]
        if self.turn_secret is not None and not self.turn_secret.strip():
            raise ConfigError("The TURN secret is empty; choose one, or leave --turn-secret away.")
        for server in servers:
            if server.is_turn and server.username is None and self.turn_secret is None:
                raise ConfigError(
                    f"{server.url} needs a user and a password, turn:USER:PASSWORD@HOST:PORT, "
                    "or --turn-secret."
                )
        if not TURN_SECONDS[0] <= self.turn_seconds <= TURN_SECONDS[1]:
            raise ConfigError("A TURN password must last between a minute and a day.")
        if self.relay_only and not any(server.is_turn for server in servers):
            raise ConfigError("--relay-only needs a TURN server; name one with --ice-server.")
        if self.announce is not None:
            _require_address(self.announce)
        if self.udp_ports is not None:
            low, high = self.udp_ports
            if not 1024 <= low <= high <= 65535 or high - low + 1 < LEAST_PORTS:
                raise ConfigError(
                    f"--udp-ports takes a range between 1024 and 65535, not {low}-{high}."
                )

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


PLACE = r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(\?transport=(udp|tcp))?"


def _require_address(text: str) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ConfigError(f"--announce takes an IP address, not {text!r}.") from None
    if address.is_unspecified or address.is_multicast:
        raise ConfigError(f"Nobody can reach {text}; announce the address that others use.")


def parse_ice_server(text: str) -> IceServer:
    """``stun:HOST:PORT`` or ``turn:USER:PASSWORD@HOST:PORT`` (percent-encoded where needed).

    A TURN server may come without a password; who makes one is not decided here.

    Raises:
        ConfigError: it is neither.
    """
    scheme, colon, rest = text.partition(":")
    credentials, at, place = rest.rpartition("@")
    if not colon or scheme not in ("stun", "stuns", "turn", "turns") or not place:
        raise ConfigError(
            f"{text!r} is no ICE server; write stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT."
        )
    if not re.fullmatch(PLACE, place) or (scheme.startswith("stun") and "?" in place):
        raise ConfigError(
            f"{place!r} is no place of an ICE server; write HOST, HOST:PORT or "
            "(TURN alone) HOST:PORT?transport=tcp."
        )
    if scheme.startswith("stun"):
        if at:
            raise ConfigError(f"A STUN server takes no password: {text!r}.")
        return IceServer(f"{scheme}:{place}")
    if not at:
        return IceServer(f"{scheme}:{place}")
    username, separator, credential = credentials.partition(":")
    if not username or not separator or not credential:
        raise ConfigError(f"A TURN server needs a user and a password: {scheme}:USER:PASSWORD@…")
    return IceServer(f"{scheme}:{place}", unquote(username), unquote(credential))
