"""Checks of single values of a JSON document: each returns the value, or says in a sentence where
it is wrong.

`where` begins the sentence. All raise `PersonFileError`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from visavis.engines.errors import PersonFileError

__all__ = [
    "SHA256",
    "as_date",
    "as_integer",
    "as_list",
    "as_match",
    "as_multiple",
    "as_object",
    "as_text",
    "check_keys",
]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")  # all below a space but tab and newline
SHA256 = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def check_keys(
    where: str, value: Mapping[str, Any], required: frozenset[str], optional: frozenset[str]
) -> None:
    """Refuse an object that lacks a key or has one that is not known."""
    if missing := required - value.keys():
        raise PersonFileError(f"{where} lacks {sorted(missing)[0]!r}.")
    if unknown := value.keys() - required - optional:
        raise PersonFileError(f"{where} has {sorted(unknown)[0][:60]!r}, which is not known.")


def as_object(where: str, value: Any) -> dict[str, Any]:
    """Return an object."""
    if not isinstance(value, dict):
        raise PersonFileError(f"{where} must be an object.")
    return value


def as_list(where: str, value: Any, limit: int = 256) -> list[Any]:
    """Return a list of at most `limit` items."""
    if not isinstance(value, list) or len(value) > limit:
        raise PersonFileError(f"{where} must be a list of at most {limit} items.")
    return value


def as_text(where: str, value: Any, limit: int = 120, *, least: int = 1) -> str:
    """Return a text of `least` to `limit` characters, none of which steers a terminal."""
    if not isinstance(value, str) or not least <= len(value) <= limit:
        raise PersonFileError(f"{where} must be a text of {least} to {limit} characters.")
    if _CONTROL.search(value):
        raise PersonFileError(f"{where} must not contain control characters.")
    return value


def as_match(where: str, value: Any, pattern: re.Pattern[str]) -> str:
    """Return a text that is of the pattern as a whole."""
    text = as_text(where, value)
    if not pattern.fullmatch(text):
        raise PersonFileError(f"{where} must look like {pattern.pattern}, not {text[:60]!r}.")
    return text


def as_date(where: str, value: Any) -> datetime.date:
    """Return the day that a text names, as in 2026-11-27."""
    text = as_text(where, value)
    try:
        if _DATE.fullmatch(text):
            return datetime.date.fromisoformat(text)
    except ValueError:
        pass
    raise PersonFileError(f"{where} must be a day, as in 2026-11-27, not {text[:60]!r}.")


def as_integer(where: str, value: Any, low: int, high: int) -> int:
    """Return a whole number from `low` to `high`."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        wanted = str(low) if low == high else f"a whole number from {low} to {high}"
        raise PersonFileError(f"{where} must be {wanted}.")
    return value


def as_multiple(where: str, value: Any, low: int, high: int, step: int) -> int:
    """Return a multiple of `step` from `low` to `high`."""
    if as_integer(where, value, low, high) % step:
        raise PersonFileError(f"{where} must be a multiple of {step}.")
    return int(value)
