"""Writes TensorFlow 1 checkpoints for tests: what the reader reads, from the formats' descriptions.

It shares nothing with the reader: its checksum goes bit by bit, its messages are put together by
hand.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["crc32c_by_bits", "masked_sum", "write_checkpoint"]

RESTART = 16  # entries from one whole key to the next


def crc32c_by_bits(data: bytes) -> int:
    """The checksum by its definition."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def masked_sum(data: bytes) -> int:
    """The checksum as it is stored: turned right by 15 bits, plus a constant."""
    value = crc32c_by_bits(data)
    turned = ((value >> 15) | (value << 17)) & 0xFFFFFFFF
    return (turned + 0xA282EAD8) & 0xFFFFFFFF


def write_checkpoint(
    beginning: Path,
    tensors: Mapping[str, NDArray[np.generic]],
    *,
    shards: int = 1,
    per_block: int = 3,
    kind: int = 0,
) -> None:
    """Write `beginning`.index and `beginning`.data-00000-of-00001.

    Args:
        shards: files that the header says there are.
        per_block: tensors in a block.
        kind: of compression that the blocks say they have.
    """
    data = bytearray()
    entries = {b"": _field(1, 0, _varint(shards)) + _field(3, 2, _field(1, 0, _varint(1)))}
    for name in sorted(tensors):
        array = np.asarray(tensors[name])
        raw = array.tobytes()
        shape = b"".join(_field(2, 2, _field(1, 0, _varint(size))) for size in array.shape)
        element = {"float32": 1, "int64": 9}[str(array.dtype)]
        entry = _field(1, 0, _varint(element)) + _field(2, 2, shape)
        if data:
            entry += _field(4, 0, _varint(len(data)))
        entry += _field(5, 0, _varint(len(raw))) + _field(6, 5, struct.pack("<I", masked_sum(raw)))
        entries[name.encode()] = entry
        data += raw
    table = bytearray()
    index: dict[bytes, bytes] = {}
    names = list(entries)
    for start in range(0, len(names), per_block):
        part = names[start : start + per_block]
        handle = _append(table, _block({name: entries[name] for name in part}), kind)
        index[part[-1]] = handle
    nothing = _append(table, _block({}), 0)
    top = _append(table, _block(index), 0)
    table += (nothing + top).ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    Path(f"{beginning}.index").write_bytes(table)
    Path(f"{beginning}.data-00000-of-00001").write_bytes(data)


def _append(table: bytearray, block: bytes, kind: int) -> bytes:
    handle = _varint(len(table)) + _varint(len(block))
    whole = block + bytes([kind])
    table += whole + struct.pack("<I", masked_sum(whole))
    return handle


def _block(entries: Mapping[bytes, bytes]) -> bytes:
    out, restarts, before = bytearray(), [0], b""
    for count, (key, value) in enumerate(entries.items()):
        shared = 0
        if count and count % RESTART == 0:
            restarts.append(len(out))
        elif count:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        out += _varint(shared) + _varint(len(key) - shared) + _varint(len(value))
        out += key[shared:] + value
        before = key
    return bytes(out) + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def _field(number: int, wire: int, value: bytes) -> bytes:
    head = _varint(number << 3 | wire)
    return head + (_varint(len(value)) + value if wire == 2 else value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
