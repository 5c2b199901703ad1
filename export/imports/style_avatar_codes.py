"""Style codes for `style_avatar`: from a file, or measured on how somebody talks in a clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.export.imports.array_pickle import read_arrays
from visavis.export.imports.errors import ImportRefused
from visavis.models.systems.style_avatar.motion import FRAMES, STYLE
from visavis.models.systems.style_avatar.style import Spread, style_code

__all__ = ["Styles", "code_of_track", "read_spread", "read_styles"]

F32 = NDArray[np.float32]

MAX_STYLES = 64
MAX_BYTES = 64 << 20
TRACK = 257  # coefficients of a frame
# Where the two files of the original's `data/ted_hd` keep mean and deviation of which numbers: the
# expression's spread, that of its steps, that of the pose's steps.
PARTS = (("exp", "s"), ("exp", "d_s"), ("pose", "d_s"))
LARGEST = 100.0  # of a code's numbers, which are standard deviations


@dataclass(frozen=True, slots=True)
class Styles:
    """Styles to choose from.

    Attributes:
        names: one each. codes: f32[K, 135].
    """

    names: tuple[str, ...]
    codes: F32


def read_styles(paths: Sequence[Path], read_track: Callable[[Path], F32]) -> Styles:
    """Return the styles of files, in their order.

    Args:
        paths: codes (.npy of 135 numbers, or [K, 135]); coefficients of clips, [F, 257]; with
            those also `exp_mean_std.pkl` and `pose_mean_std.pkl` of the original.
        read_track: reads the coefficients f32[F, 257] of a file or folder.

    Raises:
        ImportRefused: a file is none of these, or a clip is too short.
    """
    spreads = [path for path in paths if path.suffix == ".pkl"]
    names: list[str] = []
    codes: list[F32] = []
    for path in paths:
        if path in spreads:
            continue
        rows = _numbers(path) if path.suffix == ".npy" else None
        if rows is not None and rows.shape[-1] == STYLE and rows.ndim in (1, 2):
            given = rows.reshape(-1, STYLE)
            many = len(given) > 1
            names += [f"{path.stem} {n}" if many else path.stem for n in range(1, len(given) + 1)]
            codes += list(given)
        elif rows is not None and rows.shape[-1] != TRACK:
            raise ImportRefused(
                f"{path.name!r} is of shape {list(rows.shape)}: a style code has {STYLE} numbers, "
                f"a clip {TRACK} for each frame."
            )
        else:
            if not spreads:
                raise ImportRefused(
                    f"For the style of {path.name!r} exp_mean_std.pkl and pose_mean_std.pkl of the "
                    "training clips are needed."
                )
            names.append(path.stem)
            codes.append(code_of_track(read_track(path), read_spread(spreads), path.name))
    if not codes:
        raise ImportRefused("There is no style among what was given for styles.")
    if len(codes) > MAX_STYLES:
        raise ImportRefused(f"A person has at most {MAX_STYLES} styles, not {len(codes)}.")
    if len(set(names)) < len(names):
        raise ImportRefused("Two styles have the same name; rename a file.")
    stacked = np.asarray(codes, np.float32)
    if not np.abs(stacked).max() <= LARGEST:
        raise ImportRefused("A style code has numbers that are too large or not finite.")
    return Styles(tuple(names), stacked)


def code_of_track(track: F32, spread: Spread, name: str) -> F32:
    """Return the code f32[135] of a clip.

    Args:
        track: f32[F, 257], at 25 frames a second.
        name: of it, for messages.

    Raises:
        ImportRefused: it has less than 32 frames.
    """
    if len(track) < FRAMES:
        raise ImportRefused(
            f"{name!r} has {len(track)} frames; a style is measured on {FRAMES} or more."
        )
    code = style_code(track[:, 80:144], track[:, 224:227], track[:, 254:257], spread)
    return np.asarray(code, np.float32)


def read_spread(paths: Sequence[Path]) -> Spread:
    """Return what the styles of the training clips are like.

    Args:
        paths: `exp_mean_std.pkl` and `pose_mean_std.pkl`, in any order.

    Raises:
        ImportRefused: they are not these two.
    """
    found = {
        kind: read_arrays(path) for path in paths for kind in ("exp", "pose") if kind in path.name
    }
    if len(paths) != 2 or len(found) != 2:
        raise ImportRefused("Of a style's spread there are two files, exp and pose_mean_std.pkl.")
    mean, deviation = (_row(found, kind) for kind in ("m", "s"))
    if mean.shape != (STYLE,) or deviation.shape != (STYLE,) or not deviation.min() > 0.0:
        raise ImportRefused(f"The spread of the styles is not of {STYLE} numbers.")
    return Spread(mean, deviation)


def _row(found: dict[str, dict[str, NDArray[np.floating]]], kind: str) -> F32:
    parts = []
    for file, what in PARTS:
        value = found[file].get(f"{what}_{kind}")
        if value is None:
            raise ImportRefused(f"{file}_mean_std.pkl has no {f'{what}_{kind}'!r}.")
        parts.append(np.asarray(value, np.float32).ravel())
    return np.concatenate(parts)


def _numbers(path: Path) -> F32:
    """Return the array of an .npy file."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ImportRefused(f"{path.name!r} is larger than a file of styles may be.")
        value = np.load(path, allow_pickle=False)
    except OSError as error:
        raise ImportRefused(f"{path.name!r} cannot be read: {error.strerror}.") from None
    except (ValueError, EOFError):
        raise ImportRefused(f"{path.name!r} is no array of numbers.") from None
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or not value.size:
        raise ImportRefused(f"{path.name!r} is no array of numbers.")
    return np.asarray(value, np.float32)
