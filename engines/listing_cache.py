"""What a listing knew, kept on disk, so that a thousand files need not be read at every start.

A JSON file in the user's own cache folder: `$VISAVIS_CACHE`, or `~/.cache/visavis`. It is believed
for lists only, and for a file only while that file's stamp is the same; anything odd about it and
it is as if it were not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from visavis import __version__
from visavis.engines.client import ControlNames, PersonInfo
from visavis.engines.errors import PersonFileError
from visavis.engines.fields import SHA256, as_integer, as_list, as_match, as_object, as_text
from visavis.engines.listing import MAX_FILES, Listed
from visavis.engines.look import face_of
from visavis.engines.person_file import Stamp, open_regular

__all__ = ["ListingCache", "cache_folder"]

logger = logging.getLogger(__name__)

FORMAT = 3
MAX_BYTES = 16 << 20


def cache_folder() -> Path:
    """Where derived data lies: `$VISAVIS_CACHE`, or `~/.cache/visavis`."""
    return Path(os.environ.get("VISAVIS_CACHE") or Path.home() / ".cache" / "visavis")


class ListingCache:
    """The cache file of one folder of persons.

    Args:
        folder: whose listing.
        place: where cache files lie.
    """

    def __init__(self, folder: Path, place: Path) -> None:
        self._folder = str(folder.absolute())
        name = hashlib.sha256(self._folder.encode()).hexdigest()[:16]
        self.path = place / f"persons-{name}.json"

    def load(self) -> dict[str, Listed]:
        """Return what was kept, by path; nothing where it is not there, foreign or damaged."""
        if not self.path.exists():
            return {}
        try:
            with open_regular(self.path) as file:
                data = file.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise ValueError("it is too large")
            return _parse(json.loads(data), self._folder)
        except (OSError, ValueError, KeyError, RecursionError, PersonFileError) as error:
            logger.info("the index %s is not used: %s", self.path, str(error)[:200])
            return {}

    def save(self, files: Mapping[str, Listed]) -> None:
        """Keep what is known; where that cannot be written, it is said and nothing else happens."""
        document = {
            "format": FORMAT,
            "written_by": __version__,
            "folder": self._folder,
            "files": {path: _pack(listed) for path, listed in files.items()},
        }
        data = json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode()
        if len(data) > MAX_BYTES:
            logger.warning("the index of %s is too large to be kept", self._folder)
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".persons-", dir=self.path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                os.replace(name, self.path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name)
                raise
        except OSError as error:
            logger.warning("the index %s cannot be kept: %s", self.path, error)


def _pack(listed: Listed) -> dict[str, Any]:
    stamp = listed.stamp
    return {
        "stamp": [stamp.inode, stamp.size, stamp.modified_ns],
        "agreed": listed.agreed,
        "problem": listed.problem,
        "info": None if listed.info is None else asdict(listed.info),
    }


def _parse(document: Any, folder: str) -> dict[str, Listed]:
    value = as_object("the index", document)
    if (value.get("format"), value.get("written_by")) != (FORMAT, __version__):
        raise ValueError("another version wrote it")
    if value.get("folder") != folder:
        raise ValueError("it is of another folder")
    files = as_object("files", value.get("files"))
    if len(files) > 2 * MAX_FILES:
        raise ValueError("it lists too many files")
    return {path: _listed(as_object(path[:80], entry)) for path, entry in files.items()}


def _listed(entry: dict[str, Any]) -> Listed:
    numbers = [
        as_integer("stamp", number, -(1 << 63), 1 << 64)
        for number in as_list("stamp", entry["stamp"])
    ]
    if len(numbers) != 3:
        raise ValueError("a stamp has three numbers")
    agreed = entry["agreed"]
    if not isinstance(agreed, bool):
        raise ValueError("agreed is true or false")
    problem = as_text("problem", entry["problem"], 600, least=0)
    info = None if entry["info"] is None else _info(as_object("info", entry["info"]))
    if (info is None) != bool(problem):
        raise ValueError("a file has a person or a problem")
    return Listed(Stamp(*numbers), info, agreed, problem)


def _info(value: dict[str, Any]) -> PersonInfo:
    flags = [value["has_preview"], value["has_matte"]]
    if not all(isinstance(flag, bool) for flag in flags):
        raise ValueError("has_preview and has_matte are true or false")
    return PersonInfo(
        name=as_text("name", value["name"], 64),
        display_name=as_text("display_name", value["display_name"], 80),
        width=as_integer("width", value["width"], 1, 4096),
        height=as_integer("height", value["height"], 1, 4096),
        fps=as_integer("fps", value["fps"], 1, 100),
        lookahead_ms=as_integer("lookahead_ms", value["lookahead_ms"], 0, 10_000),
        lookaheads_ms=tuple(
            as_integer("lookaheads_ms", number, 0, 10_000)
            for number in as_list("lookaheads_ms", value["lookaheads_ms"])
        ),
        id=as_match("id", value["id"], SHA256),
        has_preview=flags[0],
        controls=_controls(as_object("controls", value["controls"])),
        has_matte=flags[1],
        face=None if value["face"] is None else face_of("face", value["face"]),
    )


def _controls(value: dict[str, Any]) -> ControlNames:
    def names(key: str) -> tuple[str, ...]:
        return tuple(as_text(key, name, 60) for name in as_list(key, value[key], 64))

    style = None if value["style"] is None else as_text("style", value["style"], 60)
    return ControlNames(names("styles"), style, names("heads"), names("performances"))
