"""What `audiodvp`'s tracker leaves of a clip: a folder of numbers, one file for each frame.

`alpha` (who it is) and `beta` (albedo) are the same in every frame, `delta` (expression), `gamma`
(light), `rotation` and `translation` are not. A file is a tensor of torch (.pt) or an array (.npy);
nothing in it is run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from visavis.export.imports.checkpoint import read_checkpoint
from visavis.export.imports.errors import ImportRefused

__all__ = ["Track", "read_track"]

F32 = NDArray[np.float32]

NAMES = ("alpha", "beta", "delta", "gamma", "rotation", "translation")
LIGHT, AXES = 27, 3
MOST_FRAMES = 15_000  # ten minutes
MOST_BYTES = 1 << 18  # of one file
MOST_NUMBERS = 400
LARGEST = 1e4  # of any number
SAME = 1e-3  # by which numbers that are shared may differ between the first and the last frame
_FRAME = re.compile(r"(\d{1,8})\.(pt|npy)")


@dataclass(frozen=True, slots=True)
class Track:
    """The numbers of a clip of T frames, of which the first S are shown.

    Attributes:
        alpha: f32[I]. beta: f32[B].
        delta: f32[T, E], of all frames.
        pose: f32[S, 33]: rotation (3, radians), translation (3) and light (27, colour by colour of
            every harmonic).
    """

    alpha: F32
    beta: F32
    delta: F32
    pose: F32


def read_track(path: Path, shown: int) -> Track:
    """Read a folder.

    Args:
        path: the folder with alpha, beta, delta, gamma, rotation and translation.
        shown: frames whose pose is read, at most.

    Raises:
        ImportRefused: a folder or a frame is missing, or a file does not hold such numbers.
    """
    files = {name: _files(path / name) for name in NAMES}
    count = len(files["delta"])
    for name, found in files.items():
        if len(found) != count:
            raise ImportRefused(
                f"{path / name} is of {len(found)} frames and {path / 'delta'} of {count}."
            )
    shown = min(shown, count)
    pose = [
        np.concatenate(
            (
                _numbers(files["rotation"][n], AXES),
                _numbers(files["translation"][n], AXES),
                _numbers(files["gamma"][n], LIGHT),
            )
        )
        for n in range(shown)
    ]
    first = _numbers(files["delta"][0])
    return Track(
        alpha=_shared(files["alpha"]),
        beta=_shared(files["beta"]),
        delta=np.stack([first, *(_numbers(file, len(first)) for file in files["delta"][1:])]),
        pose=np.stack(pose),
    )


def _files(folder: Path) -> list[Path]:
    """Return the files of all frames in order."""
    try:
        found = {
            int(match[1]): entry
            for entry in folder.iterdir()
            if (match := _FRAME.fullmatch(entry.name))
        }
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ImportRefused(
            f"{folder} cannot be read: {reason}; --coefficients names the folder that holds "
            f"{', '.join(NAMES)}."
        ) from None
    if not found:
        raise ImportRefused(f"{folder} holds no 00001.pt, 00002.pt and so on.")
    if len(found) > MOST_FRAMES:
        raise ImportRefused(f"{folder} is of {len(found)} frames, more than {MOST_FRAMES}.")
    first = min(found)
    for number in range(first, first + len(found)):
        if number not in found:
            raise ImportRefused(f"{folder} lacks frame {number}.")
    return [found[number] for number in sorted(found)]


def _shared(files: list[Path]) -> F32:
    values = _numbers(files[0])
    last = _numbers(files[-1], len(values))
    if not np.allclose(values, last, atol=SAME):
        raise ImportRefused(
            f"{files[0].parent} differs from frame to frame; it is of one person, who stays the "
            "same."
        )
    return values


def _numbers(path: Path, count: int | None = None) -> F32:
    """Return the f32[K] of one file, which may be [K, 1]."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ImportRefused(f"{path} is larger than one frame's numbers are.")
        values = _array(path) if path.suffix == ".npy" else _tensor(path)
    except OSError as error:
        raise ImportRefused(
            f"{path} cannot be read: {(error.strerror or str(error)).lower()}."
        ) from None
    if values.dtype.kind not in "fiu" or not 0 < values.size <= MOST_NUMBERS:
        raise ImportRefused(f"{path} holds an array {values.shape}, and not one frame's numbers.")
    if count is not None and values.size != count:
        raise ImportRefused(f"{path} holds {values.size} numbers, not {count}.")
    floats = values.ravel().astype(np.float64)
    if not (np.abs(floats) < LARGEST).all():  # nor NaN
        raise ImportRefused(f"{path} has numbers that are too large or not finite.")
    return floats.astype(np.float32)


def _array(path: Path) -> NDArray[np.generic]:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (ValueError, EOFError, SyntaxError):
        raise ImportRefused(f"{path} is no array of numbers.") from None


def _tensor(path: Path) -> NDArray[np.generic]:
    held = read_checkpoint(path).get("")
    if not isinstance(held, Tensor) or not held.is_floating_point():
        raise ImportRefused(f"{path} does not hold one tensor of one frame's numbers.")
    return held.float().numpy()
