"""How deep the microphone's buffer should be, and how to get there without being heard.

Each packet is judged by its *slack*: how long before the step that needs its first sample did it
arrive. A packet that is as late as the network makes one in twenty
(:class:`~visavis.server.media.arrivals.Lateness`) should have a small margin; more buys nothing.

* The session's clock follows the microphone's: its steps are moved by up to 500 ppm, so that they
  come just after the packets, and once at the beginning. (Resampling the voice instead would leave
  the steps where they are against the packets, at a cost of up to one packet of delay.)
* What is too much by less than a step, after a disturbance, needs no sound to be left out: the
  steps leap once.
* More is left out when nobody speaks, and in speech a pitch period at a time; more than 120 ms
  is cut at once.
* When a packet came too late, what lacks is put in at once, beside the sound that was made up for
  that packet anyway.

Pure: the time is given, never read.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from visavis.server.media.arrivals import MAX_TARGET

__all__ = ["CHUNK", "Correction", "DepthControl"]

RATE = 48_000
CHUNK = 960
"""Samples in one step of 20 ms."""
STEP = CHUNK / RATE
WINDOW_SECONDS = 2.0
PAUSE_SECONDS = 1.0
STALE_SECONDS = 0.2
MARGIN = 0.006
MAX_DEPTH = 0.080
CUT_SAMPLES = RATE * 120 // 1000
MAX_INSERT = CHUNK
MIN_INSERT = CHUNK // 2
STARTUP_PACKETS = 8
STARTUP_SECONDS = 1.0
SLEW = 500e-6
PLAN_SECONDS = 0.1  # how often :meth:`DepthControl.plan` is asked
DEAD_BAND = 0.0005
LEAP = 0.005


@dataclass(frozen=True, slots=True)
class Correction:
    """What to do at the next step.

    ``skip`` samples are surplus; ``at_once`` says not to wait for silence. ``insert`` samples lack.
    All further steps move by ``shift`` seconds, later when positive.
    """

    skip: int = 0
    at_once: bool = False
    insert: int = 0
    shift: float = 0.0


class DepthControl:
    """Watches arrivals and says what to correct.

    Positions are samples on the played timeline: step ``j`` plays ``[960 j, 960 j + 960)``.
    """

    def __init__(self) -> None:
        self._arrivals: deque[tuple[float, int, float]] = deque()  # when, position, how late
        self._inserted = 0  # added to each stored position
        self._started = 0.0
        self._aligned = False
        self._missed = False
        self._disturbed = False  # sound was made up or left out since the last leap
        self.mean_slack = 0.0
        """How long packets wait on average for their step, in seconds, when last planned."""

    def arrived(self, now: float, position: int, late: float = 0.0) -> None:
        """A packet came whose first sample stands at that position, ``late`` seconds later than the
        quickest."""
        if not self._arrivals or now - self._arrivals[-1][0] > PAUSE_SECONDS:
            # A microphone that was silent for a while begins anew.
            self._arrivals.clear()
            self._started = now
            self._aligned = False
        self._arrivals.append((now, position - self._inserted, min(MAX_TARGET, late)))
        while self._arrivals[0][0] < now - WINDOW_SECONDS:
            self._arrivals.popleft()

    def inserted(self, samples: int) -> None:
        """Sound was made up, so all that waits plays later; negative: left out, so earlier."""
        self._inserted += samples
        self._disturbed = True

    def missed(self) -> None:
        """A packet came too late: what lacks may be put in at once."""
        self._missed = True

    def plan(self, due: float, position: int, target: float = 0.0) -> Correction:
        """What to do at the step that is due at ``due`` and plays from ``position``.

        ``target`` is for how late a packet to wait, in seconds. Ask ten times a second.
        """
        missed, self._missed = self._missed, False
        arrivals = self._arrivals
        if len(arrivals) < STARTUP_PACKETS or due - arrivals[-1][0] > STALE_SECONDS:
            return Correction()
        when, where, late = np.array(arrivals).T
        offset = where + self._inserted - position
        steps = np.floor(offset / CHUNK)
        slack = due + steps * STEP - when
        self.mean_slack = float(slack.mean())
        # What the packet would have if it were as late as the target.
        left = slack + late - target - MARGIN
        # Moving sound earlier by its offset within its step costs no slack; a whole step costs one.
        spare = offset - steps * CHUNK + CHUNK * np.floor(left / STEP)
        recent = int(spare[-STARTUP_PACKETS:].min())
        if recent > CUT_SAMPLES:
            return Correction(skip=recent, at_once=True)
        starting = due - self._started < STARTUP_SECONDS
        surplus = recent if starting or self.mean_slack > MAX_DEPTH else int(spare.min())
        if surplus > 0:
            return Correction(skip=surplus, at_once=starting)
        error = -float(left.min())
        if not self._aligned:
            self._aligned = True
            return Correction(shift=max(-STEP, min(STEP, error)))
        if self._disturbed and error < -LEAP:
            # Less than a step too much: no sound need go, all further steps just come earlier. A
            # clock that is merely fast is not followed that way.
            self._disturbed = False
            return Correction(shift=max(-STEP, error))
        lacking = int(error * RATE)
        if missed and lacking >= MIN_INSERT:
            return Correction(insert=min(MAX_INSERT, lacking))
        if abs(error) > DEAD_BAND:
            most = SLEW * PLAN_SECONDS
            return Correction(shift=max(-most, min(most, error)))
        return Correction()
