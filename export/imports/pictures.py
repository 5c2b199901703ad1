"""Pictures and clips that a user gives, and the footage and poster that are made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from visavis.export.imports.errors import ImportRefused
from visavis.export.video_coding import encode_video, jpeg

__all__ = ["encode_footage", "poster", "read_clip", "read_image", "to_i420"]

U8 = NDArray[np.uint8]

RATE = 25
MOST_FRAMES = 1500  # a minute
MOST_BYTES = 3 << 30  # of frames as they are in memory
MOST_FILE = 2 << 30
SMALLEST, LARGEST = 64, 8192
FRAME_SIZES = (64, 2048)  # of a person file
QUALITY = 18
AREA = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP
# Lines above which a picture that does not name its matrix has that of BT.709, as players take it.
STANDARD_LINES = 576
NAMED = (Colorspace.ITU709, Colorspace.FCC, Colorspace.SMPTE240M, Colorspace.BT2020)
UNNAMED = 2  # AVCOL_SPC_UNSPECIFIED


def read_image(path: Path) -> U8:
    """Return the first picture of a file, upright, RGB uint8[H, W, 3].

    Raises:
        ImportRefused: it cannot be read, or is too small or too large.
    """
    for _, picture in _pictures(path, still=True):
        return picture
    raise ImportRefused(f"{path} holds no picture.")


def read_clip(path: Path, most: int = MOST_FRAMES) -> list[U8]:
    """Return the pictures of a clip as they are shown 25 times a second, RGB uint8[H, W, 3].

    Args:
        path: anything that FFmpeg reads, at any rate.
        most: frames, of which no more are read.

    Raises:
        ImportRefused: it cannot be read, or is too small, or too large for memory.
    """
    frames: list[U8] = []
    before: tuple[float, U8] | None = None
    for time, picture in _pictures(path, still=False):
        if before is not None:
            if picture.shape != before[1].shape:
                raise ImportRefused(f"The pictures of {path} change their size; cut it there.")
            # A picture is shown until half way to the next one: so 25 a second stay what they are.
            while len(frames) < most and len(frames) / RATE < (before[0] + time) / 2:
                frames.append(before[1])
                _check_memory(path, frames)
        if len(frames) >= most:
            return frames
        before = (time, picture)
    if before is None:
        raise ImportRefused(f"{path} holds no pictures.")
    return [*frames, before[1]]


def to_i420(rgb: U8) -> U8:
    """Return a picture as I420, BT.601 limited range; what is odd of its size is cut off.

    Args:
        rgb: uint8[H, W, 3].

    Returns:
        uint8[H*3/2, W].
    """
    height, width = (size // 2 * 2 for size in rgb.shape[:2])
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb[:height, :width]), "rgb24")
    coded = frame.reformat(
        format="yuv420p",
        src_color_range=ColorRange.JPEG,
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.MPEG,
        # Colour is the mean of four pixels, as the networks' crops have it (`onnx_graph.ToI420`).
        interpolation=AREA,
    )
    return coded.to_ndarray().astype(np.uint8, copy=False)


def encode_footage(frames: Sequence[U8]) -> bytes:
    """Return RGB frames uint8[H, W, 3] as the mp4 of a person file.

    Raises:
        ImportRefused: there are none, they differ in size, or are none that a person file has.
    """
    if not frames:
        raise ImportRefused("There is no picture to show behind the face.")
    height, width = frames[0].shape[:2]
    low, high = FRAME_SIZES
    if not (low <= height <= high + 1 and low <= width <= high + 1):
        raise ImportRefused(
            f"The pictures are {width}x{height}; a person is shown at {low} to {high} pixels."
        )
    if any(frame.shape != frames[0].shape for frame in frames):
        raise ImportRefused("The pictures behind the face differ in size.")
    return encode_video(np.stack([to_i420(frame) for frame in frames]), quality=QUALITY)


def poster(frame: U8) -> bytes:
    """Return a picture RGB uint8[H, W, 3] as JPEG."""
    return jpeg(to_i420(frame))


def _pictures(path: Path, *, still: bool) -> Iterator[tuple[float, U8]]:
    """Give upright pictures with their time in seconds from the first one."""
    try:
        size = path.stat().st_size
        if size > MOST_FILE:
            raise ImportRefused(f"{path} is larger than {MOST_FILE >> 30} GiB; cut it.")
        # An open file, not a name: a name may be an address, and FFmpeg follows it.
        with path.open("rb") as file, av.open(file, "r") as container:
            if not container.streams.video or container.streams.video[0].codec_context is None:
                raise ImportRefused(f"{path} holds no pictures.")
            stream = container.streams.video[0]
            _check_size(path, stream.codec_context.width, stream.codec_context.height)
            made, start = VideoReformatter(), None
            for count, frame in enumerate(container.decode(stream)):
                time = frame.time if frame.time is not None else count / RATE
                start = time if start is None else start
                yield time - start, _rgb(made, frame)
                if still:
                    return
    except (FFmpegError, OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it is damaged"
        raise ImportRefused(
            f"{path} cannot be read as a {'picture' if still else 'video'}: {reason.lower()}."
        ) from error


def _rgb(made: VideoReformatter, frame: av.VideoFrame) -> U8:
    named = int(frame.colorspace)
    if named not in NAMED:
        wide = named == UNNAMED and min(frame.width, frame.height) > STANDARD_LINES
        # A JPEG, of full range, is BT.601 whatever its size.
        full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        named = int(Colorspace.ITU709 if wide and not full else Colorspace.ITU601)
    options: dict[str, Any] = {} if frame.format.is_rgb else {"src_colorspace": named}
    rgb = made.reformat(frame, format="rgb24", dst_color_range=ColorRange.JPEG, **options)
    picture = rgb.to_ndarray().astype(np.uint8, copy=False)
    return np.ascontiguousarray(np.rot90(picture, frame.rotation // 90 % 4))


def _check_size(path: Path, width: int, height: int) -> None:
    if not width or not height:
        raise ImportRefused(f"{path} cannot be read: it is no picture, or a damaged one.")
    if not (SMALLEST <= width <= LARGEST and SMALLEST <= height <= LARGEST):
        raise ImportRefused(
            f"{path} is {width}x{height}; pictures of {SMALLEST} to {LARGEST} pixels are taken."
        )


def _check_memory(path: Path, frames: Sequence[U8]) -> None:
    if len(frames) * frames[0].nbytes > MOST_BYTES:
        raise ImportRefused(
            f"{path} is too large for memory after {len(frames) / RATE:.0f} s; make its pictures "
            "smaller, or cut it."
        )
