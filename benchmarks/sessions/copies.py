"""Persons under other names: as many as a measurement needs, where only one exists.

They have the same weights. A server cannot know that: each is a file of its own with an id of its
own, is loaded by itself and shares nothing.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from visavis.engines.person import Person, write_person
from visavis.engines.person_zip import pack

__all__ = ["copies", "listed_only"]

MANIFEST = "person.json"
STAND_IN_BYTES = 1024


def copies(person: Person, count: int, folder: Path) -> list[Path]:
    """Write so many person files, named ``NAME-001`` and so on; equal calls, equal bytes."""
    manifest = {key: value for key, value in person.manifest.items() if key != "parts"}
    paths = []
    for number in range(1, count + 1):
        name = f"{person.name}-{number:03}"
        path = folder / f"{name}.person"
        path.write_bytes(
            write_person(
                {**manifest, "name": name, "display_name": f"{person.display_name} {number}"},
                person.parts,
            )
        )
        paths.append(path)
    return paths


def listed_only(person: Person, count: int, folder: Path) -> None:
    """Write person files that can be listed and not be shown: their large parts are cut short.

    The zip, every size and every hash are right, so whoever lists them cannot tell the difference;
    a thousand whole ones would take 10 GB.
    """
    parts = {
        name: part if name == person.manifest["poster"] else part[:STAND_IN_BYTES]
        for name, part in person.parts.items()
    }
    entries = {
        name: {"sha256": hashlib.sha256(part).hexdigest(), "size": len(part)}
        for name, part in sorted(parts.items())
    }
    for number in range(1, count + 1):
        name = f"{person.name}-{number:04}"
        document = {**person.manifest, "name": name, "parts": entries}
        data = pack({MANIFEST: json.dumps(document, indent=1).encode(), **parts}, first=MANIFEST)
        (folder / f"{name}.person").write_bytes(data)
