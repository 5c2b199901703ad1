"""Persons in files, some that were named and those of a folder, loaded when asked for."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from visavis.engines.catalogue import Entry, find
from visavis.engines.client import PersonInfo
from visavis.engines.consent import consent_of, promised_sentence
from visavis.engines.errors import ConfigError, NoConsent, PersonFileError
from visavis.engines.listing import SUFFIX, Listing
from visavis.engines.listing_cache import ListingCache, cache_folder
from visavis.engines.person import Person, load_person
from visavis.engines.person_file import Head, PersonFile
from visavis.engines.plate import decode_plate

__all__ = ["FileCatalogue", "PersonSource", "list_persons"]

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class PersonSource:
    """A person file that was named.

    Attributes:
        path: where it lies.
        trusted: it is ours; see `person.load_person`.
    """

    path: str
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What the last look found."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    infos: tuple[PersonInfo, ...] = ()
    problems: tuple[str, ...] = ()
    promised: tuple[str, ...] = ()


_NOTHING = _Snapshot()


class FileCatalogue:
    """Person files: some that were named, and those of a folder, which may change at any time.

    Who does not state the consent of who is shown is not listed, unless it was promised. Of two
    files with one person's name the first is listed: those that were named come first, then those
    of the folder in the order of their names. What is not listed is said once in the log.

    Args:
        files: those that were named; every one of them must be good.
        folder: every `.person` file in it can be shown.
        promised: whoever runs this has the consent that a file may not state.
        cache: where the index of the folder is kept; `listing_cache.cache_folder` where None.
        clock: seconds, monotonic.

    Raises:
        PersonFileError: a file that was named is no good; `NoConsent` where only that is missing.
        ConfigError: the folder is none, two of the named files have one name, or there is nobody.
    """

    def __init__(
        self,
        files: Sequence[PersonSource] = (),
        folder: Path | None = None,
        *,
        promised: bool = False,
        cache: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if folder is not None and not os.access(folder, os.R_OK | os.X_OK):
            raise ConfigError(f"{folder} is not a folder that can be read.")
        if folder is not None and not folder.is_dir():
            raise ConfigError(f"{folder} is not a folder.")
        self._named = {source.path: source for source in files}
        self._folder = folder
        self._promised = promised
        self._clock = clock
        self._cache = None if folder is None else ListingCache(folder, cache or cache_folder())
        known = {} if self._cache is None else self._cache.load()
        self._listing = Listing(tuple(self._named), folder, known=known)
        self._lock = threading.Lock()
        self._looked = -LOOK_SECONDS
        self._said: frozenset[str] = frozenset()
        self._checked: dict[str, str] = {}  # the id of the file that was loaded last, by person
        self._snapshot = _NOTHING
        self._look(say=False)  # what is raised below need not be said twice
        self._given = self._require_named()
        if not self._snapshot.infos:
            reasons = self.problems()
            why = f" {reasons[0]}" if reasons else f" It holds no {SUFFIX} file."
            raise ConfigError(f"There is nobody in {folder} who can be shown.{why}")
        self._say()

    def given(self) -> tuple[str, ...]:
        """Return who was named, or whom the folder lists first; see `Catalogue.given`."""
        return self._given

    def persons(self) -> Sequence[PersonInfo]:
        """Return who can be shown; see `Catalogue.persons`."""
        self._look()
        return self._snapshot.infos

    def problems(self) -> tuple[str, ...]:
        """Return a sentence on every file that is not listed, of the last look."""
        return (*self._listing.problems, *self._snapshot.problems)

    def entry(self, name: str) -> Entry:
        """Return what is known of a person; see `Catalogue.entry`."""
        return find(self._snapshot.entries, name)

    def load(self, name: str) -> Person:
        """Read and check a person's file whole; see `Catalogue.load`."""
        path = find(self._snapshot.paths, name)
        source = self._named.get(path)
        person = load_person(path, trusted=source is not None and source.trusted)
        self._check(path, name, person.name, person.manifest)
        kept = {key: value for key, value in self._checked.items() if key in self._snapshot.paths}
        self._checked = {**kept, name: person.id}
        return person

    def poster(self, name: str) -> bytes:
        """Return a JPEG, read from the file; see `Catalogue.poster`."""
        path = find(self._snapshot.paths, name)
        with PersonFile(path) as file:
            head = self._head(file, path, name)
            poster = file.part(head, head.manifest.poster)
        if not poster.startswith(b"\xff\xd8\xff"):
            raise PersonFileError(f"{path}: the poster is not a JPEG file.")
        return poster

    def preview(self, name: str) -> bytes | None:
        """Return an mp4 or None, read from the file; see `Catalogue.preview`."""
        path = find(self._snapshot.paths, name)
        with PersonFile(path) as file:
            head = self._head(file, path, name)
            if head.manifest.preview is None:
                return None
            preview = file.part(head, head.manifest.preview)
        if preview[4:8] != b"ftyp":
            raise PersonFileError(f"{path}: the preview is not an mp4 file.")
        return preview

    def plate(self, name: str) -> bytes | None:
        """Return an I420 picture or None, read from the file; see `Catalogue.plate`."""
        path = find(self._snapshot.paths, name)
        with PersonFile(path) as file:
            head = self._head(file, path, name)
            look = head.manifest.look
            if look.plate is None:
                return None
            plate = file.part(head, look.plate)
        # A decoder of ours sees nothing of a file that was not tried elsewhere first.
        if self._checked.get(name) != head.id and self.load(name).id != head.id:
            raise PersonFileError(f"{path} has changed just now; ask again.")
        return decode_plate(look.plate, plate, head.manifest.width, head.manifest.height)

    def _head(self, file: PersonFile, path: str, name: str) -> Head:
        head = file.head()
        self._check(path, name, head.manifest.name, head.document)
        return head

    def _check(self, path: str, name: str, found: str, document: Mapping[str, object]) -> None:
        """The file may have been replaced since it was listed."""
        if found != name:
            raise PersonFileError(f"{path} holds {found!r} by now, not {name!r}; list again.")
        if not self._promised and not consent_of(document).stated:
            raise NoConsent(path)

    def _look(self, *, say: bool = True) -> None:
        # Whoever comes while somebody else is reading new files is given what was known before.
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._clock() - self._looked < LOOK_SECONDS:
                return
            changed = self._listing.look()
            self._looked = self._clock()
            if changed or self._snapshot is _NOTHING:
                self._snapshot = self._arrange()
            if changed and self._cache is not None:
                found = self._listing.files.items()
                self._cache.save({k: file for k, file in found if k not in self._named})
            if say:
                self._say()
        finally:
            self._lock.release()

    def _arrange(self) -> _Snapshot:
        """Return who is shown of whom the listing found."""
        entries: dict[str, Entry] = {}
        paths: dict[str, str] = {}
        problems: list[str] = []
        promised: list[str] = []
        for path, listed in self._listing.files.items():
            info = listed.info
            if info is None:
                problems.append(listed.problem)
            elif info.name in entries:
                problems.append(
                    f"{path} holds another person named {info.name!r}; "
                    f"the one of {paths[info.name]} is shown."
                )
            elif not listed.agreed and not self._promised:
                problems.append(str(NoConsent(path)))
            else:
                entries[info.name] = Entry(info, listed.stamp, listed.stamp.size)
                paths[info.name] = path
                if not listed.agreed:
                    promised.append(promised_sentence(path))
        infos = tuple(entry.info for entry in entries.values())
        return _Snapshot(entries, paths, infos, tuple(problems), tuple(promised))

    def _say(self) -> None:
        """Log what was not said after the look before."""
        now = frozenset((*self.problems(), *self._snapshot.promised))
        for sentence in sorted(now - self._said):
            logger.warning("%s", sentence)
        self._said = now

    def _require_named(self) -> tuple[str, ...]:
        """Return the names of the files that were named; refuse what is wrong with any of them."""
        names = []
        for path in self._named:
            listed = self._listing.files[path]
            if listed.info is None:
                raise PersonFileError(listed.problem)
            if not listed.agreed and not self._promised:
                raise NoConsent(path)
            if listed.info.name in names:
                raise ConfigError("An engine needs at least one person, and no two of one name.")
            names.append(listed.info.name)
        if names or not self._snapshot.infos:
            return tuple(names)
        return (self._snapshot.infos[0].name,)


def list_persons(folder: Path, *, cache: Path | None = None) -> tuple[PersonInfo, ...]:
    """Return whom a folder of person files lists, as a server that starts does.

    Raises:
        ConfigError: the folder is none, or lists nobody.
    """
    return tuple(FileCatalogue(folder=folder, cache=cache).persons())
