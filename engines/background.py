"""Operation `walk@2`: the person's own frames, decoded from H.264 as the walk comes to them.

The video has short closed groups of pictures, so that any frame is a few decodes away. Decoded
groups are kept within a budget of bytes, shared by all sessions of the person; in every tick up to
two pictures are decoded ahead for each session, so that no tick waits for a whole group. Eyes that
blink are few and small: they are cut out when the person is loaded.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from visavis.engines.bearing import Hold, held
from visavis.engines.errors import EngineError, PersonFileError
from visavis.engines.walk import Cue, FrameChoice, Walk, WalkState
from visavis.engines.warp import EyePatch, HeadWarp

__all__ = ["Background", "Clip"]

U8 = NDArray[np.uint8]

BUDGET_BYTES = 256 << 20
AHEAD = 28  # ticks
A_TICK = 2  # pictures that are decoded ahead: a jump shows two places at once


class _Group:
    """One group of pictures, decoded packet by packet."""

    def __init__(self, packets: list[bytes], extradata: bytes) -> None:
        self.frames: list[U8] = []
        self.length = len(packets)
        self._packets = packets
        context = av.CodecContext.create("h264", "r")
        context.extradata = extradata
        context.thread_count = 1
        self._context: Any = context
        self._fed = 0

    def decode_to(self, count: int) -> None:
        """Decode until there are `count` pictures, or all."""
        while len(self.frames) < min(count, self.length) and self._context is not None:
            if self._fed < self.length:
                pictures = self._context.decode(av.Packet(self._packets[self._fed]))
                self._fed += 1
            else:
                pictures = self._context.decode(None)
                self._context = None  # its buffers are as large as several pictures
            self.frames += [picture.to_ndarray(format="yuv420p") for picture in pictures]
        if len(self.frames) >= self.length:
            self._context = None


class Clip:
    """Frames of a video in memory, by index. Several threads may use it.

    Args:
        data: an mp4 with one H.264 stream: yuv420p, closed groups of pictures, no reordering.
        budget: bytes of decoded pictures that are kept; at least two groups are.

    Raises:
        PersonFileError: it is something else.
    """

    def __init__(self, data: bytes, *, budget: int = BUDGET_BYTES) -> None:
        self._groups: list[list[bytes]] = []
        self._starts: list[int] = []
        try:
            with av.open(io.BytesIO(data), "r", format="mp4") as container:
                stream = container.streams.video[0]
                self.width, self.height = stream.codec_context.width, stream.codec_context.height
                self._extradata = stream.codec_context.extradata or b""
                for packet in container.demux(stream):
                    if not packet.size:
                        continue
                    if packet.is_keyframe:
                        self._starts.append(sum(map(len, self._groups)))
                        self._groups.append([])
                    self._groups[-1].append(bytes(packet))
        except (FFmpegError, IndexError) as error:
            raise PersonFileError(f"The person's video cannot be read: {error}.") from None
        self._where = [
            (group, offset)
            for group, packets in enumerate(self._groups)
            for offset in range(len(packets))
        ]
        longest = max(map(len, self._groups), default=1)
        self._kept_groups = max(2, budget // (self.width * self.height * 3 // 2 * longest))
        self._cache: OrderedDict[int, _Group] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._where)

    def frame(self, index: int) -> U8:
        """Return uint8[H*3/2, W], read-only, shared by all who ask.

        Raises:
            EngineError: the picture cannot be decoded.
        """
        group, offset = self._where[index]
        with self._lock:
            pictures = self._decode(group, offset + 1)
        if offset >= len(pictures):
            raise EngineError(f"Frame {index} of the person's video cannot be decoded.")
        return pictures[offset]

    def forget(self) -> None:
        """Give back the memory of decoded pictures."""
        with self._lock:
            self._cache.clear()

    def prepare(self, indices: list[int]) -> bool:
        """Decode one picture: the first of `indices` that is not there, or what it needs first.

        Returns whether there was one to decode.
        """
        with self._lock:
            for index in indices:
                group, offset = self._where[index]
                cached = self._cache.get(group)
                done = 0 if cached is None else len(cached.frames)
                if offset >= done:
                    self._decode(group, done + 1)
                    return True
        return False

    def _decode(self, group: int, count: int) -> list[U8]:
        cached = self._cache.get(group)
        if cached is None:
            cached = self._cache[group] = _Group(self._groups[group], self._extradata)
            while len(self._cache) > self._kept_groups:
                self._cache.popitem(last=False)
        self._cache.move_to_end(group)
        try:
            cached.decode_to(count)
        except FFmpegError as error:
            raise EngineError(f"The person's video cannot be decoded: {error}.") from None
        return cached.frames


class Background:
    """The stage: what `walk` chooses, as pictures whose heads are where it wants them.

    Args:
        params: of `walk.Walk` and `warp.HeadWarp`; "budget_bytes" for decoded pictures, 256 MiB
            where it is not given.
        parts: of `walk.Walk` and `warp.HeadWarp`; video, mp4.

    Attributes:
        walk: which frame comes next.
        eyes: of each frame in which the person blinks.

    Raises:
        PersonFileError: the parts do not fit together.
        EngineError: the video cannot be decoded.
    """

    def __init__(self, params: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        self._clip = Clip(parts["video"], budget=int(params.get("budget_bytes", BUDGET_BYTES)))
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
        return self._clip.prepare(self.walk.upcoming(state, AHEAD))

    def rest(self) -> None:
        """Give back the memory of decoded pictures."""
        self._clip.forget()

    def step(self, state: WalkState, cue: Cue) -> FrameChoice:
        """Choose what is shown next and decode ahead; `state` changes in place."""
        choice = self.walk.step(state, cue)
        planned = [*choice.frames, *self.walk.upcoming(state, AHEAD)]
        for _ in range(A_TICK):
            self._clip.prepare(planned)
        return choice

    def picture(self, choice: FrameChoice) -> U8:
        """Return what was chosen as a fresh I420 array, uint8[H*3/2, W]."""
        shown = [
            self._warp.warp(
                self._clip.frame(index), self.walk.pose[index], choice.pose, choice.breath
            )
            for index in choice.frames
        ]
        picture = shown[0]
        if len(shown) > 1:
            picture = self._warp.mix(picture, shown[1], choice.share)
        if choice.eyes is not None:
            index, share = choice.eyes
            self._warp.paste(picture, self.eyes[index], choice.pose, share)
        return picture
