"""Operation `footage@1`: the person's own frames, forth and back, as a published system shows them.

Nothing is warped: what a frame is, where the face's crop lies in it, and how the head is posed were
found when the person was imported. One frame is enough; then it is a still.

The head is the footage's `own`, or `still`: the frame that is shown stays; `generated`: the
footage goes, a frame a tick, towards the frame whose pose is nearest to what the motion asks for,
so that the picture never jumps (a still takes the pose itself); `driven`: poses of a track, forth
and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.clip import BUDGET_BYTES, Clip, matte_clip
from visavis.engines.controls import Controls
from visavis.engines.errors import EngineError, PersonFileError
from visavis.engines.walk import Cue

__all__ = ["Footage", "FootageChoice", "FootageState"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

AHEAD = 28  # ticks
_PARAMS = {"follow", "budget_bytes", "width", "height"}


@dataclass(frozen=True, slots=True)
class FootageChoice:
    """What stands behind the face in one tick.

    Attributes:
        index: of the frame.
        pose: f32[R], the numbers by which the system poses a head.
        place: f32[2, 3], from (x, y, 1) in the crop to the frame, pixels, centres at integers.
    """

    index: int
    pose: F32
    place: F32


@dataclass(slots=True)
class FootageState:
    """Where a session is.

    Attributes:
        tick: that comes next, of the way forth and back.
        index: frame that was shown last.
        track: place on the track of poses, when the head is driven.
        head: see the module; None is `own`.
        matte: it is shown with alpha.
    """

    tick: int = 0
    index: int = 0
    track: int = 0
    head: str | None = None
    matte: bool = False


class Footage:
    """The stage; it holds nothing of a session.

    Args:
        params: `follow`, [first, after the last] of the coefficients that are wanted of the first
            numbers of a pose;
            `budget_bytes` of decoded pictures, 256 MiB where it is not given.
        parts: video, mp4 of T frames; pose f32[T, R]; place f32[T, 2, 3]; track f32[U, R],
            optional.
        matte: as for `background.Background`.

    Raises:
        PersonFileError: the parts do not fit together.
    """

    def __init__(
        self, params: Mapping[str, Any], parts: Mapping[str, Any], matte: bytes | None = None
    ) -> None:
        if unknown := sorted(params.keys() - _PARAMS):
            raise PersonFileError(f"footage@1 has no parameter {', '.join(unknown)}.")
        budget = int(params.get("budget_bytes", BUDGET_BYTES))
        self._clip = Clip(parts["video"], budget=budget)
        self._matte = None if matte is None else matte_clip(matte, self._clip, budget)
        self._pose: F32 = np.ascontiguousarray(parts["pose"], np.float32)
        self._place: F32 = np.ascontiguousarray(parts["place"], np.float32)
        frames = len(self._clip)
        if not frames or self._pose.ndim != 2 or self._place.shape[1:] != (2, 3):
            raise PersonFileError("Footage has a pose [T, R] and a place [T, 2, 3] of each frame.")
        if len(self._pose) != frames or len(self._place) != frames:
            raise PersonFileError(
                f"The person has {len(self._pose)} poses and {len(self._place)} places for "
                f"{frames} frames."
            )
        track = parts.get("track")
        self._track: F32 | None = None if track is None else np.ascontiguousarray(track, np.float32)
        if self._track is not None and (
            self._track.ndim != 2 or self._track.shape[1] != self._pose.shape[1]
        ):
            raise PersonFileError(f"The track of poses is {self._track.shape}, not of such poses.")
        follow = params.get("follow")
        self._follow = None if follow is None else slice(int(follow[0]), int(follow[1]))
        if self._follow is not None:
            count = self._follow.stop - self._follow.start
            if not 0 < count <= self._pose.shape[1]:
                raise PersonFileError("What footage@1 follows has more numbers than a pose.")
            # Numbers of different units count by how much they vary in the footage.
            self._scale = 1.0 / np.maximum(self._pose[:, :count].std(0), 1e-3)

    @property
    def heads(self) -> tuple[str, ...]:
        """What a session may ask for."""
        return (
            "own",
            "still",
            *(["generated"] if self._follow is not None else []),
            *(["driven"] if self._track is not None else []),
        )

    def warm_up(self) -> None:
        """Nothing compiles here."""

    def initial_state(self, seed: int | None) -> FootageState:
        """Return a session's state: everybody begins at the first frame, as the originals do."""
        return FootageState()

    def apply(self, state: FootageState, controls: Controls) -> None:
        """Take the head from where it is asked to come; have the matte decoded, or not."""
        state.matte = controls.matte
        if controls.head is not None and controls.head in self.heads:
            state.head = controls.head

    def look_ahead(self, state: FootageState) -> bool:
        """Decode one picture of those that come next; False where all of them are there."""
        return self._clip.prepare(self._upcoming(state)) or self._prepare_matte(
            state, self._upcoming(state)
        )

    def rest(self) -> None:
        """Give back the memory of decoded pictures."""
        self._clip.forget()
        if self._matte is not None:
            self._matte.forget()

    def step(self, state: FootageState, cue: Cue) -> FootageChoice:
        """Choose what is shown next; `state` changes in place."""
        wanted = None
        if state.head == "generated" and cue.coefficients is not None:
            wanted = cue.coefficients[self._follow]
            state.index = self._towards(state.index, wanted)
        elif state.head in (None, "own", "driven"):
            state.index = forth_and_back(state.tick, len(self._clip))
            state.tick += 1
        pose = self._pose[state.index]
        if state.head == "driven" and self._track is not None:
            pose = self._track[forth_and_back(state.track, len(self._track))]
            state.track += 1
        elif wanted is not None and len(self._clip) == 1:
            pose = np.concatenate((wanted, pose[len(wanted) :]))
        planned = [state.index, *self._upcoming(state)]
        self._clip.prepare(planned)
        self._prepare_matte(state, planned)
        return FootageChoice(state.index, pose, self._place[state.index])

    def picture(self, choice: FootageChoice) -> U8:
        """Return the frame as a fresh I420 array, uint8[H*3/2, W]."""
        return self._clip.frame(choice.index).copy()

    def alpha(self, choice: FootageChoice) -> U8:
        """Return how much of the frame is the person, fresh, uint8[H, W].

        Raises:
            EngineError: the person has no matte, or it cannot be decoded.
        """
        if self._matte is None:
            raise EngineError("This person has no matte.")
        return self._matte.frame(choice.index).copy()

    def picture_and_alpha(self, choice: FootageChoice) -> tuple[U8, U8]:
        """Return both."""
        return self.picture(choice), self.alpha(choice)

    def _prepare_matte(self, state: FootageState, planned: list[int]) -> bool:
        return state.matte and self._matte is not None and self._matte.prepare(planned)

    def _upcoming(self, state: FootageState) -> list[int]:
        if state.head not in (None, "own", "driven"):
            return [state.index]
        return [forth_and_back(state.tick + n, len(self._clip)) for n in range(AHEAD)]

    def _towards(self, index: int, wanted: F32) -> int:
        """The neighbour that leads to the frame of the nearest pose, or that frame."""
        distance = (np.abs(self._pose[:, : len(wanted)] - wanted) * self._scale).sum(1)
        nearest = int(distance.argmin())
        return index + int(np.sign(nearest - index))


def forth_and_back(tick: int, frames: int) -> int:
    """Return which of `frames` is shown: 0, 1 ... last, last, ... 1, 0, 0, 1 ..."""
    place = tick % (2 * frames)
    return min(place, 2 * frames - 1 - place)
