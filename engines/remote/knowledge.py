"""What a worker knows of its engine: who can be shown, and what it was measured to make.

It answers at once, from what the engine said last; it stays while the engine is away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from visavis.engines.client import ControlNames, EngineLoad, PersonInfo
from visavis.engines.errors import EngineError, UnknownPerson
from visavis.engines.remote.link import Answer, Link
from visavis.engines.remote.memory import read_blob
from visavis.engines.remote.requests import whole

__all__ = ["Knowledge", "blob_of"]

MAX_LIST_BYTES = 16 << 20


class Knowledge:
    """Of one engine.

    Args:
        seconds: how long the engine may take to say who can be shown.

    Attributes:
        persons: who can be shown; the first is the default.
        capacity: how many sessions the engine alone carries.
        load: what it was measured to make.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._version: int | None = None
        self.persons: tuple[PersonInfo, ...] = ()
        self.capacity = 0
        self.load = EngineLoad(0.0, 1, shares_cores=True)

    def learn(self, link: Link, state: Mapping[str, Any], *, anew: bool = False) -> None:
        """Take in what the engine says of itself; ask who can be shown if that has changed.

        Args:
            anew: it is another engine than before.

        Raises:
            EngineError: it makes no sense, or the engine does not answer.
        """
        capacity, version = whole(state, "capacity"), whole(state, "persons")
        try:
            self.load = EngineLoad(**state["load"])
        except (KeyError, TypeError) as error:
            raise EngineError(f"The engine does not say what it makes: {error}.") from error
        self.capacity = capacity
        if anew or version != self._version:
            self.refresh(link)

    def refresh(self, link: Link) -> None:
        """Ask who can be shown.

        Raises:
            EngineError: the answer makes no sense, or there is none.
        """
        with link.call("persons", self._seconds) as answer:
            data = blob_of(answer, MAX_LIST_BYTES)
            version = whole(answer.body, "version")
        try:
            persons = tuple(_person(value) for value in json.loads(data))
        except (ValueError, TypeError) as error:
            raise EngineError(f"The engine's list of persons cannot be read: {error}.") from error
        self.persons, self._version = persons, version

    def find(self, name: str, link: Link) -> PersonInfo:
        """Return a person; the engine is asked where they are not known yet.

        Raises:
            UnknownPerson: there is nobody of that name.
            EngineError: the engine does not answer.
        """
        for refreshed in (False, True):
            if refreshed:
                self.refresh(link)
            for person in self.persons:
                if person.name == name:
                    return person
        raise UnknownPerson(name, tuple(person.name for person in self.persons))


def blob_of(answer: Answer, limit: int) -> bytes:
    """Return the bytes that came with an answer.

    Raises:
        EngineError: there are none, or more than `limit`.
    """
    if len(answer.fds) != 1:
        raise EngineError("The engine's answer lacks what it speaks of.")
    return read_blob(answer.fds[0], whole(answer.body, "size"), limit)


def _person(value: Any) -> PersonInfo:
    """Return a person from JSON.

    Raises:
        TypeError: it is not one.
    """
    if not isinstance(value, dict) or value.keys() != {field.name for field in fields(PersonInfo)}:
        raise TypeError("a person lacks something, or has something unknown")
    plain: dict[str, Any] = {**value, "lookaheads_ms": tuple(value["lookaheads_ms"])}
    controls = value["controls"]
    if not isinstance(controls, dict):
        raise TypeError("a person's controls are no object")
    named: dict[str, Any] = {
        key: tuple(item) if isinstance(item, list) else item for key, item in controls.items()
    }
    plain["controls"] = ControlNames(**named)
    if value["face"] is not None:
        plain["face"] = tuple(value["face"])
    return PersonInfo(**plain)
