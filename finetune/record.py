"""`finetune.json`: what a training folder was made from, and which person files from it.

::

    {"format": 1,
     "clip_sha256": "69cd...",
     "made": [{"path": "/home/a/anna.person", "id": "0f3e..."}]}

`id` is the person's, the SHA-256 of its `person.json`. `visavis delete` takes a folder for ours by
this file, and deletes by it; nothing here imports torch.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visavis.engines.errors import PersonFileError
from visavis.engines.fields import SHA256, as_list, as_match, as_object, as_text, check_keys
from visavis.engines.strict_json import MAX_JSON_BYTES, parse_json

__all__ = ["NAME", "Made", "Record"]

NAME = "finetune.json"
FORMAT = 1
MAX_MADE = 1024
MAX_PATH = 4096


@dataclass(frozen=True, slots=True)
class Made:
    """A person file that was written.

    Attributes:
        path: absolute, normal.
        id: the person's, 64 hex digits.
    """

    path: Path
    id: str


@dataclass(slots=True)
class Record:
    """The content of a folder's `finetune.json`.

    Attributes:
        folder: where it lies.
        clip_sha256: of the clip's file, 64 hex digits.
        made: what was written, oldest first; a path may stand there with several ids.
    """

    folder: Path
    clip_sha256: str
    made: list[Made] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Read the record of a training folder.

        Raises:
            PersonFileError: there is none, or it is malformed.
        """
        path = folder / NAME
        try:
            # A link could lead to the record of another folder.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(path, flags), "rb") as file:
                data = file.read(MAX_JSON_BYTES + 1)
        except FileNotFoundError:
            raise PersonFileError(
                f"{folder} is no folder that visavis finetune made: it holds no {NAME}."
            ) from None
        except OSError as error:
            raise PersonFileError(f"{path} cannot be read: {_words(error)}.") from error
        clip_sha256, made = _parse(str(path), data)
        return cls(folder, clip_sha256, made)

    def write(self) -> None:
        """Write it, whole or not at all.

        Raises:
            PersonFileError: it would not be read again, or cannot be written.
        """
        path = self.folder / NAME
        document = {
            "format": FORMAT,
            "clip_sha256": self.clip_sha256,
            "made": [{"path": str(made.path), "id": made.id} for made in self.made],
        }
        data = (json.dumps(document, indent=1) + "\n").encode("ascii")
        _parse(str(path), data)
        partial = path.with_name(f".{NAME}.{os.getpid()}.part")
        try:
            try:
                with open(partial, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise PersonFileError(f"{path} cannot be written: {_words(error)}.") from error

    def add_made(self, path: Path, person_id: str) -> None:
        """Add a person file and write the record.

        Call it before the file is put in its place: a person that is recorded and was never written
        does no harm, but one that nobody recorded would outlive its clip.

        Args:
            path: of the person file; made absolute. What it was before may still lie there, so that
                an entry of the same path and another id stays.
            person_id: 64 hex digits.

        Raises:
            PersonFileError: the record cannot be written, or would not be read again; it is as it
                was.
        """
        entry = Made(Path(os.path.abspath(path)), person_id)
        if entry in self.made:
            return
        self.made.append(entry)
        try:
            self.write()
        except PersonFileError:
            self.made.pop()
            raise


def _parse(name: str, data: bytes) -> tuple[str, list[Made]]:
    value = parse_json(name, data)
    check_keys(name, value, frozenset({"format", "clip_sha256", "made"}), frozenset())
    if value["format"] != FORMAT or isinstance(value["format"], bool):
        raise PersonFileError(
            f"{name} has format {str(value['format'])[:20]!r}; this version reads {FORMAT}."
        )
    entries = as_list(f"{name}: made", value["made"], MAX_MADE)
    made = [_made(f"{name}: made", entry) for entry in entries]
    return as_match(f"{name}: clip_sha256", value["clip_sha256"], SHA256), made


def _made(where: str, value: Any) -> Made:
    entry = as_object(where, value)
    check_keys(where, entry, frozenset({"path", "id"}), frozenset())
    path = as_text(f"{where}: path", entry["path"], MAX_PATH)
    if not os.path.isabs(path) or os.path.normpath(path) != path:
        raise PersonFileError(f"{where}: path must be absolute and plain, not {path[:60]!r}.")
    return Made(Path(path), as_match(f"{where}: id", entry["id"], SHA256))


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
