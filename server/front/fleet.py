"""The front's processes: one engine, some workers; who is there, and who gets the next session."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import shutil
import time
from pathlib import Path
from typing import Any

from visavis.engines.client import EngineClient
from visavis.engines.cores import available_cores
from visavis.engines.errors import VisavisError
from visavis.server.capacity import Capacity, Measured, capacity_of
from visavis.server.config import ServerConfig
from visavis.server.errors import NoSuchSession, ServerFull, Unavailable
from visavis.server.front.backend import WorkerClient, WorkerGone
from visavis.server.front.child import ChildSpec
from visavis.server.front.placing import Placement, worker_of
from visavis.server.front.plan import FleetPlan, Place, private_folder
from visavis.server.front.settings import WorkerSettings, worker_config
from visavis.server.front.sharing import quotas, worker_count
from visavis.server.front.supervisor import Supervised
from visavis.server.media.cost import MediaCost
from visavis.server.metrics import Metrics

__all__ = ["Fleet"]

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
LOOK_AGAIN_SECONDS = 0.05
POLL_TIMEOUT = 2.0
ENGINE_READY_SECONDS = 1800.0
"""A card may want its networks compiled, which takes minutes each."""
WORKER_READY_SECONDS = 120.0
RESTART_RETRY_SECONDS = 2
KILL_SECONDS = 5.0
MOST_ENCODERS = 8


class Fleet:
    """All processes behind one front.

    Args:
        config: the server's.
        plan: what to run.
        metrics: the front's.
    """

    def __init__(self, config: ServerConfig, plan: FleetPlan, metrics: Metrics) -> None:
        self._config = config
        self._plan = plan
        self._metrics = metrics
        self._folder: Path | None = None
        self._cost: MediaCost | None = None
        self._polling: asyncio.Task[None] | None = None
        self._changing: set[asyncio.Task[None]] = set()
        self._draining = False
        self._looking = asyncio.Lock()
        self._looked = -math.inf
        self.client: EngineClient | None = None
        """Lists and prepares persons; None until the engine is loaded."""
        self.capacity: Capacity | None = None
        """None until it was measured."""
        self.placement = Placement(0)
        self.workers: list[WorkerClient | None] = []
        """Ways to the workers that are there."""
        self.supervised: list[Supervised] = []
        self.engine = Supervised(
            lambda: ChildSpec(
                "engine",
                plan.engine,
                {
                    **plan.engine_settings,
                    "socket": self._path("engine"),
                    "verbose": plan.verbose,
                },
            ),
            on_up=self._engine_up,
            on_down=lambda: None,
            ready_seconds=ENGINE_READY_SECONDS,
        )

    # -- beginning and end --------------------------------------------------------------------

    async def start(self) -> None:
        """Start everything, in order; returns when sessions can be opened.

        Raises:
            VisavisError: something could not be started.
        """
        self._folder = await asyncio.to_thread(private_folder)
        await self.engine.start()
        # The engine's client knows nobody before the engine is there.
        self.client = client = await asyncio.to_thread(self._plan.connect, self._path("engine"), 0)
        engine_sessions = await asyncio.to_thread(client.capacity)
        wanted = self._config.max_sessions or engine_sessions
        cores = available_cores()
        count = self._plan.workers or worker_count(wanted, cores)
        self.placement = Placement(count)
        self.workers = [None] * count
        slots = math.ceil(max(wanted, count) / count)
        threads = max(1, min(MOST_ENCODERS, math.ceil(cores / count)))
        config = worker_config(self._config, threads)
        self.supervised = [self._worker(number, slots, config) for number in range(count)]
        # The first one measures while the others are not there to disturb it.
        await self.supervised[0].start()
        await asyncio.gather(*(one.start() for one in self.supervised[1:]))
        await self._divide()
        assert self.capacity is not None
        self._metrics.divided(self.capacity)
        logger.info("%d workers; %s", count, self.capacity)
        self._polling = asyncio.create_task(self._poll())

    async def aclose(self, grace: float = KILL_SECONDS) -> None:
        """End the workers, then the engine; what does not end is killed. May be called again."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])
        if self.supervised:
            await asyncio.gather(*(one.stop(grace) for one in self.supervised))
        if self._changing:
            await asyncio.wait(self._changing)
        for client in self.workers:
            if client is not None:
                await client.aclose()
        if self.client is not None:
            await asyncio.to_thread(self.client.close)
        await self.engine.stop(grace)
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def draining(self) -> bool:
        """Whether it is coming to its end: nobody new is let in."""
        return self._draining

    @draining.setter
    def draining(self, value: bool) -> None:
        self._draining = value
        if value:
            for one in self.supervised:
                one.terminate()

    def __len__(self) -> int:
        """Workers that still have something to do."""
        return sum(not one.ended for one in self.supervised)

    # -- who is there -------------------------------------------------------------------------

    @property
    def trouble(self) -> str | None:
        """Why no session can be opened now, in a sentence; None where one can, or all are taken."""
        if self.draining:
            return "The server is being stopped."
        if self.capacity is None:
            return "The persons are being loaded."
        if not self.engine.up:
            if self.engine.failing:
                return "The engine does not stay up; the server's log says why."
            return "The engine has ended and is being started again."
        if not self.placement.up:
            if all(one.failing for one in self.supervised):
                return "No media worker stays up; the server's log says why."
            return "The media workers have ended and are being started again."
        return None

    async def take(self, refused: set[int]) -> Place:
        """Take a place in the least loaded worker; it must be given back if it comes to nothing.

        Args:
            refused: workers that said no already.

        Raises:
            Unavailable: there is no engine, or no worker.
            ServerFull: all places are taken.
        """
        if (trouble := self.trouble) is not None:
            raise Unavailable(trouble, retry_after=RESTART_RETRY_SECONDS)
        assert self.capacity is not None
        if not self.placement.has_room(refused):
            await self._look_again()
        taken = self.placement.take(refused)
        if taken is None:
            raise ServerFull(self.placement.places, self.capacity.limit)
        number, offer = taken
        client = self.workers[number]
        assert client is not None, "a worker that is up has a way to it"
        return Place(number, offer, client)

    def home_of(self, identifier: str) -> tuple[int, WorkerClient]:
        """The worker in which that session lives, or once lived.

        Raises:
            NoSuchSession: there is no such worker now.
        """
        number = worker_of(identifier)
        if number is None or not self.placement.is_up(number):
            raise NoSuchSession
        client = self.workers[number]
        assert client is not None
        return number, client

    def _path(self, name: str) -> str:
        """Of a process's socket."""
        assert self._folder is not None
        return str(self._folder / name)

    # -- changes ------------------------------------------------------------------------------

    def _worker(self, number: int, slots: int, config: ServerConfig) -> Supervised:
        path = self._path(f"worker-{number}")

        def make() -> ChildSpec:
            settings = WorkerSettings(
                number=number,
                socket=path,
                engine=self._path("engine"),
                slots=slots,
                measure=self._cost is None,
                verbose=self._plan.verbose,
                config=config,
            )
            return ChildSpec(f"worker-{number}", self._plan.worker, settings.to_json())

        async def up(said: dict[str, Any]) -> None:
            if said.get("cost") is not None:
                self._cost = MediaCost(**said["cost"])
            self.workers[number] = WorkerClient(path)
            if self.capacity is not None:
                await self._give(number)
            self.placement.came_up(number)

        def down() -> None:
            self.placement.went_down(number)
            client, self.workers[number] = self.workers[number], None
            if client is not None:
                self._keep(asyncio.create_task(client.aclose()))

        return Supervised(make, on_up=up, on_down=down, ready_seconds=WORKER_READY_SECONDS)

    async def _engine_up(self, said: dict[str, Any]) -> None:
        if self.capacity is not None:
            # It measured itself anew, and may carry fewer now.
            self._keep(asyncio.create_task(self._divide_again()))

    async def _divide_again(self) -> None:
        try:
            await self._divide()
        except VisavisError as error:
            logger.error("the places could not be divided anew: %s", error)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._changing.add(task)
        task.add_done_callback(self._changing.discard)

    async def _divide(self) -> None:
        """Measure the whole, and give each worker its share."""
        client, cost = self.client, self._cost
        assert client is not None and cost is not None
        self.capacity = capacity_of(
            Measured(
                engine_sessions=await asyncio.to_thread(client.capacity),
                load=await asyncio.to_thread(client.load),
                encode_seconds=cost.encode_seconds,
                packet_seconds=cost.packet_seconds,
                cores=available_cores(),
                loops=len(self.workers),
                card_frames_per_s=cost.card_frames_per_s,
            ),
            asked=self._config.max_sessions,
        )
        for number, quota in enumerate(quotas(self.capacity.sessions, len(self.workers))):
            self.placement.set_quota(number, quota)
            if self.workers[number] is not None:
                with contextlib.suppress(WorkerGone):
                    await self._give(number)

    async def _give(self, number: int) -> None:
        client, capacity = self.workers[number], self.capacity
        assert client is not None and capacity is not None
        places = f"{self.placement.quota(number)} {capacity.sessions} {capacity.limit}"
        reply = await client.ask("PUT", "/worker", body=places.encode(), seconds=POLL_TIMEOUT)
        if reply.status != 204:
            raise WorkerGone

    async def _poll(self) -> None:
        while True:
            await self._look_at_all()
            await asyncio.sleep(POLL_SECONDS)

    async def _look_again(self) -> None:
        """Before somebody is sent away: a session that ended by itself is not seen here."""
        if time.monotonic() - self._looked > LOOK_AGAIN_SECONDS:
            await self._look_at_all()

    async def _look_at_all(self) -> None:
        # Whoever comes while a look is under way waits for that one.
        async with self._looking:
            if time.monotonic() - self._looked > LOOK_AGAIN_SECONDS:
                there = [(n, client) for n, client in enumerate(self.workers) if client is not None]
                await asyncio.gather(*(self._look(*one) for one in there))
                self._looked = time.monotonic()

    async def _look(self, number: int, client: WorkerClient) -> None:
        try:
            reply = await client.ask("GET", "/worker", seconds=POLL_TIMEOUT)
            said = json.loads(reply.body)
        except (VisavisError, ValueError):
            return  # it is gone, which its supervisor sees, or it is slow
        self.placement.report(number, int(said["taken"]), int(said["seen"]))
