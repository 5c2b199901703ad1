"""A session's front, which any thread may use, and its back, which its engine thread uses."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import Frame, SessionStats
from visavis.engines.errors import DeviceLost, EngineError
from visavis.engines.pipeline import Runner, SessionState
from visavis.engines.timeline import Tick, Timeline

__all__ = ["LocalSession"]

logger = logging.getLogger(__name__)

_RECENT = 250  # frames: ten seconds


class LocalSession:
    """A session of a `LocalEngine`; see `client.EngineSession`.

    Args:
        runner: the stages of the session's person.
        condition: of the engine thread that runs the session; it guards the timeline and the
            counters, and is notified when a tick is ready.
        on_frame, on_error: see `client.EngineClient.open`.
        on_close: called once, when the session ends for whatever reason.
        lookahead_ms: one that the runner's person offers.
        seed: of the idle movement.
        phase: see `client.EngineSession.phase`.
        clock: seconds, monotonic.
        pace: pictures a second that the person was measured to make, alone on a thread.

    Attributes:
        since: seconds; when its next tick was ready, or when it had its last turn if that was
            later. None where it has no tick.
    """

    def __init__(
        self,
        runner: Runner,
        condition: threading.Condition,
        on_frame: Callable[[Frame], None],
        on_error: Callable[[EngineError], None] | None,
        on_close: Callable[[LocalSession], None],
        lookahead_ms: int,
        seed: int | None,
        phase: int,
        clock: Callable[[], float],
        pace: float,
    ) -> None:
        self.runner = runner
        self.pace = pace
        self.since: float | None = None
        self._clock = clock
        self._more = True
        self._phase = phase
        self._condition = condition
        self._on_close = on_close
        self._lookahead_ms = lookahead_ms
        self._seed = seed
        self._state: SessionState | None = None
        self._controls = runner.controls.start
        self._shown = self._controls  # what the state has been told of
        self.timeline = Timeline(lookahead_ms)
        self._on_frame = on_frame
        self._on_error = on_error
        self._rendered = 0
        self._discarded = 0
        self._milliseconds: deque[float] = deque(maxlen=_RECENT)
        self._failed: str | None = None
        self._closed = False

    @property
    def generation(self) -> int:
        """How often `clear` was called."""
        return self.timeline.generation

    @property
    def phase(self) -> int:
        """Group of the session; see `client.EngineSession.phase`."""
        return self._phase

    def push(self, pcm: NDArray[np.float32]) -> None:
        """Give the next samples; see `client.EngineSession.push`."""
        if pcm.dtype != np.float32 or pcm.ndim != 1:
            raise EngineError(
                f"Audio must be float32 of one dimension, not {pcm.dtype} of {pcm.ndim}."
            )
        with self._condition:
            if self._closed:
                return
            self.timeline.push(pcm)
            if self.timeline.waiting:
                if self.since is None:
                    self.since = self._clock()
                self._condition.notify()

    def clear(self) -> int:
        """Forget what was said and not yet shown; see `client.EngineSession.clear`."""
        with self._condition:
            return self.timeline.clear()

    def control(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Choose, from the next tick on; see `client.EngineSession.control`."""
        offered = self.runner.controls
        with self._condition:
            if self._closed:
                raise EngineError("The session has ended.")
            self._controls = offered.changed(self._controls, changes)
            return offered.said(self._controls)

    def stats(self) -> SessionStats:
        """Return the counters."""
        with self._condition:
            times = list(self._milliseconds)
            p50, p95 = np.percentile(times, (50, 95)).tolist() if times else (0.0, 0.0)
            return SessionStats(
                rendered=self._rendered,
                skipped=self.timeline.skipped,
                discarded=self._discarded,
                dropped_samples=self.timeline.dropped_samples,
                engine_ms_p50=p50,
                engine_ms_p95=p95,
                failed=self._failed,
            )

    def close(self) -> None:
        """End the session; calling it again does nothing."""
        with self._condition:
            if self._closed:
                return
            self._closed = True
        self._on_close(self)

    def take(self, now: float) -> Tick | None:
        """Take the next tick; under the lock. What waits behind it is as old as this turn."""
        tick = self.timeline.take()
        self.since = now if self.timeline.waiting else None
        return tick

    def state(self) -> SessionState:
        """Return the session's state, made on first use; on the engine's thread.

        Between two ticks it is told what was chosen meanwhile.
        """
        if self._state is None:
            self._state = self.runner.initial_state(self._seed, self._lookahead_ms)
        chosen = self._controls
        if chosen is not self._shown:
            self.runner.control(self._state, chosen)
            self._shown = chosen
        return self._state

    @property
    def beginning(self) -> bool:
        """There is something left that `begin` does before the first tick."""
        return self._more

    def begin(self) -> None:
        """Make the state, or then one of the pictures that come first; on the engine's thread.

        A little at a time: it is nothing for whoever opens a session to wait for, and nothing for
        the other sessions of the thread either.
        """
        if self._state is None:
            self.state()
        elif self._more:
            self._more = self.runner.look_ahead(self._state)

    def deliver(
        self,
        tick: Tick,
        i420: NDArray[np.uint8],
        alpha: NDArray[np.uint8] | None,
        speech: float,
        milliseconds: float,
    ) -> None:
        """Hand a frame over, unless it has been overtaken; on the engine's thread."""
        with self._condition:
            if self._closed:
                return
            if tick.generation != self.timeline.generation:
                self._discarded += 1
                return
            self._rendered += 1
            self._milliseconds.append(milliseconds)
        self._on_frame(Frame(tick.index, tick.generation, i420, speech, alpha))

    def fail(self, error: BaseException) -> None:
        """End the session because of `error`; on the engine's thread."""
        with self._condition:
            if self._closed:
                return
            self._failed = f"{type(error).__name__}: {error}"
        self.close()
        logger.error("a session of %s ended: %s", self.runner.name, self._failed, exc_info=error)
        if self._on_error is not None:
            try:
                told = EngineError(f"The session failed in the engine: {self._failed}.")
                # A lost device ends the whole engine: whoever owns it must see that.
                self._on_error(error if isinstance(error, DeviceLost) else told)
            except Exception:
                logger.exception("the error handler of a session failed")
