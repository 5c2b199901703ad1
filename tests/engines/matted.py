"""Persons with a look: the tiny person, whose matte is its own video.

So what is shown of the matte must equal the luma of what is shown of the video, however heads are
turned and pictures are mixed, wherever no mouth and no eye is laid over it.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tests.engines.tiny_person import HEIGHT, WIDTH, tiny_person
from visavis.engines.person import Person, read_person, write_person

__all__ = [
    "FACE",
    "MATTE",
    "PLATE",
    "matted_file",
    "mattes",
    "plate",
    "plate_jpeg",
    "tiny_matted",
    "with_look",
]

U8 = NDArray[np.uint8]

FACE = (0.5, 0.375, 0.25)
MATTE, PLATE = "look/matte.mp4", "look/plate.jpg"


def with_look(person: Person, look: Any, parts: Mapping[str, bytes]) -> bytes:
    """Return the file of a person with the entry `look`, and with the parts that it names."""
    manifest = {key: value for key, value in person.manifest.items() if key != "parts"}
    return write_person({**manifest, "look": look}, {**person.parts, **parts})


@functools.cache
def matted_file(name: str = "tiny") -> bytes:
    """The tiny person with a matte, which is its video, a plate and a face."""
    person = tiny_person(name)
    look = {"face": list(FACE), "matte": MATTE, "plate": PLATE}
    video = person.parts["background.mp4"]
    return with_look(person, look, {MATTE: video, PLATE: plate_jpeg(plate())})


@functools.cache
def tiny_matted(name: str = "tiny") -> Person:
    """The same, read."""
    return read_person(matted_file(name))


def plate() -> U8:
    """A room: a ramp from black to white, as frames have it, greener to the right."""
    picture = np.full((HEIGHT * 3 // 2, WIDTH), 120, np.uint8)
    picture[:HEIGHT] = np.linspace(16, 235, WIDTH)
    return picture


def plate_jpeg(i420: U8, *, full: bool = True, progressive: bool = False) -> bytes:
    """Return a picture of limited range as JPEG, of full range as JFIF has it."""
    picture: Any = av.VideoFrame.from_ndarray(i420, "yuv420p")
    if full:
        picture = picture.reformat(
            format="yuvj420p", src_color_range="MPEG", dst_color_range="JPEG"
        )
    context: Any = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = picture.width, picture.height, "yuvj420p"
    context.time_base = Fraction(1, 25)
    context.options = {"qmin": "1", "qmax": "1"}
    data = b"".join(bytes(p) for p in [*context.encode(picture), *context.encode(None)])
    return data.replace(b"\xff\xc0", b"\xff\xc2", 1) if progressive else data


def mattes(levels: U8, *, size: tuple[int, int] = (WIDTH, HEIGHT), flagged: str = "tv") -> bytes:
    """Return an mp4 whose luma is the given levels, stored as they are.

    Args:
        levels: uint8[N], one for each frame; or uint8[N, H, W].
        flagged: the range that the video says it has.
    """
    buffer = io.BytesIO()
    width, height = size
    with av.open(buffer, "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"x264-params": f"keyint=10:scenecut=0:bframes=0:range={flagged}:qp=1"}
        for index, level in enumerate(levels):
            picture = np.full((height * 3 // 2, width), 128, np.uint8)
            picture[:height] = level
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()
