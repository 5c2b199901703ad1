"""Operation `walk@2`: the frames that the walk comes to, with their heads where it wants them.

In every tick up to two pictures are decoded ahead for each session, so that no tick waits for a
whole group. Eyes that blink are few and small: they are cut out when the person is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.bearing import Hold, held
from visavis.engines.clip import BUDGET_BYTES, Clip, matte_clip
from visavis.engines.controls import Controls
from visavis.engines.errors import EngineError, PersonFileError
from visavis.engines.walk import Cue, FrameChoice, Walk, WalkState
from visavis.engines.warp import EyePatch, HeadWarp

__all__ = ["Background"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

AHEAD = 28  # ticks
A_TICK = 2  # pictures that are decoded ahead: a jump shows two places at once


class Background:
    """The stage: what `walk` chooses, as pictures whose heads are where it wants them.

    Args:
        params: of `walk.Walk` and `warp.HeadWarp`; "budget_bytes" for decoded pictures, 256 MiB
            where it is not given.
        parts: of `walk.Walk` and `warp.HeadWarp`; video, mp4.
        matte: mp4, how much of each pixel of the video is the person; None where nobody knows.

    Attributes:
        walk: which frame comes next.
        eyes: of each frame in which the person blinks.

    Raises:
        PersonFileError: the parts do not fit together.
        EngineError: the video cannot be decoded.
    """

    def __init__(
        self, params: Mapping[str, Any], parts: Mapping[str, Any], matte: bytes | None = None
    ) -> None:
        budget = int(params.get("budget_bytes", BUDGET_BYTES))
        self._clip = Clip(parts["video"], budget=budget)
        self._matte = None if matte is None else matte_clip(matte, self._clip, budget)
        sized = {**params, "width": self._clip.width, "height": self._clip.height}
        self.walk = Walk(sized, parts)
        self._warp = HeadWarp(sized, parts)
        pose = self.walk.pose
        if len(self._clip) != len(pose):
            raise PersonFileError(f"The person has {len(pose)} poses for {len(self._clip)} frames.")
        self.eyes: dict[int, EyePatch] = {
            index: self._warp.cut(self._clip.frame(index), pose[index])
            for first, last in self.walk.blinks.runs.tolist()
            for index in range(first, last + 1)
        }

    def warm_up(self) -> None:
        """Run all that a picture may need once, so that nothing compiles later."""
        state = self.initial_state(0)
        choice = self.step(state, Cue())
        pose = held(choice.pose, Hold(yaw=1.0, x=0.02))
        eyes = next(((index, 0.5) for index in self.eyes), None)
        self.picture(FrameChoice(choice.frames * 2, 0.5, pose, choice.origin, 1.0, eyes))

    def initial_state(self, seed: int | None) -> WalkState:
        """Return the state of a session that begins; see `walk.Walk.initial_state`."""
        return self.walk.initial_state(seed)

    def look_ahead(self, state: WalkState) -> bool:
        """Decode one picture of those that come next; False where all of them are there."""
        planned = self.walk.upcoming(state, AHEAD)
        return self._clip.prepare(planned) or self._prepare_matte(state, planned)

    def apply(self, state: WalkState, controls: Controls) -> None:
        """Have the matte decoded, or not."""
        state.matte = controls.matte

    def rest(self) -> None:
        """Give back the memory of decoded pictures."""
        self._clip.forget()
        if self._matte is not None:
            self._matte.forget()

    def step(self, state: WalkState, cue: Cue) -> FrameChoice:
        """Choose what is shown next and decode ahead; `state` changes in place."""
        choice = self.walk.step(state, cue)
        planned = [*choice.frames, *self.walk.upcoming(state, AHEAD)]
        for _ in range(A_TICK):
            self._clip.prepare(planned)
            self._prepare_matte(state, planned)
        return choice

    def step_matte(self, state: WalkState, cue: Cue) -> FrameChoice:
        """As `step`, for who has the pictures elsewhere: only the matte is decoded ahead."""
        choice = self.walk.step(state, cue)
        if state.matte:
            planned = [*choice.frames, *self.walk.upcoming(state, AHEAD)]
            for _ in range(A_TICK):
                self._prepare_matte(state, planned)
        return choice

    def picture(self, choice: FrameChoice) -> U8:
        """Return what was chosen as a fresh I420 array, uint8[H*3/2, W]."""
        shown = [
            self._warp.warp(self._clip.frame(index), *self._way(index, choice))
            for index in choice.frames
        ]
        return self._with_eyes(self._mixed(shown, choice), choice)

    def alpha(self, choice: FrameChoice) -> U8:
        """Return how much of what was chosen is the person, fresh, uint8[H, W].

        Raises:
            EngineError: the person has no matte, or it cannot be decoded.
        """
        matte = self._require_matte()
        shown = [
            self._warp.warp_matte(matte.frame(index), *self._way(index, choice))
            for index in choice.frames
        ]
        return self._mixed(shown, choice)

    def picture_and_alpha(self, choice: FrameChoice) -> tuple[U8, U8]:
        """Return both, as one after the other would; where pixels go is worked out once."""
        matte = self._require_matte()
        shown = [
            self._warp.warp_both(
                self._clip.frame(index), matte.frame(index), *self._way(index, choice)
            )
            for index in choice.frames
        ]
        pictures, mattes = zip(*shown, strict=True)
        return self._with_eyes(self._mixed(pictures, choice), choice), self._mixed(mattes, choice)

    def _way(self, index: int, choice: FrameChoice) -> tuple[F32, F32, float]:
        """Return from which pose to which a frame's head goes, and the breath."""
        return self.walk.pose[index], choice.pose, choice.breath

    def _mixed(self, shown: Sequence[U8], choice: FrameChoice) -> U8:
        return shown[0] if len(shown) == 1 else self._warp.mix(shown[0], shown[1], choice.share)

    def _with_eyes(self, picture: U8, choice: FrameChoice) -> U8:
        if choice.eyes is not None:
            index, share = choice.eyes
            self._warp.paste(picture, self.eyes[index], choice.pose, share)
        return picture

    def _require_matte(self) -> Clip:
        if self._matte is None:
            raise EngineError("This person has no matte.")
        return self._matte

    def _prepare_matte(self, state: WalkState, planned: list[int]) -> bool:
        return state.matte and self._matte is not None and self._matte.prepare(planned)
