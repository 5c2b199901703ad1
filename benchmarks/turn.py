"""A coturn of our own on the loopback interface, for as long as it is needed."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from visavis.engines.errors import ConfigError

__all__ = ["Turn", "running"]

LOCAL = "127.0.0.1"
START_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Turn:
    """A running coturn; passwords are made from its secret (`visavis.server.ice`)."""

    port: int
    secret: str
    log: Path = field(repr=False)

    def url(self, transport: str) -> str:
        """Its address, by ``udp`` or ``tcp``."""
        return f"turn:{LOCAL}:{self.port}?transport={transport}"


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Turn]:
    """Start coturn with its files in a folder; it ends with the context.

    Raises:
        ConfigError: it is not installed, or does not start.
    """
    program = shutil.which("turnserver")
    if program is None:
        raise ConfigError("There is no coturn here: install it (Debian: apt-get install coturn).")
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        port = int(probe.getsockname()[1])
    turn = Turn(port, secrets.token_urlsafe(12), folder / "log")
    settings = {
        "listening-ip": LOCAL,
        "relay-ip": LOCAL,
        "listening-port": port,
        "realm": "visavis",
        "static-auth-secret": turn.secret,
        "pidfile": folder / "pid",
        "log-file": turn.log,
        "db": folder / "db",
    }
    flags = "use-auth-secret no-tls no-dtls no-cli simple-log allow-loopback-peers verbose"
    lines = [f"{name}={value}" for name, value in settings.items()] + flags.split()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "conf").write_text("\n".join(lines) + "\n")
    process = subprocess.Popen(
        [program, "-c", str(folder / "conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_listening(process, port)
        yield turn
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((LOCAL, port)) == 0:
                return
        time.sleep(0.05)
    raise ConfigError("coturn does not start.")
