"""What a media worker is told, as JSON. Pure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from visavis.engines.errors import ConfigError
from visavis.server.config import ServerConfig

__all__ = ["WorkerSettings", "read_worker_settings", "worker_config"]

UNLIMITED = 1e6


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """A worker's own.

    Attributes:
        number: which of the workers it is.
        socket: path of the Unix socket where it answers the front.
        engine: path of the engine process's socket.
        slots: sessions that it may have in the engine.
        measure: whether it measures what sessions cost before it is ready.
        verbose: as the command line's ``-v``.
        config: as the whole server's, but for what the front looks after.
    """

    number: int
    socket: str
    engine: str
    slots: int
    measure: bool
    verbose: int
    config: ServerConfig

    def to_json(self) -> dict[str, Any]:
        """What :func:`read_worker_settings` reads."""
        return dataclasses.asdict(self)


def worker_config(config: ServerConfig, encoder_threads: int) -> ServerConfig:
    """A worker's part of the server's configuration.

    Who may come, from where and how often, was asked by the front; nobody else reaches a worker's
    socket. How many may come, the front says while it runs.
    """
    return dataclasses.replace(
        config,
        host="127.0.0.1",
        port=0,
        token=None,
        open=True,
        https=False,
        max_sessions=None,
        encoder_threads=config.encoder_threads or encoder_threads,
        requests_per_second=UNLIMITED,
    )


def read_worker_settings(given: dict[str, Any]) -> WorkerSettings:
    """What :meth:`WorkerSettings.to_json` made.

    Raises:
        ConfigError: it is something else.
    """
    try:
        values = dict(given)
        config: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.pop("config").items()
        }
        return WorkerSettings(**values, config=ServerConfig(**config))
    except (TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"A worker cannot be started with these settings: {error}.") from error
