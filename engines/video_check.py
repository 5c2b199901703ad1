"""Pictures of a person file: H.264 in mp4 for the background, JPEG for the poster."""

from __future__ import annotations

import io

import av
from av.error import FFmpegError

from visavis.engines.errors import PersonFileError

__all__ = ["MAX_FRAMES", "check_poster", "check_video"]

MAX_FRAMES = 15000


def check_video(
    name: str, data: bytes, width: int | None = None, height: int | None = None
) -> None:
    """Check that `data` is an mp4 with one H.264 picture stream in 4:2:0, and open its first frame.

    Args:
        name: the part's name, for the message.
        width, height: the size it must have; not checked where None.

    Raises:
        PersonFileError: it is not.
    """
    if data[4:8] != b"ftyp":
        raise PersonFileError(f"{name!r} is not an mp4 file.")
    try:
        # The format is given, so that no other demuxer (playlists, for one) is ever chosen.
        with av.open(io.BytesIO(data), "r", format="mp4") as container:
            videos = container.streams.video
            # Of a codec that FFmpeg does not know there is no context.
            context = videos[0].codec_context if len(videos) == 1 else None
            if context is None or context.name != "h264":
                raise PersonFileError(f"{name!r} does not hold one H.264 picture stream.")
            if context.pix_fmt not in ("yuv420p", "yuvj420p"):
                raise PersonFileError(f"{name!r} is {context.pix_fmt}; it must be yuv420p.")
            if width is not None and (context.width, context.height) != (width, height):
                raise PersonFileError(
                    f"{name!r} is {context.width}x{context.height}, person.json says "
                    f"{width}x{height}."
                )
            if not 0 < videos[0].frames <= MAX_FRAMES:
                raise PersonFileError(f"{name!r} must hold 1 to {MAX_FRAMES} frames.")
            context.thread_count = 1
            frame = next(container.decode(videos[0]), None)
    except (FFmpegError, ValueError, StopIteration) as error:
        raise PersonFileError(f"{name!r} cannot be decoded: {error}.") from None
    if frame is None:
        raise PersonFileError(f"{name!r} holds no picture.")


def check_poster(name: str, data: bytes) -> None:
    """Check that `data` is a JPEG that FFmpeg decodes.

    Raises:
        PersonFileError: it is not.
    """
    if not (data.startswith(b"\xff\xd8\xff") and data.rstrip(b"\0").endswith(b"\xff\xd9")):
        raise PersonFileError(f"{name!r} is not a JPEG file.")
    try:
        with av.open(io.BytesIO(data), "r", format="jpeg_pipe") as container:
            frame = next(container.decode(video=0), None)
    except (FFmpegError, ValueError) as error:
        raise PersonFileError(f"{name!r} cannot be decoded: {error}.") from None
    if frame is None:
        raise PersonFileError(f"{name!r} holds no picture.")
