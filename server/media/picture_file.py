"""Decodes a still picture, JPEG or PNG, and nothing else that libavcodec knows.

What a stranger sent is decoded where it may fail: ``python -m visavis.server.media.picture_file``
reads it from standard input and writes the I420 of the size that was asked for, or a sentence.
:mod:`visavis.server.look.upload` runs it.
"""

from __future__ import annotations

import os
import sys
from typing import Literal

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from visavis.engines.process_limits import limit_process
from visavis.server.errors import RequestError

__all__ = ["MAX_SIDE", "cover", "decode_picture", "main"]

U8 = NDArray[np.uint8]

MAX_SIDE = 4096
MAGIC = {b"\xff\xd8\xff": "mjpeg", b"\x89PNG\r\n\x1a\n": "png"}
DAMAGED = f"The picture cannot be read; it is damaged, or has more than {MAX_SIDE} pixels a side."
TOO_LARGE = f"A picture has at most {MAX_SIDE} pixels a side."
UNKNOWN = "The picture must be a JPEG or a PNG."
ORIENTATION = 0x0112
"""The tag."""
OK, REFUSED = b"+", b"-"
"""The first byte of what the process writes."""


def decode_picture(data: bytes) -> U8:
    """``u8[H, W, 3]``, RGB, upright; what is transparent is black.

    Raises:
        RequestError: it is no such picture, damaged, or larger than ``MAX_SIDE``.
    """
    names = [name for magic, name in MAGIC.items() if data.startswith(magic)]
    if not names:
        raise RequestError(UNKNOWN, status=415)
    context = av.CodecContext.create(names[0], "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    context.options = {"max_pixels": str(MAX_SIDE * MAX_SIDE), "err_detect": "explode"}
    try:
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    except (av.FFmpegError, ValueError):
        raise RequestError(DAMAGED, status=422) from None
    if not frames:
        raise RequestError(DAMAGED, status=422)
    frame = frames[0]
    if max(frame.width, frame.height) > MAX_SIDE:
        raise RequestError(TOO_LARGE, status=422)
    clear = frame.format.name.startswith(("rgba", "ya", "pal"))
    pixels = np.asarray(frame.to_ndarray(format="rgba" if clear else "rgb24"), np.uint8)
    if clear:
        share = pixels[..., 3:].astype(np.uint16)
        pixels = ((pixels[..., :3] * share + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(_upright(pixels, _orientation(data)))


def cover(pixels: U8, width: int, height: int) -> U8:
    """``u8[height * 3 / 2, width]``, I420: the middle of a picture, as much as has that shape."""
    rows, columns = pixels.shape[:2]
    share = min(columns / width, rows / height)
    across, down = max(1, round(width * share)), max(1, round(height * share))
    left, top = (columns - across) // 2, (rows - down) // 2
    part = np.ascontiguousarray(pixels[top : top + down, left : left + across])
    smaller = across >= width
    frame = av.VideoFrame.from_ndarray(part, format="rgb24").reformat(
        width,
        height,
        format="yuv420p",
        interpolation=Interpolation.AREA if smaller else Interpolation.BICUBIC,
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.MPEG,
        threads=1,
    )
    return np.asarray(frame.to_ndarray(), np.uint8)


def main(arguments: list[str]) -> int:
    """Limit the process, read a picture, write ``+`` and its I420, or ``-`` and a sentence."""
    memory_bytes, cpu_seconds, width, height = map(int, arguments)
    os.nice(5)
    limit_process(memory_bytes, cpu_seconds, width * height * 3 // 2 + 4096)
    try:
        answer = OK + cover(decode_picture(sys.stdin.buffer.read()), width, height).tobytes()
    except RequestError as error:
        answer = REFUSED + f"{error.status} {error}".encode()
    except MemoryError:
        answer = REFUSED + f"422 {DAMAGED}".encode()
    sys.stdout.buffer.write(answer)
    return 0


def _upright(pixels: U8, orientation: int) -> U8:
    """Mirrored and turned as Exif 2.32 says, 4.6.4.A: by the tag's value, 1 to 8."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    across = -1 if orientation in (2, 3, 6, 7) else 1
    down = -1 if orientation in (3, 4, 7, 8) else 1
    return pixels[::down, ::across]


def _orientation(data: bytes) -> int:
    """What a camera noted in a JPEG's Exif part; 1, as it is, where there is nothing of that kind.

    (PyAV 18 cannot list the side data in which libavcodec hands it on.)
    """
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] not in (b"", b"\xda", b"\xd9"):
        size = int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            return _exif_orientation(data[at + 10 : at + 2 + size])
        at += 2 + size
    return 1


def _exif_orientation(exif: bytes) -> int:
    order: Literal["little", "big"] = "little" if exif[:2] == b"II" else "big"
    at = int.from_bytes(exif[4:8], order)
    for _ in range(int.from_bytes(exif[at : at + 2], order)):
        entry, at = exif[at + 2 : at + 14], at + 12
        if int.from_bytes(entry[:2], order) == ORIENTATION:
            value = int.from_bytes(entry[8:10], order)
            return value if 1 <= value <= 8 else 1
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
