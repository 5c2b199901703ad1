"""`made_by` of `person.json`: what a person was made with, from what, and how well it came out.

`docs/person-file.md` describes the fields. Files may hold others: they are for people to read, and
nothing depends on them, so only their size is checked.
"""

from __future__ import annotations

import json
from typing import Any

from visavis.engines.errors import PersonFileError
from visavis.engines.fields import (
    SHA256,
    as_date,
    as_integer,
    as_list,
    as_match,
    as_object,
    as_text,
)

__all__ = ["check_made_by"]

MAX_BYTES = 1 << 16
MAX_ENTRIES = 128
MAX_KEY, MAX_TEXT = 64, 1000
MAX_FRAMES = 1 << 32
MAX_SEED = (1 << 63) - 1


def check_made_by(value: Any) -> None:
    """Check what a person file says of its making.

    Args:
        value: parsed JSON.

    Raises:
        PersonFileError: a field that is known has the wrong type, or there is too much of it.
    """
    made_by = as_object("made_by", value)
    if len(json.dumps(made_by, ensure_ascii=False).encode()) > MAX_BYTES:
        raise PersonFileError(f"made_by is larger than {MAX_BYTES >> 10} KiB.")
    _check_sizes("made_by", made_by)
    for key, item in made_by.items():
        where = f"made_by: {key}"
        match key:
            case "tool" | "version":
                as_text(where, item)
            case "clip_sha256":
                as_match(where, item, SHA256)
            case "clip_frames":
                as_integer(where, item, 1, MAX_FRAMES)
            case "seed":
                as_integer(where, item, 0, MAX_SEED)
            case "made_on":
                as_date(where, item)
            case "settings" | "metrics":
                as_object(where, item)


def _check_sizes(where: str, value: Any) -> None:
    if isinstance(value, dict):
        if len(value) > MAX_ENTRIES:
            raise PersonFileError(f"{where} has more than {MAX_ENTRIES} entries.")
        for key, item in value.items():
            as_text(f"A name in {where}", key, MAX_KEY)
            _check_sizes(f"{where}: {key}", item)
    elif isinstance(value, list):
        for item in as_list(where, value):
            _check_sizes(where, item)
    elif isinstance(value, str):
        as_text(where, value, MAX_TEXT, least=0)
