"""Reads TensorFlow 1 checkpoints (the "V2" format): an `.index` file and one `.data` file.

The index is a table of sorted keys in blocks, as LevelDB writes it, without its compression: a
tensor's name to where its bytes lie. Formats: TensorFlow's `tensor_bundle.proto` and LevelDB's
`doc/table_format.md`. Nothing is run and every length is checked; blocks and tensors carry a
CRC-32C, which must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.protobuf import WireError, as_bytes, as_number, fields
from visavis.export.imports.crc32c import crc32c, masked
from visavis.export.imports.errors import ImportRefused

__all__ = ["DATA", "INDEX", "TensorEntry", "bundle_of", "read_index", "read_tensors"]

INDEX, DATA = ".index", ".data-00000-of-00001"
MAX_INDEX_BYTES = 4 << 20
MAX_TENSOR_BYTES = 1 << 28
MAX_ENTRIES = 4096
MAGIC = 0xDB4775248B80FB57
FOOTER_BYTES = 48
TRAILER_BYTES = 5  # a block's kind of compression and its checksum
FLOAT = 1

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where a tensor lies.

    Attributes:
        element: TensorFlow's number of the type, 1 for float32.
        shape: of the tensor.
        offset, size: bytes in the data file.
        checksum: masked CRC-32C of the bytes.
        whole: it is stored in one piece.
    """

    element: int
    shape: tuple[int, ...]
    offset: int
    size: int
    checksum: int
    whole: bool


def bundle_of(path: Path) -> tuple[Path, Path] | None:
    """Return index and data file of the checkpoint that either belongs to; None of other files."""
    for suffix in (INDEX, DATA):
        if path.name.endswith(suffix):
            name = path.name.removesuffix(suffix)
            return path.with_name(name + INDEX), path.with_name(name + DATA)
    return None


def read_index(path: Path) -> dict[str, TensorEntry]:
    """Return the tensors of an index by name.

    Raises:
        ImportRefused: it is none, is damaged, or has its data in several files.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_INDEX_BYTES + 1)
    except OSError as error:
        raise ImportRefused(f"{path.name!r} cannot be read: {error.strerror}.") from None
    if len(data) > MAX_INDEX_BYTES:
        raise ImportRefused(f"{path.name!r} is larger than an index of a checkpoint may be.")
    try:
        return _entries(memoryview(data))
    except (WireError, UnicodeDecodeError) as error:
        raise ImportRefused(
            f"{path.name!r} is no index of a TensorFlow checkpoint: {error}."
        ) from None


def read_tensors(
    path: Path, entries: dict[str, TensorEntry], wanted: Callable[[str], bool]
) -> dict[str, F32]:
    """Return some tensors of a data file.

    Args:
        path: the data file.
        entries: of `read_index`.
        wanted: whether a name is read; optimizers keep twice as much beside the weights.

    Raises:
        ImportRefused: a tensor is cut off, damaged, in pieces or not of float32.
    """
    tensors = {}
    try:
        with path.open("rb") as file:
            for name, entry in entries.items():
                if wanted(name):
                    _check(path.name, name, entry)
                    file.seek(entry.offset)
                    data = file.read(entry.size)
                    if len(data) < entry.size:
                        raise ImportRefused(f"{path.name!r} is cut off: {name!r} is not whole.")
                    if masked(crc32c(data)) != entry.checksum:
                        raise ImportRefused(f"{path.name!r} is damaged: {name!r} has a wrong sum.")
                    tensors[name] = np.frombuffer(bytearray(data), "<f4").reshape(entry.shape)
    except OSError as error:
        raise ImportRefused(f"{path.name!r} cannot be read: {error.strerror}.") from None
    return tensors


def _check(file: str, name: str, entry: TensorEntry) -> None:
    if entry.element != FLOAT or not entry.whole:
        raise ImportRefused(f"{file!r}: {name!r} is not a tensor of 32-bit floats in one piece.")
    count = 1
    for size in entry.shape:
        count *= size
    if entry.size > MAX_TENSOR_BYTES or entry.size != 4 * count:
        raise ImportRefused(f"{file!r}: {name!r} has {entry.size} bytes for {list(entry.shape)}.")


def _entries(data: memoryview) -> dict[str, TensorEntry]:
    if len(data) < FOOTER_BYTES:
        raise WireError("it is too short")
    footer = data[-FOOTER_BYTES:]
    if int.from_bytes(footer[-8:], "little") != MAGIC:
        raise WireError("its end is not that of a table")
    handles = _Reader(footer[:-8])
    handles.number(), handles.number()  # of the block about blocks, which holds nothing here
    top = _block(data, handles.number(), handles.number())
    entries: dict[str, TensorEntry] = {}
    headed = False
    for _, handle in _pairs(top):
        place = _Reader(handle)
        for key, value in _pairs(_block(data, place.number(), place.number())):
            if key == b"":
                _header(value)
                headed = True
                continue
            name = key.decode()
            if name in entries:
                raise WireError("a name comes twice")
            if len(entries) >= MAX_ENTRIES:
                raise WireError(f"it has more than {MAX_ENTRIES} tensors")
            entries[name] = _entry(value)
    if not headed:
        raise WireError("it has no header")
    return entries


def _block(data: memoryview, offset: int, size: int) -> memoryview:
    if offset + size + TRAILER_BYTES > len(data):
        raise WireError("a block lies outside the file")
    block = data[offset : offset + size]
    trailer = data[offset + size : offset + size + TRAILER_BYTES]
    if masked(crc32c(data[offset : offset + size + 1])) != int.from_bytes(trailer[1:], "little"):
        raise WireError("a block has a wrong sum")
    if trailer[0]:
        raise WireError("it is compressed, which TensorFlow's checkpoints are not")
    return block


def _pairs(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Keys and values of a block; a key repeats the beginning of the one before."""
    if len(block) < 4:
        raise WireError("a block is too short")
    end = len(block) - 4 * (1 + int.from_bytes(block[-4:], "little"))
    if end < 0:
        raise WireError("a block is too short")
    reader, key = _Reader(block[:end]), b""
    while not reader.done:
        shared, more, size = reader.number(), reader.number(), reader.number()
        if shared > len(key):
            raise WireError("a key repeats more than there is")
        key = key[:shared] + bytes(reader.take(more))
        yield key, reader.take(size)


def _header(value: memoryview) -> None:
    shards, big = 0, 0
    for number, item in fields(value):
        if number == 1:
            shards = as_number(item)
        elif number == 2:
            big = as_number(item)
    if shards != 1 or big:
        raise WireError("its data lie in several files or are of big-endian numbers")


def _entry(value: memoryview) -> TensorEntry:
    element = shard = offset = size = checksum = 0
    shape: tuple[int, ...] = ()
    whole = True
    for number, item in fields(value):
        if number == 1:
            element = as_number(item)
        elif number == 2:
            shape = tuple(_shape(as_bytes(item)))
        elif number == 3:
            shard = as_number(item)
        elif number == 4:
            offset = as_number(item)
        elif number == 5:
            size = as_number(item)
        elif number == 6:
            checksum = int.from_bytes(as_bytes(item), "little")
        elif number == 7:
            whole = False
    if shard:
        raise WireError("a tensor lies in another file")
    return TensorEntry(element, shape, offset, size, checksum, whole)


def _shape(value: memoryview) -> Iterator[int]:
    for number, item in fields(value):
        if number == 2:
            # A dimension of size 0 has no field that says so.
            yield next((as_number(size) for key, size in fields(as_bytes(item)) if key == 1), 0)


class _Reader:
    """Numbers of seven bits a byte, and runs of bytes, one after another."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at >= len(self._data)

    def number(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise WireError("a number does not end")

    def take(self, count: int) -> memoryview:
        if count > len(self._data) - self._at:
            raise WireError("it is cut off")
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken
