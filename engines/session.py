"""A session's front, which any thread may use, and its back, which its engine thread uses."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import Frame, SessionStats
from visavis.engines.errors import EngineError
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
    ) -> None:
        self.runner = runner
        self._condition = condition
        self._on_close = on_close
        self._lookahead_ms = lookahead_ms
        self._seed = seed
        self._state: SessionState | None = None
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
                self._condition.notify()

    def clear(self) -> int:
        """Forget what was said and not yet shown; see `client.EngineSession.clear`."""
        with self._condition:
            return self.timeline.clear()

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

    def state(self) -> SessionState:
        """Return the session's state, made on first use; on the engine's thread.

        Making it decodes pictures, which is nothing for whoever opens a session to wait for.
        """
        if self._state is None:
            self._state = self.runner.initial_state(self._seed, self._lookahead_ms)
        return self._state

    @property
    def fresh(self) -> bool:
        """Its state has not been made."""
        return self._state is None

    def deliver(
        self, tick: Tick, i420: NDArray[np.uint8], speech: float, milliseconds: float
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
        self._on_frame(Frame(tick.index, tick.generation, i420, speech))

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
                self._on_error(EngineError(f"The session failed in the engine: {self._failed}."))
            except Exception:
                logger.exception("the error handler of a session failed")
