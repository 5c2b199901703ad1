"""Values of a request or an answer: each is returned, or said to make no sense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visavis.engines.errors import EngineError

__all__ = ["MAX_NUMBER", "flag", "name_of", "object_of", "optional_whole", "positive", "whole"]

MAX_NUMBER = 1 << 53
_MAX_NAME = 200


def whole(body: Mapping[str, Any], key: str, high: int = MAX_NUMBER) -> int:
    """Return a whole number from 0 to `high`.

    Raises:
        EngineError: there is none of that name.
    """
    value = body.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= high:
        raise EngineError(f"A message has no sensible {key!r}.")
    return value


def optional_whole(body: Mapping[str, Any], key: str, high: int = MAX_NUMBER) -> int | None:
    """As `whole`, or None where there is nothing of that name."""
    return None if body.get(key) is None else whole(body, key, high)


def flag(body: Mapping[str, Any], key: str) -> bool:
    """Return true or false.

    Raises:
        EngineError: there is none of that name.
    """
    value = body.get(key)
    if not isinstance(value, bool):
        raise EngineError(f"A message has no sensible {key!r}.")
    return value


def positive(body: Mapping[str, Any], key: str) -> float:
    """Return a number above 0.

    Raises:
        EngineError: there is none of that name.
    """
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < MAX_NUMBER:
        raise EngineError(f"A message has no sensible {key!r}.")
    return float(value)


def object_of(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return an object.

    Raises:
        EngineError: there is none of that name.
    """
    value = body.get(key)
    if not isinstance(value, dict):
        raise EngineError(f"A message has no sensible {key!r}.")
    return value


def name_of(body: Mapping[str, Any]) -> str:
    """Return the name of a person.

    Raises:
        EngineError: there is none.
    """
    value = body.get("person")
    if not isinstance(value, str) or len(value) > _MAX_NAME:
        raise EngineError("A message names no person.")
    return value
