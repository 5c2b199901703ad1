"""A strict reader of plain arrays in MATLAB's file format 5 (what `save -v7` and scipy write).

Of scipy's reader a wrong type number in a file takes the whole process down (seen with 1.17), and
these files come from anywhere. Here only what a face model needs is read: two-dimensional arrays of
real numbers, little-endian. Every length is checked against the file before anything is reserved.
The format: "MAT-File Format", The MathWorks, level 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Header", "MatError", "load", "scan"]

START = 128
MATRIX, COMPRESSED = 14, 15
NUMBERS = {
    1: "<i1", 2: "<u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8",
    13: "<u8",
}  # fmt: skip
KINDS = {
    1: "cell", 2: "struct", 3: "object", 4: "text", 5: "sparse array", **dict.fromkeys(
        range(6, 16), "numbers"
    ),
}  # fmt: skip
COMPLEX = 0x0800
MOST_ARRAYS, LONGEST_NAME, LARGEST = 1000, 64, 2 << 30


class MatError(Exception):
    """The file is not what it should be; the message says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of an array before its numbers.

    Attributes:
        shape: rows, columns.
        kind: "numbers", or what else it is.
        offset, length: of its element, in bytes.
    """

    shape: tuple[int, ...]
    kind: str
    offset: int
    length: int


class _Stream(Protocol):
    def read(self, count: int, /) -> bytes: ...


class _Inflated:
    """Reads what zlib packed, no more than is asked for."""

    def __init__(self, packed: bytes) -> None:
        self._zlib, self._rest = zlib.decompressobj(), packed

    def read(self, count: int, /) -> bytes:
        parts, missing = [], count
        while missing:
            try:
                part = self._zlib.decompress(self._rest, missing)
            except zlib.error as error:
                raise MatError("it is damaged") from error
            self._rest = self._zlib.unconsumed_tail
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


def scan(path: Path) -> dict[str, Header]:
    """Return what arrays a file has.

    Raises:
        MatError: it is no such file.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    found: dict[str, Header] = {}
    with path.open("rb") as file:
        _start(file, size)
        offset = START
        while offset < size:
            if len(found) == MOST_ARRAYS:
                raise MatError("it has more arrays than a face model")
            file.seek(offset)
            kind, length = struct.unpack("<II", _exactly(file, 8))
            if kind not in (MATRIX, COMPRESSED) or length > size - offset - 8:
                raise MatError("it is damaged or cut off")
            name, shape, what, _ = _head(_body(file, kind, length))
            found[name] = Header(shape, what, offset, length)
            offset += 8 + length
    return found


def load(path: Path, header: Header) -> NDArray[np.generic]:
    """Return an array of numbers, as the file stores them.

    Raises:
        MatError: it is damaged.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(header.offset)
        kind, length = struct.unpack("<II", _exactly(file, 8))
        if length != header.length:
            raise MatError("it changes while it is read")
        stream = _body(file, kind, length)
        _, shape, what, room = _head(stream)
        if what != "numbers" or shape != header.shape:
            raise MatError("it changes while it is read")
        number, size, data = _tag(stream)
        if number not in NUMBERS:
            raise MatError("it is damaged")
        values = np.dtype(NUMBERS[number])
        if size != math.prod(shape) * values.itemsize or size > min(room, LARGEST):
            raise MatError("it is damaged")
        data = data if data is not None else _exactly(stream, size)
    return np.frombuffer(data, values, math.prod(shape)).reshape(shape, order="F")


def _start(file: BinaryIO, size: int) -> None:
    first = file.read(START)
    if first.startswith((b"MATLAB 7.3", b"\x89HDF")):
        raise MatError("it is of MATLAB 7.3; in MATLAB, save it again with -v7")
    if not first.startswith(b"MATLAB 5.0") or first[126:128] != b"IM":
        raise MatError("it is no .mat file")
    if size > LARGEST:
        raise MatError(f"it has {size >> 20} MiB, more than a face model")


def _exactly(stream: _Stream, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise MatError("it is damaged or cut off")
    return data


def _body(file: BinaryIO, kind: int, length: int) -> _Stream:
    """Return a stream that begins with the first part of an array."""
    if kind == MATRIX:
        return file
    if kind != COMPRESSED:
        raise MatError("it is damaged")
    stream = _Inflated(_exactly(file, length))
    inner, _ = struct.unpack("<II", _exactly(stream, 8))
    if inner != MATRIX:
        raise MatError("it is damaged")
    return stream


def _tag(stream: _Stream) -> tuple[int, int, bytes | None]:
    """Return type and length of a part, and its bytes where they are in the tag itself."""
    number, length = struct.unpack("<II", raw := _exactly(stream, 8))
    if number >> 16:
        small = number >> 16
        if small > 4:
            raise MatError("it is damaged")
        return number & 0xFFFF, small, raw[4 : 4 + small]
    return number, length, None


def _part(stream: _Stream, most: int) -> bytes:
    """Return a short part and read over what fills it up to eight bytes."""
    _, length, data = _tag(stream)
    if data is not None:
        return data
    if length > most:
        raise MatError("it is damaged")
    return _exactly(stream, -(-length // 8) * 8)[:length]


def _head(stream: _Stream) -> tuple[str, tuple[int, ...], str, int]:
    """Return name, shape and kind of an array, and how many bytes it may have."""
    flags = _part(stream, 8)
    shape = _part(stream, 32)
    name = _part(stream, LONGEST_NAME)
    if len(flags) != 8 or len(shape) % 4:
        raise MatError("it is damaged")
    word = struct.unpack("<I", flags[:4])[0]
    kind = "complex numbers" if word & COMPLEX else KINDS.get(word & 0xFF, "something else")
    sizes = struct.unpack(f"<{len(shape) // 4}i", shape)
    if any(n < 0 for n in sizes):
        raise MatError("it is damaged")
    return name.decode("latin-1"), sizes, kind, 8 * math.prod(sizes)
