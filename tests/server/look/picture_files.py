"""Still pictures as files, made by libavcodec."""

from __future__ import annotations

import struct

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["as_jpeg", "as_png", "quadrants", "turned"]


def quadrants(width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """``u8[height, width, 3]``: red, green above blue, white."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2, 0] = 255
    pixels[: height // 2, width // 2 :, 1] = 255
    pixels[height // 2 :, : width // 2, 2] = 255
    pixels[height // 2 :, width // 2 :] = 255
    return pixels


def as_png(pixels: NDArray[np.uint8], name: str = "rgb24") -> bytes:
    return _coded(pixels, name, "png", name)


def as_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    return _coded(pixels, "rgb24", "mjpeg", "yuvj444p")


def turned(jpeg: bytes, orientation: int, order: str = ">") -> bytes:
    """With a camera's note (Exif) of how it was held."""
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    other = struct.pack(f"{order}HHII", 0x0100, 4, 1, 99)
    mark = b"MM" if order == ">" else b"II"
    tiff = mark + struct.pack(f"{order}HIH", 42, 8, 2) + other + entry + bytes(4)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def _coded(pixels: NDArray[np.uint8], name: str, codec: str, pix_fmt: str) -> bytes:
    height, width = pixels.shape[:2]
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = width, height, pix_fmt  # type: ignore[attr-defined]
    context.time_base = 1  # type: ignore[assignment]
    if codec == "mjpeg":
        context.options = {"qmin": "1", "qmax": "1"}
    frame = av.VideoFrame.from_ndarray(pixels, format=name).reformat(
        format=pix_fmt, dst_color_range="JPEG" if codec == "mjpeg" else None
    )
    packets = [*context.encode(frame), *context.encode(None)]  # type: ignore[attr-defined]
    return b"".join(bytes(packet) for packet in packets)
