"""A host and clients in one process, joined by socket pairs, and what takes their frames."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import EngineClient
from visavis.engines.remote.client import Deadlines, RemoteEngine
from visavis.engines.remote.host import EngineHost

__all__ = ["QUICK", "House", "house", "sound", "until"]

QUICK = Deadlines(answer=10.0, open=10.0, look=0.02, retry=0.005, longest_retry=0.02)


def sound(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, count).astype(np.float32)


def until(predicate: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until another thread has made something true."""
    end = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < end
        time.sleep(0.001)


class House:
    """An engine's host that clients in this process reach; it can be replaced by another one."""

    def __init__(self, engine: EngineClient, **options: Any) -> None:
        self.options = {"counters_seconds": 0.01, "strip_seconds": 0.0, **options}
        self.host: EngineHost | None = EngineHost(
            engine, _strip_tick_seconds=0.0005, **self.options
        )
        self.clients: list[RemoteEngine] = []
        self.sockets: list[socket.socket] = []  # the workers' ends

    def connect(self, address: str = "") -> socket.socket:
        host = self.host
        if host is None:
            raise ConnectionRefusedError
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        host.adopt(ours)
        self.sockets.append(theirs)
        return theirs

    def client(self, slots: int = 16, deadlines: Deadlines = QUICK) -> RemoteEngine:
        client = RemoteEngine(
            "in this process", slots=slots, deadlines=deadlines, _connect=self.connect
        )
        self.clients.append(client)
        return client

    def end_engine(self) -> None:
        host, self.host = self.host, None
        if host is not None:
            host.close()

    def begin_engine(self, engine: EngineClient) -> None:
        self.host = EngineHost(engine, _strip_tick_seconds=0.0005, **self.options)


@contextlib.contextmanager
def house(engine: EngineClient, **options: Any) -> Iterator[House]:
    house = House(engine, **options)
    try:
        yield house
    finally:
        for client in house.clients:
            client.close()
        house.end_engine()
