"""A person at rest for a few seconds: what a worker shows while no engine answers.

The engine renders it once and shares it with all workers as memory that cannot change, so it
outlives the engine and costs its size once, however many sessions show it.

The memory holds a header of one page and then the pictures, uint8[count, H * 3 / 2, W], I420; of a
person with a matte each is followed by its alpha, uint8[H, W].
"""

from __future__ import annotations

import mmap
import os

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import EngineError
from visavis.engines.remote.layout import PAGE, frame_bytes
from visavis.engines.remote.memory import create

__all__ = ["MAX_STRIP_BYTES", "IdlePlayer", "Strip", "new_strip", "put_picture"]

U8 = NDArray[np.uint8]

MAX_STRIP_BYTES = 64 << 20
_HEADER = np.dtype([(name, "<u8") for name in ("magic", "width", "height", "matte", "count")])
_MAGIC = 0x0250_4952_5453_4956  # "VISTRIP" and a two
_THUMB = 48  # pictures are compared at about this size


def new_strip(width: int, height: int, count: int, matte: bool = False) -> int:
    """Return the memfd of a strip without pictures.

    Raises:
        EngineError: there is no such strip.
        MemoryError: there is no memory for it.
    """
    size = PAGE + count * frame_bytes(width, height, matte)
    if count < 1 or size > MAX_STRIP_BYTES:
        raise EngineError(f"A strip of {count} pictures cannot be shared.")
    fd = create("strip", size)
    os.pwrite(fd, np.array([(_MAGIC, width, height, matte, count)], _HEADER).tobytes(), 0)
    return fd


def put_picture(fd: int, number: int, i420: U8, alpha: U8 | None = None) -> None:
    """Write a picture into a strip that is not sealed yet; with alpha where that has a matte."""
    both = i420 if alpha is None else np.concatenate((i420, alpha))
    data = np.ascontiguousarray(both).data.cast("B")
    done, offset = 0, PAGE + number * len(data)
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)


class Strip:
    """Pictures of a person at rest, read-only.

    Args:
        pictures: uint8[n, H * 3 / 2, W].
        alphas: uint8[n, H, W], or None.
    """

    def __init__(self, pictures: U8, alphas: U8 | None = None) -> None:
        self._pictures = pictures
        self._alphas = alphas
        self._thumbs: NDArray[np.int16] | None = None

    @classmethod
    def open(cls, fd: int) -> Strip:
        """Map a strip that an engine shared; the descriptor stays the caller's.

        Raises:
            EngineError: it is not a strip.
        """
        size = os.fstat(fd).st_size
        if not PAGE < size <= MAX_STRIP_BYTES:
            raise EngineError(f"A strip has {size} bytes.")
        memory = np.frombuffer(mmap.mmap(fd, size, prot=mmap.PROT_READ), np.uint8)
        magic, *numbers = memory[: _HEADER.itemsize].view(_HEADER)[0].tolist()
        width, height, matte, count = numbers
        sensible = magic == _MAGIC and matte in (0, 1)
        if not sensible or PAGE + count * frame_bytes(width, height, bool(matte)) != size:
            raise EngineError("The memory does not hold a strip.")
        rows = height * 3 // 2
        frames = memory[PAGE:].reshape(count, -1, width)
        return cls(frames[:, :rows], frames[:, rows:] if matte else None)

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a picture's array."""
        return self._pictures.shape[1], self._pictures.shape[2]

    def picture(self, number: int) -> U8:
        """Return a picture, uint8[H * 3 / 2, W], fresh."""
        picture: U8 = self._pictures[number].copy()
        return picture

    def alpha(self, number: int) -> U8 | None:
        """Return a picture's alpha, uint8[H, W], fresh; None where the strip has none."""
        return None if self._alphas is None else self._alphas[number].copy()

    def nearest(self, i420: U8) -> int:
        """Return which picture looks most like this one, by the mean difference of small copies."""
        if self._thumbs is None:
            self._thumbs = np.stack([_thumb(picture) for picture in self._pictures])
        difference = np.abs(self._thumbs - _thumb(i420)).mean((1, 2))
        return int(difference.argmin())


class IdlePlayer:
    """Shows a strip forwards and backwards in turns, so that it never jumps.

    Args:
        strip: what to show.
        after: the picture that was shown last, or None; the strip begins where it is most like it.
    """

    def __init__(self, strip: Strip, after: U8 | None) -> None:
        self._strip = strip
        self._next = 0 if after is None else strip.nearest(after)
        self._step = 1

    def next(self, matte: bool = False) -> tuple[U8, U8 | None]:
        """Return the next picture, fresh, and its alpha where that is wanted and there is one."""
        current = self._next
        if not 0 <= current + self._step < len(self._strip):
            self._step = -self._step
        if 0 <= current + self._step < len(self._strip):
            self._next += self._step
        return self._strip.picture(current), self._strip.alpha(current) if matte else None


def _thumb(i420: U8) -> NDArray[np.int16]:
    rows, columns = i420.shape[0] * 2 // 3, i420.shape[1]
    luma = i420[: rows : max(1, rows // _THUMB), :: max(1, columns // _THUMB)]
    return luma.astype(np.int16)
