"""The loops of `attributes@1`, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.engines.raster_kernels import compiled

__all__ = ["lay_over", "mark_outside", "paint", "resample", "sample_picture"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]


@compiled(fast=False)
def paint(
    ids: I32,  # [S, S]
    barycentric: F32,  # [S, S, 3], perspective correct
    triangles: I32,  # [T, 3]
    vertices: F32,  # [V, 4 + A]
    flip: bool,  # row 0 of `ids` is the picture's last
    right: np.float32,  # whole or not, how far the picture is moved to the right
    down: np.float32,
    values: F32,  # [A, S, S], changed: 0 to 255, 0 where nothing is
    covered: U8,  # [S, S], changed: 1 where something is
) -> None:
    """Fill what a rasterizer found with the vertices' attributes, moved by whole pixels.

    A pixel whose attributes are all negative counts as not covered.
    """
    size = ids.shape[0]
    attributes = values.shape[0]
    half, zero, full = np.float32(0.5), np.float32(0), np.float32(255)
    for row in range(size):
        from_row = int(np.floor(np.float32(row) + half - down))
        for column in range(size):
            covered[row, column] = 0
            for a in range(attributes):
                values[a, row, column] = zero
            from_column = int(np.floor(np.float32(column) + half - right))
            if from_row < 0 or from_row >= size or from_column < 0 or from_column >= size:
                continue
            drawn = size - 1 - from_row if flip else from_row
            t = ids[drawn, from_column]
            if t < 0:
                continue
            i, j, k = triangles[t]
            first, second, third = barycentric[drawn, from_column]
            seen = False
            for a in range(attributes):
                value = (
                    vertices[i, 4 + a] * first
                    + vertices[j, 4 + a] * second
                    + vertices[k, 4 + a] * third
                )
                seen = seen or value >= zero
                values[a, row, column] = min(max(value, zero), full)
            covered[row, column] = 1 if seen else 0


@compiled(fast=False)
def mark_outside(
    covered: U8,  # [S, S], 0 where nothing is
    diagonal: bool,  # pixels that touch at a corner are neighbours
    stack: I32,  # [S * S], room to work
    outside: U8,  # [S, S], changed: 1 where nothing is and a way leads to the border
) -> None:
    """Find what is not enclosed by what is covered."""
    size = covered.shape[0]
    outside[:] = 0
    count = 0
    for n in range(size):
        for side in range(4):
            row = n if side < 2 else (0 if side == 2 else size - 1)
            column = (0 if side == 0 else size - 1) if side < 2 else n
            if not covered[row, column] and not outside[row, column]:
                outside[row, column] = 1
                stack[count] = row * size + column
                count += 1
    while count:
        count -= 1
        place = stack[count]
        row, column = place // size, place % size
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                if not diagonal and dx and dy:
                    continue
                y, x = row + dy, column + dx
                if y < 0 or x < 0 or y >= size or x >= size:
                    continue
                if not covered[y, x] and not outside[y, x]:
                    outside[y, x] = 1
                    stack[count] = y * size + x
                    count += 1


@compiled(fast=True)
def lay_over(
    levels: U8,  # [3, S, S], changed: the drawing, 0 in its holes
    outside: U8,  # [S, S], 1 where the picture stays
    picture: U8,  # [3, S, S]
) -> None:
    """Put a picture where there is no head; holes of the head stay black."""
    for channel in range(3):
        for row in range(outside.shape[0]):
            for column in range(outside.shape[1]):
                if outside[row, column]:
                    levels[channel, row, column] = picture[channel, row, column]


@compiled(fast=True)
def sample_picture(
    luma: U8,  # [H, W]
    blue: U8,  # [H/2, W/2]
    red: U8,  # [H/2, W/2]
    place: F32,  # [2, 3], from (x, y, 1) in the crop to the picture, centres at integers
    across: int,  # samples of a pixel, in both directions
    out: U8,  # [3, S, S], changed: red, green, blue
) -> None:
    """Set the crop of an I420 picture (BT.601, limited range), its edge's own value outside."""
    size = out.shape[1]
    share = np.float32(1.0) / np.float32(across * across)
    for row in range(size):
        for column in range(size):
            y = u = v = np.float32(0)
            for n in range(across):
                cy = (
                    np.float32(row)
                    + (np.float32(n) + np.float32(0.5)) / np.float32(across)
                    - np.float32(0.5)
                )
                for m in range(across):
                    cx = (
                        np.float32(column)
                        + (np.float32(m) + np.float32(0.5)) / np.float32(across)
                        - np.float32(0.5)
                    )
                    fx = place[0, 0] * cx + place[0, 1] * cy + place[0, 2]
                    fy = place[1, 0] * cx + place[1, 1] * cy + place[1, 2]
                    y += _between(luma, fx, fy)
                    # A chroma pixel c stands for luma pixels around 2 c + 1/2.
                    hx = fx * np.float32(0.5) - np.float32(0.25)
                    hy = fy * np.float32(0.5) - np.float32(0.25)
                    u += _between(blue, hx, hy)
                    v += _between(red, hx, hy)
            grey = np.float32(255.0 / 219.0) * (y * share - np.float32(16))
            cb, cr = u * share - np.float32(128), v * share - np.float32(128)
            out[0, row, column] = _level(grey + np.float32(255.0 / 224.0 * 1.402) * cr)
            out[1, row, column] = _level(
                grey
                - np.float32(255.0 / 224.0 * 1.772 * 0.114 / 0.587) * cb
                - np.float32(255.0 / 224.0 * 1.402 * 0.299 / 0.587) * cr
            )
            out[2, row, column] = _level(grey + np.float32(255.0 / 224.0 * 1.772) * cb)


@compiled(fast=True)
def _level(value: np.float32) -> np.uint8:
    return np.uint8(min(max(value + np.float32(0.5), np.float32(0)), np.float32(255)))


@compiled(fast=True)
def _between(plane: U8, x: np.float32, y: np.float32) -> np.float32:
    height, width = plane.shape
    x = min(max(x, np.float32(0)), np.float32(width - 1))
    y = min(max(y, np.float32(0)), np.float32(height - 1))
    column, row = int(x), int(y)
    right, below = min(column + 1, width - 1), min(row + 1, height - 1)
    fx, fy = x - np.float32(column), y - np.float32(row)
    upper = (
        np.float32(plane[row, column]) * (np.float32(1) - fx) + np.float32(plane[row, right]) * fx
    )
    lower = (
        np.float32(plane[below, column]) * (np.float32(1) - fx)
        + np.float32(plane[below, right]) * fx
    )
    value: np.float32 = upper + (lower - upper) * fy
    return value


@compiled(fast=False)
def resample(
    picture: U8,  # [C, S, S]
    first: I32,  # [O], the first pixel that each new pixel is made of
    weights: I32,  # [O, K], shares in 2**22ths, 0 beyond
    between: U8,  # [S, O], room to work
    out: U8,  # [C, O, O], changed
) -> None:
    """Change a picture's size: columns first, then rows, with bytes between.

    The arithmetic is the usual one of 8-bit pictures: whole numbers, 22 bits of fraction.
    """
    channels, size, _ = picture.shape
    count, taps = weights.shape
    for channel in range(channels):
        for row in range(size):
            for column in range(count):
                total = np.int64(1 << 21)
                for k in range(taps):
                    at = first[column] + k
                    if at < size:
                        total += np.int64(picture[channel, row, at]) * weights[column, k]
                level = min(max(total >> 22, np.int64(0)), np.int64(255))
                between[row, column] = np.uint8(level)
        for row in range(count):
            for column in range(count):
                total = np.int64(1 << 21)
                for k in range(taps):
                    at = first[row] + k
                    if at < size:
                        total += np.int64(between[at, column]) * weights[row, k]
                level = min(max(total >> 22, np.int64(0)), np.int64(255))
                out[channel, row, column] = np.uint8(level)
