"""Deletes a training folder with every person made from it, or one person file.

Everything is first renamed to a sibling `.deleting-NAME`, and back if one of them cannot be; then
the persons are removed, then the folder, its record last. So a deletion that breaks off has either
not begun, or is finished by deleting `.deleting-NAME`.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from visavis.engines.errors import DeletionError, PersonFileError
from visavis.engines.person import peek_person
from visavis.finetune.record import NAME, Record

__all__ = ["Plan", "erase", "plan"]

ASIDE = ".deleting-"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deletion takes, and what it leaves. All paths are absolute and free of links.

    Attributes:
        folder: a training's, or None where a person file was named.
        persons: person files that go, those in the folder aside.
        left: person files that were made from the folder and stay, each with the reason.
        clip_sha256: of the clip that all of it was made from, where that is known.
        files, size: what the folder holds, and its bytes.
        protected: what must not go, whatever a record says.
    """

    folder: Path | None
    persons: tuple[Path, ...]
    left: tuple[tuple[Path, str], ...]
    clip_sha256: str | None
    files: int
    size: int
    protected: tuple[Path, ...]

    def lines(self) -> list[str]:
        """Return it for a terminal."""
        text = ["This will be deleted:"]
        text += [f"  {person}" for person in self.persons]
        if self.folder is not None:
            text.append(
                f"  {self.folder}, with everything in it "
                f"({self.size / 1e6:.1f} MB, files: {self.files})"
            )
        if self.left:
            text.append("Made from it, and not deleted:")
            text += [f"  {person}: {reason}" for person, reason in self.left]
        if self.folder is None and self.clip_sha256 is not None:
            text.append(
                "The folder that it was made in stays, if there still is one: the one whose "
                f"{NAME} names the clip {self.clip_sha256}."
            )
        return text


def plan(path: Path, *, protected: Sequence[Path] = ()) -> Plan:
    """Return what would be deleted; delete nothing.

    Args:
        path: a folder that `visavis finetune` made, or a person file.
        protected: files that must stay, and everything that holds them.

    Raises:
        PersonFileError: it is neither, or must not be deleted.
        DeletionError: it is, and cannot be deleted.
    """
    try:
        if path.is_symlink():
            raise PersonFileError(f"{path} is a link; name what it leads to.")
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise PersonFileError(f"{path} cannot be found: {_words(error)}.") from error
    own = tuple(file.resolve() for file in protected)
    if any(file.is_relative_to(target) for file in own):
        raise PersonFileError(f"{path} is a part of visavis, or holds one; it stays.")
    if not target.is_dir():
        try:
            manifest = peek_person(target)[1]
        except PersonFileError as error:
            raise PersonFileError(f"{path} is no person file, so it stays: {error}") from error
        return Plan(None, (target,), (), _clip(manifest.get("made_by")), 0, 0, own)
    if Path(os.path.expanduser("~")).resolve().is_relative_to(target):
        raise PersonFileError(f"{path} is your home folder, or holds it; it stays.")
    if os.path.ismount(target):
        raise PersonFileError(f"{path} is a file system of its own, not a folder of a training.")
    record = Record.read(target)
    persons, left = _made_from(record, own)
    try:
        files, size = _measure(target)
    except OSError as error:
        raise DeletionError(f"{path} cannot be deleted: {_words(error)}.") from error
    return Plan(target, persons, left, record.clip_sha256, files, size, own)


def erase(agreed: Plan) -> None:
    """Delete what a plan lists.

    Raises:
        PersonFileError: what was planned is not there any more; nothing was deleted.
        DeletionError: something has changed since, or cannot be deleted; the message says whether
            anything was, and where the rest is.
    """
    target = agreed.folder or agreed.persons[0]
    if plan(target, protected=agreed.protected) != agreed:
        raise DeletionError(f"{target} has changed since it was looked at; nothing was deleted.")
    moved: list[tuple[Path, Path]] = []
    # The folder last, so that its record finds everything until nothing else is left.
    for path in (*agreed.persons, *filter(None, (agreed.folder,))):
        try:
            moved.append((path, _move_aside(path)))
        except OSError as error:
            raise DeletionError(
                f"{path} cannot be deleted: {_words(error)}; {_move_back(moved)}."
            ) from error
    for index, (_, aside) in enumerate(moved):
        try:
            _remove(aside)
        except OSError as error:
            rest = ", ".join(str(aside) for _, aside in moved[index:])
            raise DeletionError(
                f"{aside} cannot be deleted: {_words(error)}; what is left: {rest}."
            ) from error


def _made_from(
    record: Record, protected: Collection[Path]
) -> tuple[tuple[Path, ...], tuple[tuple[Path, str], ...]]:
    """Return the person files of a record that go, outside its folder, and those that stay."""
    ids: dict[Path, set[str]] = defaultdict(set)
    for made in record.made:
        ids[Path(os.path.realpath(made.path.parent)) / made.path.name].add(made.id)
    persons, left = [], []
    for path, known in ids.items():
        if path.is_relative_to(record.folder):
            continue
        reason = _reason_to_stay(path, known, protected)
        if reason is None:
            persons.append(path)
        # Where an earlier deletion broke off, it lies there.
        aside = _aside(path)
        if aside != path and _reason_to_stay(aside, known, protected) is None:
            persons.append(aside)
        elif reason is not None:
            left.append((path, reason))
    return tuple(persons), tuple(left)


def _reason_to_stay(path: Path, ids: Collection[str], protected: Collection[Path]) -> str | None:
    """Return why a person file of a record stays, or None where it goes."""
    try:
        if stat.S_ISLNK(path.lstat().st_mode):
            return "it is a link now"
    except (FileNotFoundError, NotADirectoryError):
        return "it is not there any more"
    except OSError as error:
        return f"it cannot be looked at, {_words(error)}"
    if path in protected:
        return "it is a part of visavis"
    try:
        return None if peek_person(path)[0] in ids else "it is another person now"
    except PersonFileError:
        return "it is no person file now, or cannot be read"


def _measure(folder: Path) -> tuple[int, int]:
    """Return how many files a folder holds and their bytes, links not followed.

    Raises:
        OSError: something in it cannot be read or removed.
    """
    device = folder.lstat().st_dev
    files = size = 0

    def stop(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=stop):
        if not os.access(place, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, f"{place} cannot be written to")
        for name in (*folders, *names):
            entry = os.lstat(os.path.join(place, name))
            if entry.st_dev != device:
                raise OSError(errno.EXDEV, f"{place}/{name} is on another file system")
            if name in names:
                files, size = files + 1, size + entry.st_size
    return files, size


def _aside(path: Path) -> Path:
    return path if path.name.startswith(ASIDE) else path.with_name(ASIDE + path.name)


def _move_aside(path: Path) -> Path:
    aside = _aside(path)
    if aside != path:
        if os.path.lexists(aside):
            raise OSError(errno.EEXIST, f"{aside} is in the way")
        path.rename(aside)
    return aside


def _move_back(moved: Sequence[tuple[Path, Path]]) -> str:
    """Undo `_move_aside`; return in words what came of it."""
    for path, aside in moved:
        try:
            aside.rename(path)
        except OSError:
            return f"nothing was deleted, but {path} is at {aside} now"
    return "nothing was deleted"


def _remove(path: Path) -> None:
    if not path.is_dir():
        path.unlink()
        return
    for entry in sorted(path.iterdir(), key=lambda entry: entry.name == NAME):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    path.rmdir()


def _clip(made_by: object) -> str | None:
    clip = made_by.get("clip_sha256") if isinstance(made_by, dict) else None
    return clip if isinstance(clip, str) else None


def _words(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text[:1].lower() + text[1:]
