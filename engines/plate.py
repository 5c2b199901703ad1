"""The plate of a person: what stood behind them, as a picture without them."""

from __future__ import annotations

import io

import av
from av.error import FFmpegError

from visavis.engines.errors import PersonFileError

__all__ = ["decode_plate"]

# Of JPEG: where a picture begins and ends; a frame that is baseline; those of other processes.
_START, _BASELINE = b"\xff\xd8\xff", 0xC0
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA


def decode_plate(name: str, data: bytes, width: int, height: int) -> bytes:
    """Return a plate as frames are: I420, BT.601 limited range, W * H * 3 / 2 bytes.

    Args:
        name: the part's name, for the message.
        data: a baseline JPEG in 4:2:0 of the person's frame size; full range, as JFIF has it.

    Raises:
        PersonFileError: it is something else, or cannot be decoded.
    """
    # Read before any decoder sees it: a small file may say that it is a gigantic picture.
    if _jpeg_size(data) != (width, height):
        raise PersonFileError(f"{name!r} must be a baseline JPEG file of {width}x{height}.")
    try:
        with av.open(io.BytesIO(data), "r", format="jpeg_pipe") as container:
            frame = next(container.decode(video=0), None)
        if frame is None:
            raise PersonFileError(f"{name!r} holds no picture.")
        if (frame.format.name, frame.width, frame.height) != ("yuvj420p", width, height):
            raise PersonFileError(f"{name!r} must be yuv420p, not {frame.format.name}.")
        plate = frame.reformat(format="yuv420p", src_color_range="JPEG", dst_color_range="MPEG")
        return plate.to_ndarray(format="yuv420p").tobytes()
    except (FFmpegError, ValueError) as error:
        raise PersonFileError(f"{name!r} cannot be decoded: {error}.") from None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a baseline JPEG (ITU-T T.81, B.2), or None where it is none."""
    if not data.startswith(_START):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _FRAMES:
            height, width = (int.from_bytes(data[at + n : at + n + 2], "big") for n in (5, 7))
            return (width, height) if marker == _BASELINE else None
        if marker == _SCAN or length < 2:
            return None
        at += 2 + length
    return None
