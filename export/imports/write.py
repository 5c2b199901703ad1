"""A draft as a person file."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

from visavis import __version__
from visavis.engines.errors import ConfigError, PersonFileError
from visavis.engines.person import Person, read_person, write_person
from visavis.engines.person_manifest import FORMAT
from visavis.export.file_hash import sha256_of
from visavis.export.imports.draft import VIDEO, Draft
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.pictures import encode_footage, poster
from visavis.export.imports.request import Request

__all__ = ["Packed", "pack", "put", "write_import"]

POSTER = "poster.jpg"
LONGEST_NAME = 60


class Packed:
    """What `write_person` takes of a draft; references may be added.

    Attributes:
        manifest, parts: see `write_person`.
    """

    def __init__(self, manifest: dict[str, Any], parts: dict[str, bytes]) -> None:
        self.manifest = manifest
        self.parts = parts

    def data(self) -> bytes:
        """Return the person file.

        Raises:
            ImportRefused: what was made is no valid person.
        """
        try:
            return write_person(self.manifest, self.parts)
        except PersonFileError as error:
            raise ImportRefused(str(error)) from error

    def person(self) -> Person:
        """Return the person; raises as `data`."""
        return read_person(self.data())


def write_import(draft: Draft, request: Request) -> bytes:
    """Return the person file of a draft, without references and not tried.

    Raises:
        ImportRefused: the draft does not fit together.
    """
    return pack(draft, request).data()


def pack(draft: Draft, request: Request) -> Packed:
    """Return what a draft's person file is made of.

    Raises:
        ImportRefused: the pictures cannot be used, or a file of the request cannot be read.
    """
    parts = {**draft.parts, VIDEO: encode_footage(draft.frames), POSTER: poster(draft.frames[0])}
    height, width = (size // 2 * 2 for size in draft.frames[0].shape[:2])
    made_by = {
        "tool": "visavis import",
        "version": __version__,
        "made_on": datetime.datetime.now(datetime.UTC).date().isoformat(),
        **_origin(request),
        **draft.made_by,
    }
    notices = draft.notices
    if draft.contains_licensed is not None:
        made_by["licensed"] = draft.contains_licensed[:1000]
        notices = f"Not to be given on: {draft.contains_licensed}\n{notices}"
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "name": request.name,
        "display_name": request.display_name,
        "system": request.system,
        "fps": 25,
        "width": width,
        "height": height,
        "sample_rate": 16000,
        "lookahead_ms": draft.lookahead_ms,
        "requires": sorted({stage["op"] for stage in draft.stages.values()}),
        "stages": draft.stages,
        "graphs": draft.graphs,
        "poster": POSTER,
        "consent": dict(request.consent),
        "licence": request.licence,
        "notices": notices,
        "contains_licensed": draft.contains_licensed is not None,
        "made_by": made_by,
    }
    if draft.controls:
        manifest["controls"] = draft.controls
    return Packed(manifest, parts)


def put(data: bytes, out: Path) -> None:
    """Write a file at once, or not at all.

    Raises:
        ImportRefused: it cannot be written.
    """
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        try:
            partial.write_bytes(data)
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ImportRefused(f"{out} cannot be written: {reason}.") from error


def _origin(request: Request) -> dict[str, Any]:
    try:
        origin: dict[str, Any] = {
            "settings": {"motion": request.motion, "half": request.half},
            "checkpoints": [
                {"file": _plain(path.name), "sha256": sha256_of(path)}
                for path in request.checkpoints
            ],
        }
        if request.clip is not None:
            origin["clip_sha256"] = sha256_of(request.clip)
    except ConfigError as error:
        raise ImportRefused(str(error)) from error
    return origin


def _plain(name: str) -> str:
    """Return a file's name as a text that may stand in person.json."""
    return "".join(c if c.isprintable() else "?" for c in name)[:LONGEST_NAME]
