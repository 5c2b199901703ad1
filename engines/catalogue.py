"""Who can be shown: what an engine asks, and the answer of persons that are in memory already."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from visavis.engines.client import PersonInfo
from visavis.engines.controls import control_names
from visavis.engines.errors import ConfigError, UnknownPerson
from visavis.engines.person import Person
from visavis.engines.plate import decode_plate

__all__ = ["Catalogue", "Entry", "FixedCatalogue", "find", "person_info"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """A person who can be shown.

    Attributes:
        info: what people and pages need to know.
        version: changes when another file takes the place of the person's.
        bytes: of the file.
    """

    info: PersonInfo
    version: Hashable
    bytes: int


class Catalogue(Protocol):
    """What an engine asks about persons. Every method may be called from any thread."""

    def given(self) -> tuple[str, ...]:
        """Return who was named: loaded at the start, the first is the default."""

    def persons(self) -> Sequence[PersonInfo]:
        """Return who can be shown; it may look at the disk, at most once a second.

        While nothing changes the same object is returned.
        """

    def entry(self, name: str) -> Entry:
        """Return what is known of a person, without looking at the disk.

        Raises:
            UnknownPerson: there is nobody of that name.
        """

    def load(self, name: str) -> Person:
        """Read and check a person's file whole; takes seconds.

        Raises:
            UnknownPerson: there is nobody of that name.
            PersonFileError: the file is malformed, foreign, unsafe, or states no consent.
        """

    def poster(self, name: str) -> bytes:
        """Return a JPEG; it may read a disk. Raises as `load`."""

    def preview(self, name: str) -> bytes | None:
        """Return an mp4, or None; it may read a disk. Raises as `load`."""

    def plate(self, name: str) -> bytes | None:
        """Return an I420 picture, or None; it may read a disk. See `client.EngineClient.plate`.

        Raises as `load`.
        """


class FixedCatalogue:
    """Persons who are in memory already.

    Args:
        persons: the first is the default.

    Raises:
        ConfigError: there is none, or two have one name.
    """

    def __init__(self, persons: Sequence[Person]) -> None:
        if not persons or len({person.name for person in persons}) != len(persons):
            raise ConfigError("An engine needs at least one person, and no two of one name.")
        self._persons = {person.name: person for person in persons}
        self._infos = tuple(person_info(person) for person in persons)
        self._entries = {
            info.name: Entry(info, info.id, sum(map(len, self._persons[info.name].parts.values())))
            for info in self._infos
        }

    def given(self) -> tuple[str, ...]:
        """Return everybody; see `Catalogue.given`."""
        return tuple(self._persons)

    def persons(self) -> Sequence[PersonInfo]:
        """Return everybody; see `Catalogue.persons`."""
        return self._infos

    def entry(self, name: str) -> Entry:
        """Return what is known of a person; see `Catalogue.entry`."""
        return find(self._entries, name)

    def load(self, name: str) -> Person:
        """Return a person."""
        return find(self._persons, name)

    def poster(self, name: str) -> bytes:
        """Return a JPEG."""
        return self.load(name).poster

    def preview(self, name: str) -> bytes | None:
        """Return an mp4, or None."""
        return self.load(name).preview

    def plate(self, name: str) -> bytes | None:
        """Return an I420 picture, or None."""
        person = self.load(name)
        if person.plate is None:
            return None
        return decode_plate("plate", person.plate, person.width, person.height)


def find(known: Mapping[str, T], name: str) -> T:
    """Return what is known of a name.

    Raises:
        UnknownPerson: nothing is.
    """
    try:
        return known[name]
    except KeyError:
        raise UnknownPerson(name, tuple(known)) from None


def person_info(person: Person) -> PersonInfo:
    """Return what people and pages need to know of a person that was read."""
    return PersonInfo(
        name=person.name,
        display_name=person.display_name,
        width=person.width,
        height=person.height,
        fps=person.fps,
        lookahead_ms=person.lookahead_ms,
        lookaheads_ms=person.lookaheads_ms,
        id=person.id,
        has_preview=person.preview is not None,
        controls=control_names(person.manifest),
        has_matte=person.matte is not None,
        face=person.face,
    )
