"""The pictures of a person file, coded: H.264 for the background, JPEG for the poster."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["GROUP", "encode_video", "jpeg"]

U8 = NDArray[np.uint8]

GROUP = 12  # frames of a group of pictures


def encode_video(frames: U8, *, quality: int, group: int = GROUP) -> bytes:
    """Return I420 frames uint8[N, H*3/2, W] as mp4 with H.264, 25 frames a second.

    Closed groups without reordering, so that each is decoded alone; colours tagged BT.601.

    Args:
        quality: x264's crf; 18 is hardly told from the source.
        group: frames in a group.
    """
    buffer = io.BytesIO()
    rows, width = frames.shape[1:]
    with av.open(buffer, "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, rows * 2 // 3, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, 25)
        stream.options = {
            "crf": str(quality),
            "preset": "slow",
            "x264-params": f"keyint={group}:min-keyint={group}:scenecut=0:bframes=0:open-gop=0:"
            "colorprim=smpte170m:transfer=smpte170m:colormatrix=smpte170m:range=tv",
        }
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def jpeg(frame: U8) -> bytes:
    """Return one I420 frame as JPEG, which is BT.601 of full range."""
    picture = av.VideoFrame.from_ndarray(frame, "yuv420p")
    full = picture.reformat(format="yuvj420p", src_color_range="MPEG", dst_color_range="JPEG")
    context: Any = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = full.width, full.height, "yuvj420p"
    context.time_base = Fraction(1, 25)
    context.options = {"qmin": "3", "qmax": "3"}
    packets = [*context.encode(full), *context.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
