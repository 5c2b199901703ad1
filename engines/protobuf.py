"""Just enough of the protocol buffer wire format to read and write messages without a library.

Wire types and varints: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = [
    "WireError",
    "as_bytes",
    "as_number",
    "as_text",
    "encode_field",
    "fields",
    "signed",
    "varints",
]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are not a message."""


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, value): an unsigned int for varints, else the bytes.

    Raises:
        WireError: the bytes are cut off, or use groups, which no current format does.
    """
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if not 0 < number < 1 << 29:
            raise WireError("a field has a number out of range")
        if wire == VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == BYTES:
            size, position = _varint(data, position)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise WireError("a field has a type that is not in use")
        if position + size > end:
            raise WireError("a field is cut off")
        yield number, data[position : position + size]
        position += size


def varints(value: int | memoryview) -> list[int]:
    """Return the numbers of a repeated field: one number, or many packed into bytes."""
    if isinstance(value, int):
        return [value]
    numbers, position = [], 0
    while position < len(value):
        number, position = _varint(value, position)
        numbers.append(number)
    return numbers


def as_number(value: int | memoryview) -> int:
    """Return a field's value as a number.

    Raises:
        WireError: it is bytes.
    """
    if not isinstance(value, int):
        raise WireError("a number is not a number")
    return value


def as_bytes(value: int | memoryview) -> memoryview:
    """Return a field's value as bytes.

    Raises:
        WireError: it is a number.
    """
    if isinstance(value, int):
        raise WireError("a message is a number")
    return value


def as_text(value: int | memoryview) -> str:
    """Return a field's value as text.

    Raises:
        WireError: it is a number.
        UnicodeDecodeError: it is not UTF-8.
    """
    return bytes(as_bytes(value)).decode("utf-8")


def signed(value: int) -> int:
    """Return an int64 that was read as unsigned."""
    return value - (1 << 64) if value >> 63 else value


def encode_field(number: int, value: int | bytes | memoryview) -> bytes:
    """Return a field of a message: a varint that is not negative, or bytes with their length."""
    if isinstance(value, int):
        return _encode_varint(number << 3 | VARINT) + _encode_varint(value)
    return _encode_varint(number << 3 | BYTES) + _encode_varint(len(value)) + bytes(value)


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if position >= len(data):
            raise WireError("a number is cut off")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            if result >> 64:
                raise WireError("a number is too large")
            return result, position
        shift += 7
        if shift > 63:
            raise WireError("a number is too long")
