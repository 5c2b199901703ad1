"""A frame's index, written into its own pixels.

The benchmark must know which frame a viewer sees without asking the server. The index is drawn as a
row of black and white cells along the top edge of the picture: two reference cells at each end, the
Gray code of the index, and a CRC-8 (polynomial 0x07, ITU-T I.432.1). Cells are large enough to
survive VP8 at 1.2 Mbit/s; chroma under them is neutral, so nothing depends on chroma subsampling.

The same decoder exists twice: here, and in ``probe.js`` for the browser.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["CELLS", "INDEX_BITS", "cell_size", "decode", "draw"]

CELLS = 32
INDEX_BITS = 20  # eleven hours at 25 frames a second
CHECK_BITS = 8
BLACK, WHITE, NEUTRAL = 16, 235, 128  # BT.601 limited range
LEAST_CONTRAST = 60


def cell_size(width: int) -> int:
    """Side of one square cell in pixels for a picture of this width; even, at least 4."""
    size = width // CELLS // 2 * 2
    if size < 4:
        raise ValueError(f"a barcode needs a picture at least {4 * CELLS} pixels wide, not {width}")
    return size


def _crc8(value: int) -> int:
    """CRC-8 over the index as three big-endian bytes; starts at 0x55 so that 0 has a check too."""
    crc = 0x55
    for byte in value.to_bytes(3, "big"):
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def _cells(index: int) -> NDArray[np.uint8]:
    """The row of cells for an index: uint8[32], BLACK or WHITE."""
    gray = index ^ (index >> 1)
    payload = gray << CHECK_BITS | _crc8(index)
    bits = [1, 0]
    bits += [payload >> i & 1 for i in reversed(range(INDEX_BITS + CHECK_BITS))]
    bits += [0, 1]
    return np.where(np.array(bits, dtype=bool), np.uint8(WHITE), np.uint8(BLACK))


def draw(i420: NDArray[np.uint8], index: int) -> None:
    """Write ``index`` (modulo 2**20) along the top of an I420 frame uint8[H*3//2, W], in place."""
    rows, width = i420.shape
    height = rows * 2 // 3
    size = cell_size(width)
    row = np.repeat(_cells(index % (1 << INDEX_BITS)), size)
    i420[:size, : row.size] = row
    # The chroma planes lie below the luma plane, each a quarter of its size: two of their rows to
    # one row of the array.
    chroma = i420[height:].reshape(2, height // 2, width // 2)
    chroma[:, : size // 2, : row.size // 2] = NEUTRAL


def decode(luma: NDArray[np.uint8]) -> int | None:
    """The index drawn in a luma plane uint8[H, W] (H at least one cell), or None.

    None means that the references have no contrast or that the check does not fit.
    """
    size = cell_size(luma.shape[1])
    inner = slice(size // 4, size - size // 4)  # away from ringing at the cell's edges
    cells = luma[:size, : CELLS * size].reshape(size, CELLS, size)[inner, :, inner]
    levels = cells.mean(axis=(0, 2))
    white = float(min(levels[0], levels[-1]))
    black = float(max(levels[1], levels[-2]))
    if white - black < LEAST_CONTRAST:
        return None
    payload = 0
    for level in levels[2:-2]:
        payload = payload << 1 | int(level > (white + black) / 2)
    index = payload >> CHECK_BITS
    shift = 1
    while shift < INDEX_BITS:  # Gray to binary
        index ^= index >> shift
        shift *= 2
    return index if _crc8(index) == payload & 0xFF else None
