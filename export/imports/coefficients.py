"""Coefficients of a face, frame by frame, as the programs of published systems leave them.

`headpose` and `style_avatar` leave a folder of `frameN.mat`, each with `coeff` [1, 257] and, the
former, `lm_5p` [5, 2]: how far five points of the face moved since frame 0, in pixels of its crop.
An .npy of rows is taken as well. Nothing is unpickled, and what is too large is not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.export.imports.errors import ImportRefused
from visavis.export.mat_file import Header, MatError, load, scan

__all__ = ["COUNT", "Track", "read_track"]

F32 = NDArray[np.float32]

COUNT = 257
POINTS = (5, 2)
MOST_FRAMES = 30_000
MOST_BYTES = 1 << 20  # of one frame's file
LARGEST = 1e4  # of any number
_FRAME = re.compile(r"frame(\d{1,6})\.mat")


@dataclass(frozen=True, slots=True)
class Track:
    """Coefficients of T frames.

    Attributes:
        coefficients: f32[T, 257], see `models.systems.headpose.face.split`.
        shifts: f32[T, 2], how far the face moved right and down since frame 0, in pixels of the
            crop of 224; None where that was not stored.
    """

    coefficients: F32
    shifts: F32 | None


def read_track(path: Path, most: int | None = None) -> Track:
    """Read coefficients.

    Args:
        path: a folder of `frame0.mat`, `frame1.mat` and so on; one .mat; an .npy of rows.
        most: frames to read, the first ones; all where None.

    Raises:
        ImportRefused: there are none, one is damaged, missing or of another length.
    """
    if path.is_dir():
        return _folder(path, most)
    if path.suffix == ".npy":
        rows = _array(path)[:most]
        return Track(rows, None)
    coefficients, points = _frame(path)
    return Track(coefficients[None], None if points is None else points.mean(0)[None])


def _folder(path: Path, most: int | None) -> Track:
    numbers = sorted(
        int(found[1]) for entry in path.iterdir() if (found := _FRAME.fullmatch(entry.name))
    )
    if not numbers:
        raise ImportRefused(f"{path} holds no frame0.mat, frame1.mat and so on.")
    if len(numbers) > MOST_FRAMES:
        raise ImportRefused(f"{path} holds {len(numbers)} frames, more than {MOST_FRAMES}.")
    missing = next((n for n, number in enumerate(numbers) if n != number), None)
    if missing is not None:
        raise ImportRefused(f"{path} lacks frame{missing}.mat.")
    rows, points = zip(*(_frame(path / f"frame{n}.mat") for n in numbers[:most]), strict=True)
    without = next((n for n, one in enumerate(points) if one is None), None)
    if without is not None and any(one is not None for one in points):
        raise ImportRefused(f"{path}/frame{without}.mat has no lm_5p, other frames have.")
    shifts = None if without is not None else np.stack([one.mean(0) for one in points])
    return Track(np.stack(rows), shifts)


def _frame(path: Path) -> tuple[F32, F32 | None]:
    """Return f32[257] and, where it is there, f32[5, 2]."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ImportRefused(f"{path} is larger than one frame's coefficients are.")
        there = scan(path)
        if "coeff" not in there:
            raise ImportRefused(f"{path} holds no coeff; is it of Deep3DFaceReconstruction?")
        coefficients = _numbers(path, "coeff", there["coeff"]).ravel()
        points = _numbers(path, "lm_5p", there["lm_5p"]) if "lm_5p" in there else None
    except OSError as error:
        raise ImportRefused(f"{path} cannot be read: {(error.strerror or '').lower()}.") from None
    except MatError as error:
        raise ImportRefused(f"{path} cannot be read: {error}.") from None
    if len(coefficients) != COUNT:
        raise ImportRefused(f"{path} holds {len(coefficients)} coefficients, not {COUNT}.")
    if points is not None and points.shape != POINTS:
        raise ImportRefused(f"{path}: lm_5p is of shape {points.shape}, not of five points.")
    return coefficients, points


def _numbers(path: Path, name: str, header: Header) -> F32:
    if header.kind != "numbers":
        raise ImportRefused(f"{path}: {name} holds {header.kind}, and not numbers.")
    return _bearable(path, name, load(path, header))


def _array(path: Path) -> F32:
    try:
        if path.stat().st_size > MOST_FRAMES * COUNT * 8 + 1024:
            raise ImportRefused(f"{path} is larger than {MOST_FRAMES} frames of coefficients.")
        rows = np.load(path, allow_pickle=False)
    except OSError as error:
        raise ImportRefused(f"{path} cannot be read: {(error.strerror or '').lower()}.") from None
    except (ValueError, EOFError, SyntaxError):
        raise ImportRefused(f"{path} is no array of numbers.") from None
    if rows.dtype.kind not in "fiu" or rows.ndim not in (1, 2) or rows.shape[-1] != COUNT:
        raise ImportRefused(f"{path} is of shape {rows.shape}, not of rows of {COUNT} numbers.")
    if not rows.size:
        raise ImportRefused(f"{path} holds no frames.")
    return _bearable(path, "an array", np.atleast_2d(rows))


def _bearable(path: Path, name: str, values: NDArray[np.generic]) -> F32:
    floats = values.astype(np.float64)
    if not (np.abs(floats) < LARGEST).all():  # nor NaN
        raise ImportRefused(f"{path}: {name} has numbers that are too large or not finite.")
    return np.ascontiguousarray(floats, np.float32)
