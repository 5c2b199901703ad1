"""CRC-32C of large byte strings, many places at a time.

G. Castagnoli, S. Braeuer, M. Herrmann, "Optimization of cyclic redundancy-check codes with 24 and
32 parity bits", 1993. A CRC is linear: the string is cut into lanes of equal length that are
computed side by side, and the results are joined in pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["crc32c", "masked"]

POLYNOMIAL = 0x82F63B78  # reversed
ALL = 0xFFFFFFFF
LANE_BYTES = 4096

U32 = NDArray[np.uint32]


def crc32c(data: bytes | memoryview) -> int:
    """Return the checksum, 32 bits."""
    given = np.frombuffer(data, np.uint8)
    lanes = 1
    while lanes * LANE_BYTES < len(given):
        lanes *= 2
    length = -(-len(given) // lanes)
    # Zeros in front change nothing while the register is zero; the usual start is added below.
    padded = np.zeros(lanes * length, np.uint8)
    padded[len(padded) - len(given) :] = given
    steps = np.ascontiguousarray(padded.reshape(lanes, length).T)
    register: U32 = np.zeros(lanes, np.uint32)
    for step in steps:
        register = _TABLE[(register ^ step) & np.uint32(0xFF)] ^ (register >> np.uint32(8))
    span = length
    while len(register) > 1:
        register = _moved(register[::2], span) ^ register[1::2]
        span *= 2
    start = _moved(np.array([ALL], np.uint32), len(given))
    return int(register[0] ^ start[0]) ^ ALL


def masked(checksum: int) -> int:
    """Return the checksum as LevelDB's formats store it, so that one of a checksum is no trap."""
    return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & ALL


def _table() -> U32:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        odd = (table & np.uint32(1)) * np.uint32(POLYNOMIAL)
        table = (table >> np.uint32(1)) ^ odd
    return table


_TABLE = _table()


def _moved(register: U32, count: int) -> U32:
    """Return registers after `count` zero bytes."""
    # What a zero byte does, as the images of the 32 bits; squared it is what two bytes do.
    images = _one_byte(np.uint32(1) << np.arange(32, dtype=np.uint32))
    while count:
        if count & 1:
            register = _applied(images, register)
        images = _applied(images, images)
        count >>= 1
    return register


def _one_byte(register: U32) -> U32:
    moved: U32 = _TABLE[register & np.uint32(0xFF)] ^ (register >> np.uint32(8))
    return moved


def _applied(images: U32, register: U32) -> U32:
    result: U32 = np.zeros_like(register)
    for bit, image in enumerate(images):
        result ^= ((register >> np.uint32(bit)) & np.uint32(1)) * image
    return result
