"""A person file on a disk, of which only the head or a picture is read.

For lists of persons. Whoever runs a person reads and checks the whole file: `person.load_person`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from visavis.engines.errors import PersonFileError
from visavis.engines.person_manifest import Manifest, parse_manifest
from visavis.engines.person_zip import StoredZip
from visavis.engines.strict_json import MAX_JSON_BYTES, parse_json

__all__ = ["MANIFEST", "Head", "PersonFile", "Stamp", "open_regular"]

MANIFEST = "person.json"
MAX_PICTURE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a file system says of a file: the same three numbers, the same content.

    Attributes:
        inode: changes where another file takes its place.
        size: bytes.
        modified_ns: when it was last written.
    """

    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp of a file's status."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Head:
    """What `person.json` says.

    Attributes:
        id: its SHA-256, in hex.
        manifest: checked.
        document: as it was parsed.
    """

    id: str
    manifest: Manifest
    document: Mapping[str, Any]


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading; never anything that would wait, such as a named pipe.

    Raises:
        PersonFileError: it cannot be opened, or is no file.
    """
    try:
        # Not blocking: a named pipe in place of the file would otherwise wait for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise PersonFileError(f"{os.fspath(path)} is not a file.")
    return os.fdopen(handle, "rb")


class PersonFile:
    """An open person file.

    Raises:
        PersonFileError: it cannot be read, or is no person file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._file = open_regular(path)
        try:
            self.stamp = Stamp.of(os.fstat(self._file.fileno()))
            self._zip = StoredZip(self._file)
        except OSError as error:
            self._file.close()
            raise _unreadable(path, error) from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> PersonFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def head(self) -> Head:
        """Return what `person.json` says; it is checked as strictly as for running the person.

        Raises:
            PersonFileError: it is not there, or malformed.
        """
        document = self._read(MANIFEST, MAX_JSON_BYTES)
        value = parse_json(MANIFEST, document)
        return Head(hashlib.sha256(document).hexdigest(), parse_manifest(value), value)

    def part(self, head: Head, name: str) -> bytes:
        """Return a part, if it is the one that `person.json` lists.

        Raises:
            PersonFileError: it is not, or is larger than any picture.
        """
        part = self._read(name, MAX_PICTURE_BYTES)
        spec = head.manifest.parts.get(name)
        if spec is None or hashlib.sha256(part).hexdigest() != spec.sha256:
            raise PersonFileError(f"{name!r} is not what {MANIFEST} lists: its hash differs.")
        return part

    def _read(self, name: str, limit: int) -> bytes:
        try:
            return self._zip.read(name, limit)
        except OSError as error:
            raise _unreadable(self._path, error) from error


def _unreadable(path: str | os.PathLike[str], error: OSError) -> PersonFileError:
    reason = (error.strerror or str(error)).lower()
    return PersonFileError(f"{os.fspath(path)} cannot be read: {reason}.")
