"""Which of the person's own frames is shown next, and how the head is held in it.

The clip always runs forward, at its own speed or slower. Now and then the walk leaves it for
another place that looks alike (A. Schödl et al., "Video textures", SIGGRAPH 2000): over half a
second both places are carried to a pose that goes from one to the other, and the pictures are
mixed. Where that can be done unseen was found when the person was built. A jump is planned well
before it happens, so that its pictures can be decoded ahead.

The pose that is wanted is that of the clip, between frames too, and what `bearing` adds to it;
`warp` carries the frame there.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.bearing import Bearing, BearingState, held
from visavis.engines.blinks import Blinks, BlinkState
from visavis.engines.errors import PersonFileError

__all__ = ["LEAD", "Cue", "FrameChoice", "Manner", "Walk", "WalkState"]

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

SPEECH = 0.5  # above which somebody speaks
# Ticks for which somebody must speak, or be silent, before the person does something else.
BEGINS, ENDS = 8, 30
LEAD = 16  # ticks at least between the plan of a jump and the jump: time to decode what follows it
SOONEST, LATEST = 30, 120  # frames that the clip runs on before a jump
LONGEST_BLEND = 50
REMEMBERED = 1500.0  # ticks after which a place that was shown counts as new
# Frames of the clip a tick: bounds of where the speed drifts to, by whether the person speaks; how
# often it drifts elsewhere, and how fast, a tick.
SPEEDS = {False: (0.6, 0.88), True: (0.86, 1.0)}
TURNS, DRIFT = 0.015, 0.04
# Of a jump, from where to where the pictures are mixed; the pose takes all of it.
MIX_FROM, MIX_TO = 0.25, 0.75
# A jump's score is its cost, 1 where it is just not seen, and these.
UNREST_WEIGHT = 2.0
REPEAT_WEIGHT = 8.0
TEMPERATURE = 0.25


class Manner(enum.Enum):
    """What the person does. Idle is to listen for long."""

    LISTENING = "listening"
    SPEAKING = "speaking"


@dataclass(frozen=True, slots=True)
class Cue:
    """What is heard in one tick.

    Attributes:
        speech: 0 to 1.
        stress: 0 to 1, how strong a stressed syllable is; see `stress.listen`.
        cleared: what was to be said has been taken back.
        coefficients: f32[C], what the motion asks for.
    """

    speech: float = 0.0
    stress: float = 0.0
    cleared: bool = False
    coefficients: F32 | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """What stands behind the mouth in one tick.

    Attributes:
        frames: one frame of the clip, or two that are mixed.
        share: of the second frame, 0 to 1.
        pose: f32[3, 4], head space to pixels: where the head is shown, all frames warped to it.
        origin: left and top of the crop in pixels, both even.
        breath: pixels that the torso is raised.
        eyes: a frame of the clip whose eyes are laid over, and their share; or None.
    """

    frames: tuple[int, ...]
    share: float
    pose: F32
    origin: tuple[int, int]
    breath: float = 0.0
    eyes: tuple[int, float] | None = None


@dataclass(slots=True)
class WalkState:
    """Where a session's walk is.

    Attributes:
        place: in the clip, frames, between them too; while blending, of the place that is left.
        speed: frames a tick; target: where it drifts to.
        jump: the planned or current jump, (last frame before it, frame it goes to).
        opposed: ticks for which speech has been other than the manner.
        manner: what the walk is planned for.
        tick: ticks so far.
        shown: f32[N], tick at which each frame was shown last.
        matte: it is shown with alpha, which is then decoded ahead as the pictures are.
    """

    random: np.random.Generator
    place: float
    speed: float
    target: float
    jump: tuple[int, int]
    opposed: int
    manner: Manner
    tick: int
    shown: F32
    bearing: BearingState
    blinks: BlinkState
    matte: bool = False


class Walk:
    """The walk of one person. It holds nothing of a session.

    Args:
        params: "blend", frames that a jump takes; "size", S of the crop; "anchor", the point of
            head space, three numbers, that is kept in the middle of the crop; "width", "height"
            of the frame; and those of `bearing.Bearing`.
        parts: pose f32[N, 3, 4]; jumps int32[J, 2], (from, to): frame `from + k` looks like
            `to + k` for k = 0..blend; costs f32[J]; unrest f32[N], 0 where the person is calm
            and looks ahead; blinks int32[B, 2], see `blinks.Blinks`.

    Attributes:
        pose: f32[N, 3, 4].
        blinks: the rules of the person's blinks.

    Raises:
        PersonFileError: the parts do not fit together, or the walk could come to the clip's end.
    """

    def __init__(self, params: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        self.pose: F32 = np.ascontiguousarray(parts["pose"], np.float32)
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
        if not (np.linalg.det(self.pose[:, :, :3].astype(np.float64)) > 1.0).all():
            raise PersonFileError("The person's poses are not those of a head.")
        if not 1 <= self._blend <= LONGEST_BLEND:
            raise PersonFileError(f"A jump must take 1 to {LONGEST_BLEND} frames.")
        if self._jumps.shape != (len(self._costs), 2) or not len(self._jumps):
            raise PersonFileError("The person's clip has no places to jump between.")
        if self._jumps.min() < 0 or self._jumps.max() + self._blend >= count:
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
            if self._origin(pose) != self._middle(pose):
                raise PersonFileError("The person's face is too near to the border of the frame.")
        self.blinks = Blinks(parts["blinks"], self.pose)
        self._bearing = Bearing(params)

    def initial_state(self, seed: int | None) -> WalkState:
        """Return a state that begins at a calm frame.

        Args:
            seed: equal seeds and equal cues give equal walks; a random one where None.
        """
        random = np.random.default_rng(seed)
        frame = int(self._starts[random.integers(len(self._starts))])
        speed = float(random.uniform(*SPEEDS[False]))
        state = WalkState(
            random=random,
            place=float(frame) - speed,
            speed=speed,
            target=speed,
            jump=(0, 0),
            opposed=0,
            manner=Manner.LISTENING,
            tick=0,
            shown=np.full(len(self.pose), -np.inf, np.float32),
            bearing=self._bearing.initial_state(random),
            blinks=self.blinks.initial_state(random),
        )
        self._plan(state)
        return state

    def step(self, state: WalkState, cue: Cue) -> FrameChoice:
        """Choose what is shown next; `state` changes in place."""
        state.tick += 1
        self._behave(state, cue)
        self._advance(state)
        leave, enter = state.jump
        frame = _nearest(state.place)
        hold = self._bearing.step(
            state.bearing, state.random, state.manner is Manner.SPEAKING, cue.stress
        )
        if state.place > leave:
            offset = state.place - leave
            part = offset / self._blend
            frames: tuple[int, ...] = (frame, _nearest(enter + offset))
            share = _smooth((part - MIX_FROM) / (MIX_TO - MIX_FROM))
            pose = self._between(state.place)
            pose = pose + np.float32(_smooth(part)) * (self._between(enter + offset) - pose)
            if share in (0.0, 1.0):
                frames, share = (frames[int(share)],), 0.0
        else:
            frames, share, pose = (frame,), 0.0, self._between(state.place)
        state.shown[list(frames)] = state.tick
        eyes = self.blinks.step(
            state.blinks, state.random, frames[-1], self._to_blink(state, frames[-1])
        )
        iod = float(np.linalg.norm(pose[0, :3]))
        pose = held(pose, hold)
        return FrameChoice(frames, share, pose, self._origin(pose), hold.breath * iod, eyes)

    def upcoming(self, state: WalkState, count: int) -> list[int]:
        """Return the frames of the next `count` ticks and more, in the order of the plan."""
        return list(dict.fromkeys(itertools.islice(self._planned(state), count)))

    def _behave(self, state: WalkState, cue: Cue) -> None:
        """Take up or leave off speaking, once that is sure; drift in speed."""
        speaking = state.manner is Manner.SPEAKING
        state.opposed = state.opposed + 1 if (cue.speech > SPEECH) != speaking else 0
        stops = cue.cleared and speaking
        if stops or state.opposed >= (ENDS if speaking else BEGINS):
            state.manner = Manner.LISTENING if speaking else Manner.SPEAKING
            state.opposed = 0
            if state.jump[0] - state.place > LEAD:
                self._plan(state)
        low, high = SPEEDS[state.manner is Manner.SPEAKING]
        chance, target = state.random.random(2).tolist()
        if chance < TURNS or not low <= state.target <= high:
            state.target = low + (high - low) * target
        state.speed += DRIFT * (state.target - state.speed)

    def _advance(self, state: WalkState) -> None:
        leave, enter = state.jump
        state.place += state.speed
        if state.place >= leave + self._blend:
            state.place += enter - leave
            self._plan(state)

    def _planned(self, state: WalkState) -> Iterator[int]:
        leave, enter = state.jump
        frame = _nearest(state.place)
        yield from range(frame, leave + 1)
        for offset in range(max(0, frame - leave), self._blend + 1):
            yield leave + offset
            yield enter + offset
        yield from range(enter + self._blend, len(self.pose))

    def _plan(self, state: WalkState) -> None:
        """Choose the next jump: one that is hardly seen, to where the person does what is wanted
        and has not been for long."""
        place = int(state.place) + 1
        wait = self._jumps[:, 0] - place
        near = np.flatnonzero((wait >= SOONEST) & (wait <= LATEST))
        if not len(near):
            possible = np.flatnonzero(wait >= min(LEAD - 1, int(wait.max())))
            near = possible[np.argsort(wait[possible], kind="stable")[:16]]
        ahead = self._jumps[near, 1][None] + np.arange(0, 51, 10)[:, None]
        ahead = np.minimum(ahead, len(self.pose) - 1)
        ages = state.tick - state.shown[ahead]
        # What will be shown before the jump is not new after it.
        ages[(ahead >= place) & (ahead <= self._jumps[near, 0] + self._blend)] = 0.0
        repeat = np.clip(1.0 - ages / REMEMBERED, 0.0, 1.0).mean(axis=0)
        calm = state.manner is Manner.LISTENING
        unrest = self._unrest[near] if calm else 1.0 - self._unrest[near]
        score = self._costs[near] + UNREST_WEIGHT * unrest + REPEAT_WEIGHT * repeat
        weight = np.exp((score.min() - score) / TEMPERATURE)
        chosen = near[state.random.choice(len(near), p=weight / weight.sum())]
        state.jump = int(self._jumps[chosen, 0]), int(self._jumps[chosen, 1])

    def _to_blink(self, state: WalkState, frame: int) -> int:
        """Return how many frames there are until the walk brings a blink."""
        leave, enter = state.jump
        if state.place > leave:
            frame = max(frame, enter)
            return int(self.blinks.ahead[min(frame, len(self.pose) - 1)])
        here = int(self.blinks.ahead[frame])
        middle = self._blend // 2
        if here <= leave + middle - frame:
            return here
        return leave - frame + middle + int(self.blinks.ahead[enter + middle])

    def _between(self, place: float) -> F32:
        """Return the clip's pose at a place between frames."""
        first = min(max(int(place), 0), len(self.pose) - 2)
        part = np.float32(min(max(place - first, 0.0), 1.0))
        pose: F32 = self.pose[first] + part * (self.pose[first + 1] - self.pose[first])
        return pose

    def _middle(self, pose: F32) -> tuple[int, int]:
        """Return the crop's left and top: even, so that chroma is cut where its samples are."""
        x, y = (pose[:2] @ self._anchor).tolist()
        half = self._size // 2
        return 2 * round((x - half) / 2), 2 * round((y - half) / 2)

    def _origin(self, pose: F32) -> tuple[int, int]:
        """Return the same, inside the frame however the head is held."""
        left, top = self._middle(pose)
        width, height = self._limits
        return (
            min(max(left, 0), (width - self._size) // 2 * 2),
            min(max(top, 0), (height - self._size) // 2 * 2),
        )


def _nearest(place: float) -> int:
    return int(place + 0.5)


def _smooth(part: float) -> float:
    part = min(max(part, 0.0), 1.0)
    return part * part * (3.0 - 2.0 * part)
