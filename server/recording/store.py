"""The folder of recordings: names, who may write, what is there.

A recording's name is the time of its start and 128 random bits, so that only who was told it can
ask for it. A file has its last name from the beginning; what is being written is *locked*
(``flock``, which a killed process lets go), and what was written to its end has the index that ends
a fragmented MP4 (``mfra``). What has neither was interrupted, and plays up to there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from visavis.engines.errors import ConfigError
from visavis.server.config import ServerConfig
from visavis.server.errors import RequestError

__all__ = ["MAX_LISTED", "Entry", "Store", "describe_os_error", "new_name", "open_store"]

NAME = re.compile(r"\d{8}-\d{6}-[0-9a-f]{32}\.mp4", re.ASCII)
MAX_LISTED = 1000
"""Of more recordings, the newest are listed."""
MIB = 1 << 20

State = Literal["recording", "whole", "interrupted"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording in the folder; ``started`` is a time in UTC, ISO 8601."""

    name: str
    started: str
    bytes: int
    state: State


def new_name(now: float) -> str:
    """A name nobody can guess, for a recording that starts now (seconds since 1970)."""
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime(now)) + secrets.token_hex(16) + ".mp4"


def describe_os_error(error: OSError) -> str:
    """Why nothing can be written, for a sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return (error.strerror or "the disk does not take it").lower()


def _none(name: str) -> RequestError:
    return RequestError(f"There is no recording {name[:80]!r}.", status=404)


class Store:
    """Of one folder, which is made where it is not there. Every call may wait for a disk.

    Args:
        folder: where recordings lie.
        free_mib: so much of the disk is left free.

    Raises:
        ConfigError: nothing can be written there.
    """

    def __init__(self, folder: str | Path, *, free_mib: int = 1024) -> None:
        self._free = free_mib * MIB
        self._free_mib = free_mib
        try:
            self.folder = Path(folder).resolve()
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            trial = self.folder / f".{secrets.token_hex(8)}"
            os.close(os.open(trial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            trial.unlink()
        except OSError as error:
            raise ConfigError(
                f"Nothing can be recorded in {folder}: {describe_os_error(error)}."
            ) from error

    def lack_of_room(self) -> str | None:
        """Why there is no room for more, or None.

        Raises:
            OSError: the folder is gone.
        """
        if shutil.disk_usage(self.folder).free >= self._free:
            return None
        return f"The disk for recordings has less than {self._free_mib} MiB left."

    def create(self, name: str) -> BinaryIO:
        """A new file that only this user may read, locked until it is closed.

        Raises:
            OSError: it cannot be made.
        """
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
        file = os.fdopen(os.open(self._path(name), flags, 0o600), "wb", buffering=0)
        try:
            # Whoever lists the folder right now may hold it for a moment.
            fcntl.flock(file, fcntl.LOCK_EX)
        except BaseException:
            file.close()
            raise
        return file

    def close(self, name: str, file: BinaryIO) -> None:
        """Let go of a file that was created; one in which there is nothing is removed."""
        with contextlib.suppress(OSError), file:
            if os.fstat(file.fileno()).st_size == 0 and self.is_there(name, file):
                os.unlink(self._path(name))

    def is_there(self, name: str, file: BinaryIO) -> bool:
        """Whether the file is still the one of that name: not removed, nor its folder."""
        try:
            return os.path.samestat(os.lstat(self._path(name)), os.fstat(file.fileno()))
        except OSError:
            return False

    def open(self, name: str) -> BinaryIO:
        """A recording, for reading, from its beginning.

        Raises:
            RequestError: 404, there is none.
        """
        if not NAME.fullmatch(name):
            raise _none(name)
        try:
            # Not to wait for a pipe that somebody put there.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(self._path(name), flags)
        except OSError:
            raise _none(name) from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _none(name)
        return os.fdopen(descriptor, "rb")

    def entries(self) -> list[Entry]:
        """What is there, the newest first, at most ``MAX_LISTED``."""
        try:
            names = sorted(filter(NAME.fullmatch, os.listdir(self.folder)), reverse=True)
        except OSError:
            return []
        found = []
        for name in names[:MAX_LISTED]:
            with contextlib.suppress(RequestError, OSError), self.open(name) as file:
                size = os.fstat(file.fileno()).st_size
                found.append(Entry(name, _started(name), size, _state(file, size)))
        return found

    def delete(self, name: str) -> None:
        """Remove a recording.

        Raises:
            RequestError: there is none (404), it is being written (409), or it cannot be removed.
        """
        with self.open(name) as file:
            if _is_locked(file):
                raise RequestError("It is still being recorded; stop that first.", status=409)
            try:
                os.unlink(self._path(name))
            except FileNotFoundError:
                raise _none(name) from None
            except OSError as error:
                sentence = f"It cannot be removed: {describe_os_error(error)}."
                raise RequestError(sentence, status=500) from None

    def _path(self, name: str) -> Path:
        assert NAME.fullmatch(name)
        return self.folder / name


def open_store(config: ServerConfig) -> Store | None:
    """The folder that a configuration names; None where nothing may be recorded.

    Raises:
        ConfigError: nothing can be written there.
    """
    if config.recordings is None:
        return None
    return Store(config.recordings, free_mib=config.recording_free_mib)


def _started(name: str) -> str:
    day, clock = name[:8], name[9:15]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:]}Z"


def _is_locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _state(file: BinaryIO, size: int) -> State:
    """``mfra`` ends with the box ``mfro``: 16 bytes, its name in the second four."""
    if _is_locked(file):
        return "recording"
    if size < 16:
        return "interrupted"
    file.seek(size - 16)
    return "whole" if file.read(8) == b"\0\0\0\x10mfro" else "interrupted"
