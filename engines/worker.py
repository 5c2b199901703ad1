"""An engine thread: it sleeps until a session has a tick, and runs ticks in batches.

What runs together, and in what order, is `batching.choose`; here are the thread and its lock.
Nothing of a session is ever seen by two engine threads.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable

from visavis.engines.batching import Group, Ready, choose
from visavis.engines.client import PHASES
from visavis.engines.errors import DeviceLost
from visavis.engines.pipeline import Work
from visavis.engines.session import LocalSession
from visavis.engines.timeline import Tick

__all__ = ["Worker"]

logger = logging.getLogger(__name__)

Batch = list[tuple[LocalSession, Tick]]


class Worker:
    """One engine thread with its sessions.

    Args:
        number: which of the engine's threads it is.
        clock: seconds, monotonic.
        max_batch: sessions in a batch at most.
        gather_s: seconds that a tick waits for the rest of its group; see `batching.choose`.
        on_lost: called on the thread when the device that runs the networks is gone.
    """

    def __init__(
        self,
        number: int,
        *,
        clock: Callable[[], float],
        max_batch: int,
        gather_s: float,
        on_lost: Callable[[DeviceLost], None],
    ) -> None:
        self.number = number
        self.condition = threading.Condition()
        self.sessions: deque[LocalSession] = deque()
        self._clock = clock
        self._max_batch = max_batch
        self._gather_s = gather_s
        self._on_lost = on_lost
        self._closed = False
        self._thread = threading.Thread(
            target=self._run, name=f"visavis-engine-{number}", daemon=True
        )
        self._thread.start()

    def phases(self) -> list[int]:
        """Return how many sessions each phase has."""
        with self.condition:
            counts = Counter(session.phase for session in self.sessions)
        return [counts[phase] for phase in range(PHASES)]

    def add(self, session: LocalSession) -> None:
        """Run a session from now on."""
        with self.condition:
            self.sessions.append(session)
            self.condition.notify()

    def remove(self, session: LocalSession) -> None:
        """Run a session no more."""
        with self.condition:
            self.sessions.remove(session)

    def close(self) -> None:
        """End the sessions and the thread."""
        with self.condition:
            self._closed = True
            sessions = list(self.sessions)
            self.condition.notify_all()
        for session in sessions:
            session.close()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        # Each turn has a frame of its own: a thread that waits holds no session of the last one.
        while self._turn():
            pass

    def _turn(self) -> bool:
        """Wait for something to do, and do it; False when the thread shall end."""
        beginning: LocalSession | None = None
        with self.condition:
            while True:
                if self._closed:
                    return False
                batch, wait = self._collect()
                if batch:
                    break
                # Sessions are made ready a little at a time, while nobody waits for a picture.
                beginning = next((session for session in self.sessions if session.beginning), None)
                if beginning is not None:
                    break
                self.condition.wait(wait)
        if beginning is not None:
            _try(beginning, beginning.begin)
        else:
            self._advance(batch)
        return True

    def _collect(self) -> tuple[Batch, float | None]:
        """Take the ticks of the next batch, or say for how long there is none."""
        now = self._clock()
        ready = [
            Ready(session, session.runner.batch_key, session.phase, session.since)
            for session in self.sessions
            if session.since is not None
        ]
        members: Counter[Group] = Counter()
        if self._gather_s > 0:
            members.update((session.runner.batch_key, session.phase) for session in self.sessions)
        choice = choose(ready, now, limit=self._max_batch, window=self._gather_s, members=members)
        batch: Batch = []
        for item in choice.batch:
            tick = item.session.take(now)
            if tick is not None:
                batch.append((item.session, tick))
        return batch, choice.wait

    def _advance(self, batch: Batch) -> None:
        start = self._clock()
        batch = [(session, tick) for session, tick in batch if _try(session, session.state)]
        if not batch:
            return
        work = [
            Work(session.state(), tick.pcm, tick.render, tick.cleared) for session, tick in batch
        ]
        runner = batch[0][0].runner
        try:
            runner.advance(work)
        except Exception as error:  # nothing of the batch can be trusted
            for item in work:
                item.error = item.error or error
        milliseconds = (self._clock() - start) * 1000.0
        for (session, tick), item in zip(batch, work, strict=True):
            if item.error is not None:
                session.fail(item.error)
            elif item.i420 is not None:
                try:
                    session.deliver(tick, item.i420, item.alpha, item.speech, milliseconds)
                except Exception as error:  # what the receiver raises ends its own session only
                    session.fail(error)
        lost = next((item.error for item in work if isinstance(item.error, DeviceLost)), None)
        if lost is not None:
            logger.critical("the device that runs the networks is gone: %s", lost)
            self._on_lost(lost)


def _try(session: LocalSession, action: Callable[[], object]) -> bool:
    """Do something of one session; False where that failed and it has ended."""
    try:
        action()
    except Exception as error:
        session.fail(error)
        return False
    return True
