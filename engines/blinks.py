"""When the person blinks, and with which of the clip's own blinks.

Where the frames that are shown bring a blink, that is the blink. Where none has come for as long
as people keep their eyes open, the eyes of one of the clip's blinks are laid over the frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError

__all__ = ["Blinks", "BlinkState"]

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

MOST, LONGEST = 16, 15  # blinks of a person; frames of one
# From blink to blink, log-normal: mean in ticks, spread of the logarithm, shortest and longest.
MEAN, SPREAD = 95.0, 0.45
SHORTEST, LONGEST_WAIT = 30, 200
SOON = 50  # frames: when the clip brings a blink so soon, none is laid over
# Share of the first and the last frame: open eyes of another moment may look elsewhere.
EDGE = 0.3
NEAREST = 3  # runs of the pose that is nearest, of which chance takes one


@dataclass(slots=True)
class BlinkState:
    """What one session carries.

    Attributes:
        since: ticks since a blink began; due: ticks after which the next one may.
        shut: whether the frame that was shown last is one of the clip's blinks.
        run: which of the clip's blinks is laid over, -1 for none; at: frames of it shown.
    """

    since: int
    due: int
    shut: bool = False
    run: int = -1
    at: int = 0


class Blinks:
    """The rules for one person; they hold nothing of a session.

    Args:
        runs: int32[B, 2], first and last frame of every blink of the clip, in order.
        pose: f32[N, 3, 4], of its frames.

    Raises:
        PersonFileError: the runs are not such.
    """

    def __init__(self, runs: I32, pose: F32) -> None:
        count = len(pose)
        if runs.ndim != 2 or runs.shape[1] != 2 or len(runs) > MOST:
            raise PersonFileError(f"The person's blinks must be at most {MOST} pairs of frames.")
        length = runs[:, 1] - runs[:, 0] + 1
        if len(runs) and not (
            0 <= runs.min() <= runs.max() < count
            and 3 <= length.min() <= length.max() <= LONGEST
            and (runs[1:, 0] > runs[:-1, 1]).all()
        ):
            raise PersonFileError("The person's blinks are not stretches of the clip, in order.")
        self.runs = runs
        self._in = np.zeros(count, np.bool_)
        # Frames from each frame to the next blink that begins there or later.
        self.ahead = np.full(count, 1 << 20, np.int64)
        for first, last in runs.tolist():
            self._in[first : last + 1] = True
        for first in runs[::-1, 0].tolist():
            self.ahead[: first + 1] = first - np.arange(first + 1)
        self._turn = pose[:, :2, 2] / np.linalg.norm(pose[:, :1, :3], axis=2)
        self._turns = np.array([self._turn[a : b + 1].mean(axis=0) for a, b in runs.tolist()])

    def initial_state(self, random: np.random.Generator) -> BlinkState:
        """Return a state that is on its way from one blink to the next."""
        state = BlinkState(0, _wait(random))
        state.since = int(random.integers(state.due))
        return state

    def step(
        self, state: BlinkState, random: np.random.Generator, frame: int, to_next: int
    ) -> tuple[int, float] | None:
        """Return the frame whose eyes are laid over, and their share, or None.

        Args:
            state: changed in place.
            random: of the session.
            frame: of the clip, shown now.
            to_next: frames until the clip brings a blink.
        """
        state.since += 1
        shut = bool(self._in[frame])
        if shut and not state.shut:
            state.since, state.due = 0, _wait(random)
        state.shut = shut
        if state.run < 0:
            if not len(self.runs) or shut or state.since < state.due or to_next < SOON:
                return None
            apart = np.square(self._turns - self._turn[frame]).sum(axis=1)
            near = np.argsort(apart, kind="stable")[:NEAREST]
            state.run, state.at = int(near[random.integers(len(near))]), 0
            state.since, state.due = 0, _wait(random)
        first, last = self.runs[state.run].tolist()
        shown = first + state.at
        share = EDGE if shown in (first, last) else 1.0
        state.at += 1
        if shown == last:
            state.run = -1
        return shown, share


def _wait(random: np.random.Generator) -> int:
    value = random.lognormal(math.log(MEAN) - SPREAD**2 / 2.0, SPREAD)
    return int(min(max(value, SHORTEST), LONGEST_WAIT))
