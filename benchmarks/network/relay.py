"""A UDP relay between a browser and a server, with a `Link` each way, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from dataclasses import asdict
from typing import Any, TypeVar

from visavis.benchmarks.network.link import Conditions, Counters, Link

__all__ = ["MOST_UNDER_WAY", "Address", "Relay"]

Address = tuple[str, int]
T = TypeVar("T")

MOST_UNDER_WAY = 4096
"""Packets that a direction holds at most; more are dropped and counted (``crowded``)."""
ANSWER_S = 5.0


class _End(asyncio.DatagramProtocol):
    """One socket; hands on what comes."""

    def __init__(self, take: Any) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._take(data, addr)

    def error_received(self, exc: Exception) -> None:
        """A closed port on the other side is news for the peers, not for us."""


class _Path:
    """One session's way: the browser's side, the server's side, and a link each way."""

    def __init__(self, server: Address, seed: int, conditions: Conditions) -> None:
        self.up = Link(2 * seed, conditions)
        self.down = Link(2 * seed + 1, conditions)
        self.crowded = 0
        self._server = server
        self._browser: Any = None
        self._under_way = {"up": 0, "down": 0}
        self._front: asyncio.DatagramTransport | None = None
        self._back: asyncio.DatagramTransport | None = None

    async def open(self) -> int:
        """Take a port for the browser to send to."""
        self._front = await self._bind(self._from_browser)
        await self.rebind()
        return int(self._front.get_extra_info("sockname")[1])

    async def rebind(self) -> None:
        """Speak to the server from another port from now on, as after a change of the address.

        What the server still sends to the old port is lost.
        """
        old, self._back = self._back, await self._bind(self._from_server)
        if old is not None:
            old.close()

    async def _bind(self, take: Any) -> asyncio.DatagramTransport:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _End(take), local_addr=(self._server[0], 0)
        )
        return transport

    def _from_browser(self, data: bytes, addr: Any) -> None:
        self._browser = addr
        self._pass("up", self.up, data)

    def _from_server(self, data: bytes, addr: Any) -> None:
        if self._browser is not None:
            self._pass("down", self.down, data)

    def _pass(self, way: str, link: Link, data: bytes) -> None:
        if self._under_way[way] >= MOST_UNDER_WAY:
            self.crowded += 1
            return
        loop = asyncio.get_running_loop()
        for at, packet in link.send(data, time.monotonic()):
            self._under_way[way] += 1
            loop.call_later(at - time.monotonic(), self._arrive, way, packet)

    def _arrive(self, way: str, packet: bytes) -> None:
        self._under_way[way] -= 1
        transport, to = (self._back, self._server) if way == "up" else (self._front, self._browser)
        if transport is not None and not transport.is_closing():
            transport.sendto(packet, to)

    def close(self) -> None:
        """Give the ports back."""
        for transport in (self._front, self._back):
            if transport is not None:
                transport.close()


class Relay:
    """Paths between one browser and one server, all under the same conditions.

    A context manager; its methods may be called from any other thread.

    Args:
        seed: of the first path; each further one (after a resume) has the next.
        conditions: at first.
    """

    def __init__(self, seed: int, conditions: Conditions | None = None) -> None:
        self._seed = seed
        self._conditions = conditions or Conditions()
        self._paths: list[_Path] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self, server: Address) -> int:
        """A new path to a server's address; the port at which the browser finds it."""
        return self._do(self._open(server))

    def change(self, conditions: Conditions) -> None:
        """Set the conditions of all paths."""
        self._do(self._change(conditions))

    def rebind(self) -> None:
        """Change the address from which the server is spoken to, on the latest path."""
        self._do(self._rebind())

    def counters(self) -> dict[str, Any]:
        """What became of the packets, both ways, all paths together."""
        return self._do(self._count())

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_S)

    async def _open(self, server: Address) -> int:
        path = _Path(server, self._seed + len(self._paths), self._conditions)
        self._paths.append(path)
        return await path.open()

    async def _change(self, conditions: Conditions) -> None:
        self._conditions = conditions
        for path in self._paths:
            path.up.conditions = path.down.conditions = conditions

    async def _rebind(self) -> None:
        if self._paths:
            await self._paths[-1].rebind()

    async def _count(self) -> dict[str, Any]:
        def total(counters: list[Counters]) -> dict[str, int]:
            rows = [asdict(one) for one in counters]
            return {name: sum(row[name] for row in rows) for name in asdict(Counters())}

        return {
            "up": total([path.up.counters for path in self._paths]),
            "down": total([path.down.counters for path in self._paths]),
            "crowded": sum(path.crowded for path in self._paths),
        }

    async def _close(self) -> None:
        for path in self._paths:
            path.close()
        await asyncio.sleep(0)
