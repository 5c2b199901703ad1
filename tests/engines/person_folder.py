"""A folder of person files whose persons cannot run, which is enough for lists."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

from tests.engines import sample_file
from visavis.engines.person import write_person
from visavis.engines.person_zip import pack, unpack

__all__ = ["AGREED", "agreed", "put", "write_many"]

AGREED = {"subject": "Sample", "given": "not needed: a drawing"}


def agreed(name: str, **change: Any) -> bytes:
    """A person file that states a consent; `change` goes into its person.json unchecked."""
    document = {**sample_file.manifest(), "name": name, "consent": AGREED, **change}
    return pack(_members(document), first="person.json")


def put(path: Path, data: bytes) -> Path:
    """Put a file in place as a whole, as an export does."""
    made = path.with_name(f".{path.name}.new")
    made.write_bytes(data)
    os.replace(made, path)
    return path


def write_many(folder: Path, count: int) -> None:
    """Write persons p0000, p0001 and so on."""
    for index in range(count):
        (folder / f"p{index:04}.person").write_bytes(agreed(f"p{index:04}"))


@functools.cache
def _sample() -> dict[str, bytes]:
    return unpack(write_person(sample_file.manifest(), sample_file.parts()))


def _members(document: dict[str, Any]) -> dict[str, bytes]:
    whole = _sample()
    listed = json.loads(whole["person.json"])["parts"]
    text = json.dumps({**document, "parts": listed}, ensure_ascii=False)
    return {**whole, "person.json": text.encode()}
