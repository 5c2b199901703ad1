"""Any video file, opened without trust: what it says of itself, and its pictures in their order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.packet import Packet
from av.stream import Disposition
from av.video.reformatter import ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray

from visavis.finetune.check.findings import VideoRefused

__all__ = ["MOST_PIXELS", "MOST_S", "Facts", "Pictures", "read_facts"]

F64 = NDArray[np.float64]

MOST_S = 300.0  # of a video are used
MOST_PIXELS = 4096 * 2304  # of a picture
_MOST_PICTURES = 240 * 300
_PROGRESSIVE = 1  # AV_FIELD_PROGRESSIVE; 0 is unknown
# Containers of pictures and sound. Playlists are not among them: these name other files.
_DEMUXERS = "mov,matroska,avi,mpeg,mpegts,asf,flv,ogg,mxf"
_NAMES = "mp4, mov, mkv, webm, avi, mpg, ts, wmv, flv, ogv or mxf"
_THREADS = 4  # of the decoder; each holds pictures of its own
_MAKE_STAMPS = 1  # AVFMT_FLAG_GENPTS: some files do not say when a picture is shown


@dataclass(frozen=True, slots=True)
class Facts:
    """What a video says of itself, and what its first picture shows of it.

    Attributes:
        path: of the file.
        coded: width and height of the pictures as they are decoded.
        turns: quarter turns counterclockwise that set them upright.
        aspect: width of a decoded pixel over its height.
        depth: bits of a sample.
        transfer: "HLG" or "PQ" of a video of high dynamic range, else "".
        interlaced: a picture is two half pictures of different moments.
        time: float64[N], seconds, when the pictures are shown, the first at 0; of the beginning
            of the video that is used.
        keys: how many of them can be decoded alone.
        length_s: of the whole video.
        sound: there is a stream of it.
        sound_start_s: when it begins, on the clock of `time`.
    """

    path: Path
    coded: tuple[int, int]
    turns: int
    aspect: float
    depth: int
    transfer: str
    interlaced: bool
    time: F64
    keys: int
    length_s: float
    sound: bool
    sound_start_s: float

    @property
    def period(self) -> float:
        """Seconds from picture to picture, usually."""
        return float(np.median(np.diff(self.time))) if len(self.time) > 1 else 0.04

    @property
    def used_s(self) -> float:
        """Seconds that are used."""
        return min(float(self.time[-1]) + self.period, MOST_S)

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of the pictures, turned, in decoded pixels; of one field."""
        width, height = self.coded[0], self.coded[1] // (2 if self.interlaced else 1)
        return (height, width) if self.turns % 2 else (width, height)

    @property
    def shown(self) -> tuple[float, float]:
        """Width and height of the pictures as they are shown: turned, with square pixels."""
        width, height = self.coded[0] * self.aspect, float(self.coded[1])
        return (height, width) if self.turns % 2 else (width, height)


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    try:
        # An open file, not a name: a name may be an address, and FFmpeg follows it.
        with (
            path.open("rb") as file,
            av.open(file, "r", options={"format_whitelist": _DEMUXERS}) as container,
        ):
            container.flags |= _MAKE_STAMPS
            yield container
    except (InvalidDataError, ValueError):
        raise VideoRefused(
            "unreadable", f"{path.name} is not a video that can be read: give {_NAMES}."
        ) from None
    except (FFmpegError, OSError) as error:
        reason = (error.strerror or str(error)).splitlines()[0][:150].lower()
        raise VideoRefused("unreadable", f"{path.name} cannot be read: {reason}.") from None


def _stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the first stream of moving pictures, ready to be decoded."""
    for stream in container.streams.video:
        # Of a codec that FFmpeg does not know there is no context; a cover is a still picture.
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic:
            stream.codec_context.options = {"max_pixels": str(2 * MOST_PIXELS)}
            stream.codec_context.thread_count = _THREADS
            stream.codec_context.thread_type = "AUTO"
            return stream
    raise VideoRefused("no-video", f"There are no moving pictures in {path.name}.")


def read_facts(path: Path) -> Facts:
    """Read what a video says of itself; one picture is decoded.

    Raises:
        VideoRefused: it cannot be read, holds no moving pictures, or too large ones.
    """
    first: av.VideoFrame | None = None
    stamps: list[int] = []
    keys = 0
    with _opened(path) as container:
        stream = _stream(container, path)
        context = stream.codec_context
        if context.width * context.height > MOST_PIXELS:
            raise VideoRefused(
                "too-large",
                f"The pictures are {context.width} x {context.height}; convert them to 4K or "
                "smaller.",
            )
        sounds = [s for s in container.streams.audio if s.codec_context is not None]
        base = float(stream.time_base or 0.04)
        for packet in _packets(container, stream):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if first is None:
                first = next(iter(_decoded(stream, packet)), None)
            if stamp is None:
                continue
            stamps.append(stamp)
            keys += packet.is_keyframe
            if (stamp - stamps[0]) * base > MOST_S + 1.0 or len(stamps) > _MOST_PICTURES:
                break
        whole = float(container.duration or 0) / av.time_base
        begins = float((sounds[0].start_time or 0) * (sounds[0].time_base or 0)) if sounds else 0.0
        aspect = float(stream.sample_aspect_ratio or 1) or 1.0
        fields = context.field_order > _PROGRESSIVE
    if first is None or first.pts is None:
        raise VideoRefused("unreadable", f"No picture of {path.name} can be decoded.")
    width, height = first.width, first.height
    start = first.pts * base
    time = np.unique([stamp * base - start for stamp in stamps])
    time = time[(time > -1e-6) & (time < MOST_S)]
    hdr = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}
    return Facts(
        path=path,
        coded=(width, height),
        turns=round(first.rotation / 90) % 4,
        aspect=aspect,
        depth=max(part.bits for part in first.format.components),
        transfer=hdr.get(int(first.color_trc), ""),
        interlaced=first.interlaced_frame or fields,
        time=time,
        keys=keys,
        length_s=max(whole, float(time[-1])),
        sound=bool(sounds),
        sound_start_s=begins - start if sounds else 0.0,
    )


def _packets(
    container: InputContainer, stream: VideoStream, damage: list[str] | None = None
) -> Iterator[Packet[VideoStream]]:
    """Yield packets, and at the end an empty one, as far as the file is whole."""
    try:
        yield from container.demux(stream)
    except FFmpegError as error:
        if damage is not None:
            damage.append(str(error))


def _decoded(
    stream: VideoStream, packet: Packet[VideoStream], damage: list[str] | None = None
) -> list[av.VideoFrame]:
    """Return the pictures that a packet completes."""
    try:
        return stream.codec_context.decode(packet)
    except FFmpegError as error:
        if damage is not None and not isinstance(error, av.error.EOFError):
            damage.append(str(error))
        return []


class Pictures:
    """The pictures of a video in the order in which they are shown, with when each is, in seconds.

    Args:
        facts: of the video.
        keys_only: give only those that can be decoded alone, which is much quicker.
    """

    def __init__(self, facts: Facts, *, keys_only: bool = False) -> None:
        self._facts = facts
        self._keys_only = keys_only
        self._damage: list[str] = []

    @property
    def damaged(self) -> int:
        """Packets that could not be decoded so far."""
        return len(self._damage)

    def __iter__(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Decode from the beginning.

        Raises:
            VideoRefused: it can no longer be read, or its pictures change their size.
        """
        path = self._facts.path
        start: float | None = None
        with _opened(path) as container:
            stream = _stream(container, path)
            if self._keys_only:
                stream.codec_context.skip_frame = "NONKEY"
            base = float(stream.time_base or 0.04)
            packets = _packets(container, stream, self._damage)
            frames = (f for packet in packets for f in _decoded(stream, packet, self._damage))
            for frame in islice(frames, _MOST_PICTURES):
                if frame.pts is None:
                    continue
                if (frame.width, frame.height) != self._facts.coded:
                    raise VideoRefused(
                        "size-changes",
                        f"The pictures of {path.name} change their size half way; convert it to "
                        "one size first.",
                    )
                start = frame.pts * base if start is None else start
                time = frame.pts * base - start
                if time >= MOST_S:
                    return
                yield time, frame
