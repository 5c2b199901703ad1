"""Reads a pickled dict of numpy arrays without running what a pickle may want to run.

A pickle names functions to be called. The few that an array needs are replaced by ours, which take
shape and bytes, call nothing and make no memory that the file does not fill; every other name is
refused.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.export.imports.errors import ImportRefused

__all__ = ["MAX_BYTES", "read_arrays"]

MAX_BYTES = 1 << 20

F = NDArray[np.floating]


def read_arrays(path: Path) -> dict[str, F]:
    """Return the arrays of a file by name.

    Raises:
        ImportRefused: it is larger than `MAX_BYTES`, wants something run, or holds anything but
            arrays of floats.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImportRefused(f"{path.name!r} cannot be read: {error.strerror}.") from None
    if len(data) > MAX_BYTES:
        raise ImportRefused(f"{path.name!r} is larger than such a file may be.")
    try:
        value = _Arrays(io.BytesIO(data), encoding="latin1").load()
    except ImportRefused as error:
        raise ImportRefused(f"{path.name!r} {error}") from None
    # Damaged bytes can make a pickle fail in any way.
    except Exception:
        raise ImportRefused(f"{path.name!r} is no pickled dict of arrays.") from None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ImportRefused(f"{path.name!r} is no pickled dict of arrays.")
    if not all(isinstance(item, _Array) for item in value.values()):
        raise ImportRefused(f"{path.name!r} is no pickled dict of arrays of floats.")
    return {key: item.array for key, item in value.items()}


class _Kind:
    """Stands for a type of numbers: `f4` and such, and the order of its bytes."""

    def __init__(self, code: Any, *rest: Any) -> None:
        self.code, self.order = str(code), "<"

    def __setstate__(self, state: Any) -> None:
        self.order = {"<": "<", ">": ">"}.get(str(state[1]), "<")

    @property
    def numbers(self) -> np.dtype[Any]:
        if self.code not in ("f2", "f4", "f8"):
            raise ValueError("no floats")
        return np.dtype(self.order + self.code)


class _Array:
    """Stands for an array; its state is its shape and bytes."""

    def __init__(self, *rest: Any) -> None:
        self.array: F = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, columns, data = state
        self.array = _numbers(data, kind).reshape(shape, order="F" if columns else "C")


def _numbers(data: Any, kind: Any) -> F:
    given = data.encode("latin1") if isinstance(data, str) else bytes(data)
    numbers: F = np.frombuffer(given, kind.numbers)
    return numbers


def _scalar(kind: Any, data: Any) -> _Array:
    made = _Array()
    made.array = _numbers(data, kind)[0]
    return made


def _buffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    made = _Array()
    made.array = _numbers(data, kind).reshape(shape, order="F" if order == "F" else "C")
    return made


def _encoded(text: Any, encoding: Any) -> bytes:
    return str(text).encode("latin1")


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _encoded,
    **{
        (f"numpy.{core}.{module}", name): made
        for core in ("core", "_core")
        for module, name, made in (
            ("multiarray", "_reconstruct", _Array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _buffer),
        )
    },
}


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise ImportRefused(f"wants to run {module}.{name}, which is refused."[:200])
        return _KNOWN[module, name]
