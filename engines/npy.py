"""Arrays of a person file: the npy format without pickle, read without evaluating anything.

The header (NEP 1) is a Python literal; numpy evaluates it. Here it must be byte for byte what
`numpy.save` writes, so that a pattern reads it.
"""

from __future__ import annotations

import io
import math
import re

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError

__all__ = ["MAX_DIMENSIONS", "dump_array", "parse_array"]

MAX_DIMENSIONS = 6
_HEADER = re.compile(
    rb"\{'descr': '([^']{2,8})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,10}, ?)*(?:\d{1,10})?)\), \} *\n"
)
_KINDS = {b"<f4", b"<f2", b"<i8", b"<i4", b"<i2", b"<u4", b"<u2", b"|i1", b"|u1", b"|b1"}


def dump_array(array: NDArray[np.generic]) -> bytes:
    """Return `array` as npy version 1, in C order."""
    buffer = io.BytesIO()
    contiguous = np.asarray(array, order="C")
    little = contiguous.astype(contiguous.dtype.newbyteorder("<"), copy=False)
    np.lib.format.write_array(buffer, little, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def parse_array(name: str, data: bytes) -> NDArray[np.generic]:
    """Return a read-only view of the array in `data`, in C order.

    Args:
        name: the part's name, for the message.

    Raises:
        PersonFileError: pickled, in column order, of an odd type, not finite, or of another size
            than its header says.
    """
    if data[:8] != b"\x93NUMPY\x01\x00" or len(data) < 10:
        raise PersonFileError(f"{name!r} is not an npy array of version 1.")
    start = 10 + int.from_bytes(data[8:10], "little")
    match = _HEADER.fullmatch(data[10:start])
    if match is None:
        raise PersonFileError(f"{name!r} has an npy header that numpy.save would not write.")
    kind, order, dimensions = match.groups()
    if kind.startswith(b"|O"):
        raise PersonFileError(f"{name!r} holds pickled objects; a person file holds numbers only.")
    if kind not in _KINDS:
        raise PersonFileError(
            f"{name!r} is of type {kind.decode('ascii', 'replace')}, which is not used here."
        )
    if order == b"True":
        raise PersonFileError(f"{name!r} is in column (Fortran) order; save it in row order.")
    shape = tuple(int(size) for size in dimensions.replace(b" ", b"").split(b",") if size)
    dtype = np.dtype(kind.decode("ascii"))
    if len(shape) > MAX_DIMENSIONS or math.prod(shape) * dtype.itemsize != len(data) - start:
        raise PersonFileError(f"{name!r} holds {len(data) - start} bytes, not shape {shape}.")
    array = np.frombuffer(data, dtype, offset=start).reshape(shape)
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise PersonFileError(f"{name!r} holds values that are not finite.")
    if dtype.kind == "b" and (array.view(np.uint8) > 1).any():
        raise PersonFileError(f"{name!r} holds truth values other than 0 and 1.")
    return array
