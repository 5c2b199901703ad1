"""What a fleet is made of: which programs to run, and where their sockets lie."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from visavis.engines.client import EngineClient
from visavis.engines.errors import ConfigError
from visavis.server.front.backend import WorkerClient
from visavis.server.front.child import python

__all__ = ["ConnectEngine", "FleetPlan", "Place", "private_folder"]

LONGEST_FOLDER = 90
"""A Unix socket's path has at most 107 bytes."""

ConnectEngine = Callable[[str, int], EngineClient]
"""Connects to the engine process's socket, for so many sessions."""


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What to run.

    Attributes:
        engine: the engine process's program; it is told ``{"socket": PATH}`` and the settings.
        engine_settings: what else it is told.
        connect: makes the front's own engine client, which opens no sessions.
        workers: how many; None for as many as the engine's sessions want.
        worker: the worker's program.
        verbose: as the command line's ``-v``.
    """

    engine: tuple[str, ...]
    engine_settings: Mapping[str, Any]
    connect: ConnectEngine
    workers: int | None = None
    worker: tuple[str, ...] = field(default_factory=lambda: python("visavis.server.front.worker"))
    verbose: int = 0


class Place(NamedTuple):
    """A place that was taken in a worker, for one offer."""

    worker: int
    offer: int
    client: WorkerClient


def private_folder() -> Path:
    """A new folder that only this user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="visavis-"))
    if len(str(folder).encode()) > LONGEST_FOLDER:
        folder.rmdir()
        raise ConfigError(f"{folder.parent} is too long a path for sockets; set TMPDIR to another.")
    return folder
