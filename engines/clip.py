"""Frames of the person's video, decoded from H.264 when they are asked for.

The video has short closed groups of pictures, so that any frame is a few decodes away. Decoded
groups are kept within a budget of bytes, shared by all sessions of the person.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from visavis.engines.errors import EngineError, PersonFileError

__all__ = ["BUDGET_BYTES", "Clip", "matte_clip"]

U8 = NDArray[np.uint8]

BUDGET_BYTES = 256 << 20


class _Group:
    """One group of pictures, decoded packet by packet."""

    def __init__(self, packets: list[bytes], extradata: bytes, take: Callable[[Any], U8]) -> None:
        self.frames: list[U8] = []
        self.length = len(packets)
        self._packets = packets
        self._take = take
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
            self.frames += [self._take(picture) for picture in pictures]
        if len(self.frames) >= self.length:
            self._context = None


def _i420(picture: Any) -> U8:
    """Return uint8[H*3/2, W] of a decoded picture."""
    i420: U8 = picture.to_ndarray(format="yuv420p")
    return i420


def _luma(picture: Any) -> U8:
    """Return uint8[H, W] of a decoded picture, as stored: its range is not looked at."""
    plane = picture.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return np.ascontiguousarray(rows[: picture.height, : picture.width])


class Clip:
    """Frames of a video in memory, by index. Several threads may use it.

    Args:
        data: an mp4 with one H.264 stream: yuv420p, closed groups of pictures, no reordering.
        budget: bytes of decoded pictures that are kept; at least two groups are.
        luma: pictures are their luma alone, uint8[H, W], as it is stored.

    Raises:
        PersonFileError: it is something else.
    """

    def __init__(self, data: bytes, *, budget: int = BUDGET_BYTES, luma: bool = False) -> None:
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
        self._take = _luma if luma else _i420
        size = self.width * self.height * (2 if luma else 3) // 2
        self._kept_groups = max(2, budget // (size * longest))
        self._cache: OrderedDict[int, _Group] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._where)

    def frame(self, index: int) -> U8:
        """Return uint8[H*3/2, W], or uint8[H, W] of luma; read-only, shared by all who ask.

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
            cached = self._cache[group] = _Group(self._groups[group], self._extradata, self._take)
            while len(self._cache) > self._kept_groups:
                self._cache.popitem(last=False)
        self._cache.move_to_end(group)
        try:
            cached.decode_to(count)
        except FFmpegError as error:
            raise EngineError(f"The person's video cannot be decoded: {error}.") from None
        return cached.frames


def matte_clip(data: bytes, clip: Clip, budget: int) -> Clip:
    """Return the matte of a clip's frames.

    Args:
        data: an mp4, see `Clip`.
        clip: the frames.
        budget: bytes of the clip's decoded pictures; the matte's are as many.

    Raises:
        PersonFileError: it is of other frames.
    """
    matte = Clip(data, budget=budget * 2 // 3, luma=True)
    if (len(matte), matte.width, matte.height) != (len(clip), clip.width, clip.height):
        raise PersonFileError(
            f"The person's matte has {len(matte)} frames of {matte.width}x{matte.height} for "
            f"{len(clip)} of {clip.width}x{clip.height}."
        )
    return matte
