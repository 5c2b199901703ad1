"""Keeps one process alive: starts it, and starts it again when it ends without having been told to.

Restarts back off (:mod:`visavis.server.front.backoff`). A process that cannot be started the first
time is not tried again: then the server's owner is there to read why.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

from visavis.engines.errors import EngineError, VisavisError
from visavis.server.front.backoff import Backoff
from visavis.server.front.child import Child, ChildSpec

__all__ = ["Supervised"]

logger = logging.getLogger(__name__)

Up = Callable[[dict[str, Any]], Awaitable[None]]


class Supervised:
    """One process, over all its lives.

    Args:
        make: what to run; asked before each start.
        on_up: awaited with what it said when it was ready; where it raises, the process is ended.
        on_down: called when it has ended.
        ready_seconds: a start that takes longer has failed.
        backoff: how soon it is started again.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        make: Callable[[], ChildSpec],
        *,
        on_up: Up,
        on_down: Callable[[], None],
        ready_seconds: float,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._on_up = on_up
        self._on_down = on_down
        self._ready_seconds = ready_seconds
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._child: Child | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self.up = False
        """Whether it is ready."""
        self.failing = False
        """Whether it used up its starts of a minute."""
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """Of the present process."""
        return None if self._child is None else self._child.pid

    async def start(self) -> None:
        """Start it, and keep it alive from then on.

        Raises:
            VisavisError: it could not be started; it is not tried again.
        """
        await self._bring_up()
        self._task = asyncio.create_task(self._keep())

    def terminate(self) -> None:
        """Tell it to come to its end, which may take a while; it is not started again."""
        self._ending = True
        if self._child is not None:
            self._child.send_signal(signal.SIGTERM)

    @property
    def ended(self) -> bool:
        """Whether it was told to end, and has."""
        return self._ending and not self.up

    async def stop(self, grace: float) -> None:
        """End it within so many seconds, and wait; may be called again."""
        self._ending = True
        if self._child is not None:
            # To a process that serves, SIGTERM would mean to let its sessions end first.
            await self._child.stop(grace, signal.SIGINT if self.up else signal.SIGTERM)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        # It may have been just starting.
        if self._child is not None:
            await self._child.stop(grace)

    async def _bring_up(self) -> None:
        self._backoff.started(self._clock())
        child = self._child = await Child.start(self._make())
        try:
            async with asyncio.timeout(self._ready_seconds):
                said = await asyncio.shield(child.ready)
            await self._on_up(said)
        except TimeoutError:
            await child.stop(0.0)
            raise EngineError(
                f"The {child.spec.name} process was not ready within {self._ready_seconds:.0f} s."
            ) from None
        except BaseException:
            await child.stop(1.0)
            raise
        self.up = True
        self.failing = False

    async def _keep(self) -> None:
        while True:
            child = self._child
            assert child is not None
            if self.up:
                status = await child.wait()
                self.up = False
                self._on_down()
                if self._ending:
                    return
                logger.error("the %s process ended (%s)", child.spec.name, _reason(status))
            now = self._clock()
            due = self._backoff.ended(now)
            if self._backoff.exhausted(now) and not self.failing:
                self.failing = True
                logger.critical(
                    "the %s process does not stay up; it is tried again once in a while",
                    child.spec.name,
                )
            await asyncio.sleep(max(0.0, due - now))
            if self._ending:
                return
            self.restarts += 1
            try:
                await self._bring_up()
            except VisavisError as error:
                logger.error("the %s process could not be started: %s", child.spec.name, error)
            except Exception:
                logger.exception("the %s process could not be started", child.spec.name)


def _reason(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"exit status {status}"
