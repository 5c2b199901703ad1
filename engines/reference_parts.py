"""Checks of the arrays that `references` reads: number, type, shape and room."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.engines.person_manifest import GraphSpec, Shape

__all__ = ["MAX_BYTES", "MAX_ROWS", "UNIT", "check_references", "coarseness"]

UNIT = 127.0  # of 1 in an int8 input
MAX_ROWS = 256  # ticks of a graph with state
MAX_PICTURES = 8  # rows of a graph without: what they become in memory is large
MAX_BYTES = 1 << 20  # of all references of a person
INPUT_TYPES = ("int8", "float16", "float32")
OUTPUT_TYPES = ("uint8", "float16", "float32")


def check_references(
    graphs: Mapping[str, GraphSpec], arrays: Mapping[str, NDArray[np.generic]]
) -> None:
    """Check the references of all graphs.

    Raises:
        PersonFileError: an array does not fit its graph, or they are larger than they may be.
    """
    total = 0
    for name, spec in graphs.items():
        if spec.reference is None:
            continue
        where = f"graphs: {name}: reference"
        most = MAX_ROWS if spec.state else MAX_PICTURES
        rows: set[int] = set()
        for files, shapes, types, coarse in (
            (spec.reference.inputs, spec.inputs, INPUT_TYPES, True),
            (spec.reference.outputs, spec.outputs, OUTPUT_TYPES, False),
        ):
            for key, file in files.items():
                array = arrays[file]
                times = coarseness(array.shape[1:], shapes[key]) if array.ndim else None
                if times is None or (times > 1 and not coarse) or array.dtype.name not in types:
                    raise PersonFileError(
                        f"{where}: {file!r} is {array.dtype.name}{list(array.shape)}, which does "
                        f"not fit {key!r} of shape {list(shapes[key])}."
                    )
                rows.add(len(array))
                total += array.nbytes
        if len(rows) != 1 or not 1 <= min(rows) <= most:
            raise PersonFileError(f"{where} must have 1 to {most} rows, as many in every array.")
    if total > MAX_BYTES:
        raise PersonFileError(f"The references of a person take at most {MAX_BYTES >> 10} KiB.")


def coarseness(stored: Shape, shape: Shape) -> int | None:
    """Return how many values one stored value stands for along each of the last two axes.

    None: the shapes do not belong together.
    """
    if stored == shape:
        return 1
    if len(stored) != len(shape) or len(shape) < 2 or stored[:-2] != shape[:-2] or 0 in stored:
        return None
    times = {wanted / given for wanted, given in zip(shape[-2:], stored[-2:], strict=True)}
    ratio = times.pop()
    return int(ratio) if not times and ratio.is_integer() and ratio >= 1 else None
