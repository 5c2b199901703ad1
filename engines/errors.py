"""The exceptions of visavis, in one tree.

::

    VisavisError
    ├── ConfigError          an option or the environment is wrong
    ├── PersonFileError      a person file is malformed, foreign or unsafe
    │   └── NoConsent        it does not state that who is shown agreed
    ├── UnknownPerson        no person of that name is loaded
    ├── UnknownLookahead     the person does not look so far ahead, or so little
    ├── AudioInputError      a sound cannot be read or used
    ├── DeletionError        something cannot be deleted, or not all of it
    ├── DeviationError       a network does not compute what the trained one does
    └── EngineError          the engine cannot do what was asked
        └── EngineFull       the engine carries as many sessions as it can

Every message is one sentence that says what is wrong and, where there is something, what to do.
"""

from __future__ import annotations

__all__ = [
    "AudioInputError",
    "ConfigError",
    "DeletionError",
    "DeviationError",
    "EngineError",
    "EngineFull",
    "NoConsent",
    "PersonFileError",
    "UnknownLookahead",
    "UnknownPerson",
    "VisavisError",
]


class VisavisError(Exception):
    """Base of all errors that visavis raises on purpose."""


class ConfigError(VisavisError):
    """An option, an environment variable or a missing installation stands in the way."""


class PersonFileError(VisavisError):
    """A person file is malformed, foreign or unsafe; nothing of it was used."""


class NoConsent(PersonFileError):
    """A person file does not state that who is shown agreed, and nobody promised it.

    Args:
        file: where the person comes from.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        super().__init__(file)

    def __str__(self) -> str:
        return (
            f"{self.file} does not state that the person it shows agreed; "
            "if you have their consent, say --i-have-consent."
        )


class UnknownPerson(VisavisError):
    """No person of that name is loaded.

    Args:
        name: the name that was asked for.
        known: the names that are loaded.
    """

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name = name
        self.known = known
        super().__init__(name, known)

    def __str__(self) -> str:
        return f"There is no person named {self.name!r}; known: {', '.join(self.known) or 'none'}."


class UnknownLookahead(VisavisError):
    """A person cannot be shown with that look-ahead.

    Args:
        name: of the person.
        lookahead_ms: what was asked for.
        known: the look-aheads that the person offers, in ms.
    """

    def __init__(self, name: str, lookahead_ms: int, known: tuple[int, ...]) -> None:
        self.name = name
        self.lookahead_ms = lookahead_ms
        self.known = known
        super().__init__(name, lookahead_ms, known)

    def __str__(self) -> str:
        offered = ", ".join(str(ms) for ms in self.known)
        return f"{self.name!r} can look ahead by {offered} ms, not by {self.lookahead_ms}."


class AudioInputError(VisavisError):
    """A sound cannot be read, or there is nothing in it to speak."""


class DeletionError(VisavisError):
    """Something cannot be deleted; the message says whether, and where, anything is left of it."""


class DeviationError(VisavisError):
    """A network does not compute what the trained one does.

    Args:
        graph: its name; "frames" for what the whole pipeline draws.
        variant: fp32, fp16 or int8.
        reason: how far it is off and how far it may be, or why it does not run.
    """

    def __init__(self, graph: str, variant: str, reason: str) -> None:
        self.graph = graph
        self.variant = variant
        self.reason = reason
        super().__init__(graph, variant, reason)

    def __str__(self) -> str:
        words = f"{self.graph} in {self.variant}, compared with the trained network: {self.reason}"
        return words.rstrip(".") + "."


class EngineError(VisavisError):
    """The engine cannot do what was asked of it."""


class EngineFull(EngineError):
    """The engine carries as many sessions as it can.

    Args:
        capacity: how many sessions the engine carries.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        super().__init__(capacity)

    def __str__(self) -> str:
        return f"All {self.capacity} places are taken; try again when somebody has left."
