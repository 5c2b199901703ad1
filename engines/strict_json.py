"""JSON as RFC 8259 means it: no duplicate keys, no NaN, bounded size and depth."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from visavis.engines.errors import PersonFileError

__all__ = ["MAX_DEPTH", "MAX_JSON_BYTES", "parse_json"]

MAX_JSON_BYTES = 1 << 20
MAX_DEPTH = 16
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def parse_json(name: str, data: bytes) -> dict[str, Any]:
    """Return the object that `data` holds.

    Args:
        name: the document's name, for the message.

    Raises:
        PersonFileError: it is not one JSON object within the bounds.
    """
    if len(data) > MAX_JSON_BYTES:
        raise PersonFileError(f"{name} is larger than {MAX_JSON_BYTES >> 10} KiB.")
    depth = 0
    # Counted before parsing: a deep document ends CPython's parser with RecursionError at best.
    for bracket in re.findall(rb"[\[\]{}]", _STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise PersonFileError(f"{name} is nested deeper than {MAX_DEPTH} levels.")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
        )
        # A lone surrogate parses and then breaks whoever prints it.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (UnicodeError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0][:120]
        raise PersonFileError(f"{name} is not valid JSON: {reason}.") from None
    if not isinstance(value, dict):
        raise PersonFileError(f"{name} must hold one object.")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:60]!r} appears twice")
    return result


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large")
    return value
