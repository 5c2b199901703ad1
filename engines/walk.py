"""Which of the person's own frames is shown next: head motion and blinks, listening and speaking.

The clip always runs forward. Now and then the walk leaves it for another place that looks alike (A.
Schödl et al., "Video textures", SIGGRAPH 2000), and for a few frames both are blended. Where that
can be done unseen was found when the person was built. A jump is planned well before it happens, so
that its pictures can be decoded ahead.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError

__all__ = ["FrameChoice", "Walk", "WalkState"]

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

SPEAKING = 0.5  # speech above which somebody speaks
PATIENCE = 10  # ticks for which that must last before the walk takes another way
LEAD = 16  # ticks between the plan of a jump and the jump: time to decode what follows it
SOONEST, LATEST = 30, 120  # frames that the clip runs on before a jump
REMEMBERED = 600.0  # ticks after which a place that was shown counts as new
# A jump's score is its cost, 1 where it is just not seen, and these.
UNREST_WEIGHT = 2.0
REPEAT_WEIGHT = 6.0
TEMPERATURE = 0.25


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """What stands behind the mouth in one tick.

    Attributes:
        frames: one frame of the clip, or two that are mixed.
        share: of the second frame, 0 to 1.
        pose: f32[3, 4], head space to pixels of the frame.
        origin: left and top of the crop in pixels, both even.
    """

    frames: tuple[int, ...]
    share: float
    pose: F32
    origin: tuple[int, int]


@dataclass(slots=True)
class WalkState:
    """Where a session's walk is.

    Attributes:
        frame: shown last; while blending, of the place that is left.
        jump: the planned or current jump, (last frame before it, frame it goes to).
        blended: frames of the blend that were shown; 0 while there is none.
        opposed: ticks for which speech has been other than what the walk was planned for.
        speaking: what it was planned for.
        tick: ticks so far.
        shown: f32[N], tick at which each frame was shown last.
    """

    random: np.random.Generator
    frame: int
    jump: tuple[int, int]
    blended: int
    opposed: int
    speaking: bool
    tick: int
    shown: F32


class Walk:
    """The walk of one person. It holds nothing of a session.

    Args:
        params: "blend", frames that a jump takes; "size", S of the crop; "anchor", the point of
            head space, three numbers, that is kept in the middle of the crop; "width", "height"
            of the frame.
        parts: pose f32[N, 3, 4]; jumps int32[J, 2], (from, to): frame `from + k` looks like
            `to + k` for k = 0..blend; costs f32[J]; unrest f32[N], 0 where the person is calm.

    Raises:
        PersonFileError: the parts do not fit together, or the walk could come to the clip's end.
    """

    def __init__(self, params: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        self.pose: F32 = parts["pose"]
        self._jumps: I32 = parts["jumps"]
        self._costs: F32 = parts["costs"]
        self._blend = int(params["blend"])
        self._size = int(params["size"])
        self._limits = int(params["width"]), int(params["height"])
        self._anchor = np.array([*params["anchor"], 1.0], np.float32)
        unrest: F32 = parts["unrest"]
        count = len(self.pose)
        if self.pose.shape != (count, 3, 4) or unrest.shape != (count,):
            raise PersonFileError("The person's poses are not one for each frame.")
        if self._jumps.shape != (len(self._costs), 2) or not len(self._jumps):
            raise PersonFileError("The person's clip has no places to jump between.")
        if self._jumps.min() < 0 or self._jumps.max() + self._blend >= count or self._blend < 1:
            raise PersonFileError("The person's jumps lead out of the clip.")
        # From wherever a jump ends there must be a later jump.
        last = int(self._jumps[:, 0].max())
        landing = self._jumps[:, 1] + self._blend + LEAD
        if not (keep := landing <= last).any():
            raise PersonFileError("The person's jumps all end where no other begins.")
        self._jumps, self._costs = self._jumps[keep], self._costs[keep]
        landing = landing[keep]
        if int(self._jumps[:, 0].max()) < landing.max():
            raise PersonFileError("The person's jumps end where no other begins.")
        # What a jump leads to: the mean over the next two seconds.
        total = np.concatenate([[0.0], np.cumsum(unrest)])
        end = np.minimum(self._jumps[:, 1] + 50, count)
        self._unrest = (total[end] - total[self._jumps[:, 1]]) / (end - self._jumps[:, 1])
        calm = np.flatnonzero(unrest <= np.quantile(unrest, 0.25))
        self._starts = calm[calm + LEAD <= int(self._jumps[:, 0].max())]
        if not len(self._starts):
            self._starts = np.zeros(1, np.int64)
        for pose in self.pose:
            self._origin(pose)

    def initial_state(self, seed: int | None) -> WalkState:
        """Return a state that begins at a calm frame.

        Args:
            seed: equal seeds and equal speech give equal walks; a random one where None.
        """
        random = np.random.default_rng(seed)
        frame = int(self._starts[random.integers(len(self._starts))])
        shown = np.full(len(self.pose), -np.inf, np.float32)
        state = WalkState(random, frame - 1, (0, 0), 0, 0, False, 0, shown)
        self._plan(state)
        return state

    def step(self, state: WalkState, speech: float) -> FrameChoice:
        """Choose the next frame; `state` changes in place.

        Args:
            speech: 0 to 1, of this tick.
        """
        state.tick += 1
        state.opposed = state.opposed + 1 if (speech > SPEAKING) != state.speaking else 0
        if state.opposed >= PATIENCE and not state.blended:
            state.speaking = not state.speaking
            state.opposed = 0
            if state.jump[0] - state.frame > LEAD:
                self._plan(state)
        self._advance(state)
        if state.blended:
            offset = state.frame - state.jump[0]
            first, second = state.frame, state.jump[1] + offset
            part = offset / self._blend
            share = part * part * (3.0 - 2.0 * part)
            state.shown[[first, second]] = state.tick
            pose = self.pose[first] + np.float32(share) * (self.pose[second] - self.pose[first])
            return FrameChoice((first, second), share, pose, self._origin(pose))
        state.shown[state.frame] = state.tick
        pose = self.pose[state.frame]
        return FrameChoice((state.frame,), 0.0, pose, self._origin(pose))

    def upcoming(self, state: WalkState, count: int) -> list[int]:
        """Return the frames of the next `count` ticks as planned, the next one first."""
        return list(dict.fromkeys(itertools.islice(self._planned(state), count)))

    def _planned(self, state: WalkState) -> Iterator[int]:
        leave, enter = state.jump
        yield from range(state.frame + 1, leave + 1)
        for offset in range(max(1, state.frame - leave + 1), self._blend):
            yield leave + offset
            yield enter + offset
        yield from range(enter + self._blend, len(self.pose))

    def _advance(self, state: WalkState) -> None:
        leave, enter = state.jump
        state.frame += 1
        if state.frame <= leave:
            return
        state.blended = state.frame - leave
        if state.blended == self._blend:
            state.frame, state.blended = enter + self._blend, 0
            self._plan(state)

    def _plan(self, state: WalkState) -> None:
        """Choose the next jump: one that is hardly seen, to where the person does what is wanted
        and has not been for long."""
        wait = self._jumps[:, 0] - state.frame
        near = np.flatnonzero((wait >= SOONEST) & (wait <= LATEST))
        if not len(near):
            possible = np.flatnonzero(wait >= min(LEAD, int(wait.max())))
            near = possible[np.argsort(wait[possible], kind="stable")[:16]]
        ahead = self._jumps[near, 1][None] + np.arange(0, 51, 10)[:, None]
        ahead = np.minimum(ahead, len(self.pose) - 1)
        ages = state.tick - state.shown[ahead]
        # What will be shown before the jump is not new after it.
        ages[(ahead >= state.frame) & (ahead <= self._jumps[near, 0] + self._blend)] = 0.0
        repeat = np.clip(1.0 - ages / REMEMBERED, 0.0, 1.0).mean(axis=0)
        unrest = self._unrest[near] if not state.speaking else 1.0 - self._unrest[near]
        score = self._costs[near] + UNREST_WEIGHT * unrest + REPEAT_WEIGHT * repeat
        weight = np.exp((score.min() - score) / TEMPERATURE)
        chosen = near[state.random.choice(len(near), p=weight / weight.sum())]
        state.jump = int(self._jumps[chosen, 0]), int(self._jumps[chosen, 1])

    def _origin(self, pose: F32) -> tuple[int, int]:
        """Return the crop's left and top: even, so that chroma is cut where its samples are."""
        x, y = (pose[:2] @ self._anchor).tolist()
        half = self._size // 2
        left, top = 2 * round((x - half) / 2), 2 * round((y - half) / 2)
        width, height = self._limits
        if not (0 <= left <= width - self._size and 0 <= top <= height - self._size):
            raise PersonFileError("The person's face is too near to the border of the frame.")
        return left, top
