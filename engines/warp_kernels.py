"""Loops over pixels that move them: compiled by numba, as those of `raster_kernels` are.

Between pixels the picture is a Catmull-Rom cubic (E. Catmull and R. Rom, 1974): a line would blur
by half where it lies between two pixels and not at all on one, so that grain would come and go
with the slowest move.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from visavis.engines.raster_kernels import compiled

__all__ = [
    "CELL",
    "PAD",
    "PHASES",
    "displacement",
    "find_runs",
    "paste_eye",
    "phases",
    "warp_runs",
]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]

CELL = 16  # pixels of luma between two points of a field
PHASES = 128  # places between two pixels
STILL = 1.0 / 32.0  # pixels: what moves less is copied
FARTHEST = 128  # pixels that anything is moved
PAD = 20  # pixels that are repeated around a plane


def phases() -> F32:
    """Return the weights of four neighbours, f32[PHASES + 1, 4], for every place between two."""
    t = np.linspace(0.0, 1.0, PHASES + 1)
    rows = [
        -0.5 * t**3 + t**2 - 0.5 * t,
        1.5 * t**3 - 2.5 * t**2 + 1.0,
        -1.5 * t**3 + 2.0 * t**2 + 0.5 * t,
        0.5 * t**3 - 0.5 * t**2,
    ]
    return np.ascontiguousarray(np.stack(rows, axis=1), np.float32)


@compiled(fast=True)
def _lookup(grid: F32, x: np.float32, y: np.float32) -> np.float32:
    """A value between four points of a grid, the edge's own outside."""
    rows, columns = grid.shape
    x = min(max(x, np.float32(0)), np.float32(columns - 1))
    y = min(max(y, np.float32(0)), np.float32(rows - 1))
    column, row = min(int(x), columns - 2), min(int(y), rows - 2)
    fx, fy = x - np.float32(column), y - np.float32(row)
    top = grid[row, column] + (grid[row, column + 1] - grid[row, column]) * fx
    bottom = grid[row + 1, column] + (grid[row + 1, column + 1] - grid[row + 1, column]) * fx
    value: np.float32 = top + (bottom - top) * fy
    return value


@compiled(fast=True)
def displacement(
    source: F32,  # [3, 4], pose of the head in the picture
    wanted: F32,  # [3, 4], pose that it is to have
    breath: np.float32,  # pixels that the torso is raised
    depth: F32,  # [R, C], z in head space
    follow: F32,  # [R, C], share of the head's motion, 0 at the border
    place: F32,  # left, top, step of that grid in head space
    torso: F32,  # [H/16 + 1, W/16 + 1], share of the breath
    out: F32,  # [H/16 + 1, W/16 + 1, 2], set to where a pixel comes from, less where it is
) -> None:
    """Set the field that carries the head from one pose to another, and raises the torso."""
    a, b, c, d = wanted[0, 0], wanted[0, 1], wanted[1, 0], wanted[1, 1]
    scale = np.float32(1) / (a * d - b * c)
    left, top, step = place[0], place[1], np.float32(1) / place[2]
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            x, y = np.float32(column * CELL), np.float32(row * CELL)
            rx, ry = x - wanted[0, 3], y - wanted[1, 3]
            z = np.float32(0)
            hx, hy = np.float32(0), np.float32(0)
            # Which point of the head is seen there depends a little on how deep it lies.
            for _ in range(3):
                px, py = rx - wanted[0, 2] * z, ry - wanted[1, 2] * z
                hx, hy = (d * px - b * py) * scale, (a * py - c * px) * scale
                z = _lookup(depth, (hx - left) * step, (hy - top) * step)
            share = _lookup(follow, (hx - left) * step, (hy - top) * step)
            sx = source[0, 0] * hx + source[0, 1] * hy + source[0, 2] * z + source[0, 3]
            sy = source[1, 0] * hx + source[1, 1] * hy + source[1, 2] * z + source[1, 3]
            wx = a * hx + b * hy + wanted[0, 2] * z + wanted[0, 3]
            wy = c * hx + d * hy + wanted[1, 2] * z + wanted[1, 3]
            out[row, column, 0] = share * (sx - wx)
            out[row, column, 1] = share * (sy - wy) + (
                (np.float32(1) - share) * torso[row, column] * breath
            )


@compiled(fast=True)
def _cubic(picture: U8, weights: F32, x: np.float32, y: np.float32) -> np.float32:
    """Sample at a place whose whole numbers are the middles of pixels; the border goes on."""
    height, width = picture.shape
    x = min(max(x, np.float32(0)), np.float32(width - 1))
    y = min(max(y, np.float32(0)), np.float32(height - 1))
    column, row = int(x), int(y)
    i = int((x - np.float32(column)) * np.float32(PHASES) + np.float32(0.5))
    j = int((y - np.float32(row)) * np.float32(PHASES) + np.float32(0.5))
    a, b, c, d = weights[i, 0], weights[i, 1], weights[i, 2], weights[i, 3]
    total = np.float32(0)
    if 1 <= column < width - 2 and 1 <= row < height - 2:
        for k in range(4):
            r = row + k - 1
            total += weights[j, k] * (
                a * np.float32(picture[r, column - 1])
                + b * np.float32(picture[r, column])
                + c * np.float32(picture[r, column + 1])
                + d * np.float32(picture[r, column + 2])
            )
        return total
    for k in range(4):
        r = min(max(row + k - 1, 0), height - 1)
        total += weights[j, k] * (
            a * np.float32(picture[r, max(column - 1, 0)])
            + b * np.float32(picture[r, column])
            + c * np.float32(picture[r, min(column + 1, width - 1)])
            + d * np.float32(picture[r, min(column + 2, width - 1)])
        )
    return total


@compiled(fast=True)
def find_runs(
    field: F32,  # [rows, columns, 2], pixels of luma
    unit: int,  # pixels of luma in one of the plane: 1 or 2
    height: int,
    width: int,
    runs: I32,  # [M, 5], set to row, begin, end, and whole pixels right and down
    lines: F32,  # [M, 4], set to where the first pixel lies beyond those, and steps: x, y
) -> int:
    """Cut what moves into runs of pixels whose neighbours lie side by side; return how many.

    What does not fit into `runs` is left out, so that work is bounded whatever the field is.
    """
    cell = CELL // unit
    scale = np.float32(1) / np.float32(unit)
    step = np.float32(1) / np.float32(cell)
    far, half = np.float32(FARTHEST), np.float32(0.5)
    count = 0
    for r in range(field.shape[0] - 1):
        for c in range(field.shape[1] - 1):
            moves = np.float32(0)
            for k in range(2):
                moves = max(moves, abs(field[r, c, k]), abs(field[r, c + 1, k]))
                moves = max(moves, abs(field[r + 1, c, k]), abs(field[r + 1, c + 1, k]))
            if not moves > np.float32(STILL):
                continue
            begin, end = c * cell, min((c + 1) * cell, width)
            for row in range(r * cell, min((r + 1) * cell, height)):
                down = (np.float32(row - r * cell) + half) * step
                x = (field[r, c, 0] + (field[r + 1, c, 0] - field[r, c, 0]) * down) * scale
                y = (field[r, c, 1] + (field[r + 1, c, 1] - field[r, c, 1]) * down) * scale
                right = field[r, c + 1, 0] + (field[r + 1, c + 1, 0] - field[r, c + 1, 0]) * down
                gx = (right * scale - x) * step
                right = field[r, c + 1, 1] + (field[r + 1, c + 1, 1] - field[r, c + 1, 1]) * down
                gy = (right * scale - y) * step
                first = begin
                while first < end and count < len(runs):
                    q = np.float32(first - begin) + half
                    x0 = min(max(x + gx * q, -far), far)
                    y0 = min(max(y + gy * q, -far), far)
                    ix, iy = int(x0 + far) - FARTHEST, int(y0 + far) - FARTHEST
                    q = np.float32(end - 1 - begin) + half
                    last = first + 1
                    # Going straight, it is between two pixels in the middle if it is at both ends.
                    if (
                        int(min(max(x + gx * q, -far), far) + far) - FARTHEST == ix
                        and int(min(max(y + gy * q, -far), far) + far) - FARTHEST == iy
                    ):
                        last = end
                    while last < end:
                        q = np.float32(last - begin) + half
                        if (
                            int(min(max(x + gx * q, -far), far) + far) - FARTHEST != ix
                            or int(min(max(y + gy * q, -far), far) + far) - FARTHEST != iy
                        ):
                            break
                        last += 1
                    runs[count, 0], runs[count, 1], runs[count, 2] = row, first, last
                    runs[count, 3], runs[count, 4] = ix, iy
                    lines[count, 0], lines[count, 1] = x0 - np.float32(ix), gx
                    lines[count, 2], lines[count, 3] = y0 - np.float32(iy), gy
                    count += 1
                    first = last
    return count


@compiled(fast=True)
def _sample_run(
    above: U8,  # [CELL + 3], the rows that a run comes from
    here: U8,
    below: U8,
    under: U8,
    x: np.float32,
    gx: np.float32,
    y: np.float32,
    gy: np.float32,
    out: U8,  # [CELL]
) -> None:
    """Sample a run; always as long and without branches, so that all is done at once."""
    half, one, two = np.float32(0.5), np.float32(1), np.float32(2)
    three, five = np.float32(3), np.float32(5)
    u1, u2, u3 = np.uint64(1), np.uint64(2), np.uint64(3)
    for c in range(np.uint64(CELL)):
        q = np.float32(np.int32(c))
        t = x + gx * q
        a, b = half * t * (t * (two - t) - one), half * (t * t * (three * t - five) + two)
        d = half * t * t * (t - one)
        e = one - a - b - d
        r0 = a * np.float32(above[c]) + b * np.float32(above[c + u1])
        r0 += e * np.float32(above[c + u2]) + d * np.float32(above[c + u3])
        r1 = a * np.float32(here[c]) + b * np.float32(here[c + u1])
        r1 += e * np.float32(here[c + u2]) + d * np.float32(here[c + u3])
        r2 = a * np.float32(below[c]) + b * np.float32(below[c + u1])
        r2 += e * np.float32(below[c + u2]) + d * np.float32(below[c + u3])
        r3 = a * np.float32(under[c]) + b * np.float32(under[c + u1])
        r3 += e * np.float32(under[c + u2]) + d * np.float32(under[c + u3])
        t = y + gy * q
        a, b = half * t * (t * (two - t) - one), half * (t * t * (three * t - five) + two)
        d = half * t * t * (t - one)
        value = a * r0 + b * r1 + (one - a - b - d) * r2 + d * r3 + half
        out[c] = np.uint8(np.int32(min(max(value, np.float32(0)), np.float32(255))))


@compiled(fast=True)
def warp_runs(
    padded: U8,  # [H + 2 PAD, W + 2 PAD], the plane with its border repeated
    runs: I32,  # [M, 5]
    lines: F32,  # [M, 4]
    count: int,  # of the runs
    out: U8,  # [H, W], changed where it moves
) -> None:
    """Draw runs; see `find_runs`. A kernel of its own: inlined, it would go pixel by pixel."""
    rows, columns = padded.shape
    sampled = np.empty(CELL, np.uint8)
    for k in range(count):
        row, begin, end = runs[k, 0], runs[k, 1], runs[k, 2]
        first = min(max(begin + runs[k, 3] - 1 + PAD, 0), columns - CELL - 3)
        last = first + CELL + 3
        top = min(max(row + runs[k, 4] - 1 + PAD, 0), rows - 4)
        _sample_run(
            padded[top, first:last],
            padded[top + 1, first:last],
            padded[top + 2, first:last],
            padded[top + 3, first:last],
            lines[k, 0],
            lines[k, 1],
            lines[k, 2],
            lines[k, 3],
            sampled,
        )
        for i in range(end - begin):
            out[row, begin + i] = sampled[i]


@compiled(fast=True)
def paste_eye(
    patch: U8,  # [h, w], a piece of the picture that has the eye
    corner: F32,  # left and top of the piece, pixels of luma
    source: F32,  # [3, 4], pose of the head in it
    wanted: F32,  # [3, 4], pose of the head in `out`
    eye: F32,  # x, y, z, half width and half height in head space
    share: np.float32,
    unit: int,  # pixels of luma in one of the plane: 1 or 2
    weights: F32,  # of `phases`
    out: U8,  # [H, W], changed inside the ellipse
) -> None:
    """Lay an eye of another picture over this one, feathered to the border of its ellipse."""
    height, width = out.shape
    scale = np.float32(1) / np.float32(unit)
    half = np.float32(0.5)
    a, b, c, d = wanted[0, 0], wanted[0, 1], wanted[1, 0], wanted[1, 1]
    inverse = np.float32(1) / (a * d - b * c)
    z = eye[2]
    ox, oy = wanted[0, 2] * z + wanted[0, 3], wanted[1, 2] * z + wanted[1, 3]
    qx, qy = source[0, 2] * z + source[0, 3], source[1, 2] * z + source[1, 3]
    mx, my = a * eye[0] + b * eye[1] + ox, c * eye[0] + d * eye[1] + oy
    reach = math.sqrt(a * a + c * c) * max(eye[3], eye[4]) * np.float32(1.1)
    first, last = max(0, int((my - reach) * scale)), min(height, int((my + reach) * scale) + 2)
    begin, end = max(0, int((mx - reach) * scale)), min(width, int((mx + reach) * scale) + 2)
    for row in range(first, last):
        for column in range(begin, end):
            px = (np.float32(column) + half) * np.float32(unit) - ox
            py = (np.float32(row) + half) * np.float32(unit) - oy
            hx, hy = (d * px - b * py) * inverse, (a * py - c * px) * inverse
            ex, ey = (hx - eye[0]) / eye[3], (hy - eye[1]) / eye[4]
            radius = math.sqrt(ex * ex + ey * ey)
            if radius >= np.float32(1):
                continue
            edge = min((np.float32(1) - radius) * np.float32(2.2), np.float32(1))
            alpha = share * edge * edge * (np.float32(3) - np.float32(2) * edge)
            sx = source[0, 0] * hx + source[0, 1] * hy + qx - corner[0]
            sy = source[1, 0] * hx + source[1, 1] * hy + qy - corner[1]
            new = _cubic(patch, weights, sx * scale - half, sy * scale - half)
            old = np.float32(out[row, column])
            value = old + alpha * (new - old) + half
            out[row, column] = np.uint8(min(max(value, np.float32(0)), np.float32(255)))
