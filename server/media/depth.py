"""How deep the microphone's buffer should be, and how to get there without being heard.

Each packet is judged by its *slack*: how long before the step that needs its first sample did it
arrive. The least slack of the last two seconds should be a small margin; what is more buys nothing.

* The session's clock follows the microphone's: its steps are moved by up to 500 ppm, so that they
  come just after the packets, and once at the beginning. (Resampling the voice instead would leave
  the steps where they are against the packets, at a cost of up to one packet of delay.)
* Whole steps of surplus are skipped when nobody speaks; more than 120 ms is cut at once.

The margin widens when sound did not come in time and narrows again over half a minute: 6 ms on a
quiet loopback, up to 60 ms on a rough network. Pure: the time is given, never read.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

__all__ = ["CHUNK", "Correction", "DepthControl"]

RATE = 48_000
CHUNK = 960
"""Samples in one step of 20 ms."""
STEP = CHUNK / RATE
WINDOW_SECONDS = 2.0
PAUSE_SECONDS = 1.0
STALE_SECONDS = 0.2
MIN_MARGIN = 0.006
MAX_MARGIN = 0.060
MARGIN_STEP = 0.010
MARGIN_DECAY_SECONDS = 30.0
MAX_DEPTH = 0.080
CUT_SAMPLES = RATE * 120 // 1000
STARTUP_PACKETS = 8
STARTUP_SECONDS = 1.0
SLEW = 500e-6
PLAN_SECONDS = 0.1  # how often :meth:`DepthControl.plan` is asked
DEAD_BAND = 0.0005


@dataclass(frozen=True, slots=True)
class Correction:
    """What to do at the next step.

    ``skip`` samples are surplus; ``at_once`` says not to wait for silence. All further steps move
    by ``shift`` seconds, later when positive.
    """

    skip: int = 0
    at_once: bool = False
    shift: float = 0.0


class DepthControl:
    """Watches arrivals and says what to correct.

    Positions are samples on the played timeline: step ``j`` plays ``[960 j, 960 j + 960)``.
    """

    def __init__(self) -> None:
        self._arrivals: deque[tuple[float, int]] = deque()  # when, at which position
        self._inserted = 0  # added to each stored position
        self._margin = MIN_MARGIN
        self._margin_time: float | None = None
        self._started = 0.0
        self._aligned = False
        self.mean_slack = 0.0
        """How long packets wait on average for their step, in seconds, when last planned."""

    @property
    def margin(self) -> float:
        """The slack that is kept on purpose, in seconds."""
        return self._margin

    def arrived(self, now: float, position: int) -> None:
        """A packet came whose first sample stands at that position."""
        if not self._arrivals or now - self._arrivals[-1][0] > PAUSE_SECONDS:
            # A microphone that was silent for a while begins anew.
            self._arrivals.clear()
            self._started = now
            self._aligned = False
        self._arrivals.append((now, position - self._inserted))
        while self._arrivals[0][0] < now - WINDOW_SECONDS:
            self._arrivals.popleft()

    def inserted(self, samples: int) -> None:
        """Sound was made up, so all that waits plays later; negative: left out, so earlier."""
        self._inserted += samples

    def widen(self, now: float) -> None:
        """Sound came too late: keep more in hand for a while."""
        self._relax(now)
        self._margin = min(MAX_MARGIN, self._margin + MARGIN_STEP)
        self._margin_time = now

    def plan(self, due: float, position: int) -> Correction:
        """What to do at the step that is due at ``due`` and plays from ``position``.

        Ask ten times a second.
        """
        self._relax(due)
        arrivals = self._arrivals
        if len(arrivals) < STARTUP_PACKETS or due - arrivals[-1][0] > STALE_SECONDS:
            return Correction()
        when, where = np.array(arrivals).T
        offset = where + self._inserted - position
        steps = np.floor(offset / CHUNK)
        slack = due + steps * STEP - when
        self.mean_slack = float(slack.mean())
        # Moving sound earlier by its offset within its step costs no slack; a whole step costs one.
        spare = offset - steps * CHUNK + CHUNK * np.floor((slack - self._margin) / STEP)
        recent = int(spare[-STARTUP_PACKETS:].min())
        if recent > CUT_SAMPLES:
            return Correction(skip=recent, at_once=True)
        starting = due - self._started < STARTUP_SECONDS
        surplus = recent if starting or self.mean_slack > MAX_DEPTH else int(spare.min())
        if surplus > 0:
            return Correction(skip=surplus, at_once=starting)
        error = self._margin - float(slack.min())
        if not self._aligned:
            self._aligned = True
            return Correction(shift=max(-STEP, min(STEP, error)))
        if abs(error) > DEAD_BAND:
            most = SLEW * PLAN_SECONDS
            return Correction(shift=max(-most, min(most, error)))
        return Correction()

    def _relax(self, now: float) -> None:
        if self._margin_time is not None:
            share = (now - self._margin_time) / MARGIN_DECAY_SECONDS
            self._margin = max(MIN_MARGIN, self._margin - (MAX_MARGIN - MIN_MARGIN) * share)
            self._margin_time = None if self._margin == MIN_MARGIN else now
