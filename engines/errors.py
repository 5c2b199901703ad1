"""The exceptions of visavis, in one tree.

::

    VisavisError
    ├── ConfigError          an option or the environment is wrong
    │   └── BackendUnavailable   a backend that was asked for does not work on this machine
    ├── PersonFileError      a person file is malformed, foreign or unsafe
    │   └── NoConsent        it does not state that who is shown agreed
    ├── UnknownPerson        there is no person of that name
    ├── UnknownLookahead     the person does not look so far ahead, or so little
    ├── AudioInputError      a sound cannot be read or used
    ├── DeletionError        something cannot be deleted, or not all of it
    ├── DeviationError       a network does not compute what the trained one does
    └── EngineError          the engine cannot do what was asked
        ├── ControlError     a person does not offer what a visitor chose
        ├── EngineFull       the engine carries as many sessions as it can
        ├── NoRoom           the persons in use leave no memory for one more
        ├── EngineAway       the engine's process does not answer
        ├── DeviceMemoryFull a GPU has not so much memory left
        └── DeviceLost       the device that runs the networks is gone

Every message is one sentence that says what is wrong and, where there is something, what to do.
"""

from __future__ import annotations

__all__ = [
    "AudioInputError",
    "BackendUnavailable",
    "ConfigError",
    "ControlError",
    "DeletionError",
    "DeviationError",
    "DeviceLost",
    "DeviceMemoryFull",
    "EngineAway",
    "EngineError",
    "EngineFull",
    "NoConsent",
    "NoRoom",
    "PersonFileError",
    "UnknownLookahead",
    "UnknownPerson",
    "VisavisError",
]

_NAMES_SAID = 8


class VisavisError(Exception):
    """Base of all errors that visavis raises on purpose."""


class ConfigError(VisavisError):
    """An option, an environment variable or a missing installation stands in the way."""


class BackendUnavailable(ConfigError):
    """A backend that was asked for does not work on this machine.

    Args:
        backend: its name, as `--backend` takes it.
        reason: what is missing, a clause without a full stop.
        advice: what to do, a sentence; "" where nothing helps.
    """

    def __init__(self, backend: str, reason: str, advice: str = "") -> None:
        self.backend = backend
        self.reason = reason
        self.advice = advice
        super().__init__(backend, reason, advice)

    def __str__(self) -> str:
        return f"{self.backend} cannot be used: {self.reason}. {self.advice}".rstrip()


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
    """There is no person of that name.

    Args:
        name: the name that was asked for.
        known: the names that there are; the first few are said.
    """

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name = name
        self.known = known
        super().__init__(name, known)

    def __str__(self) -> str:
        said = ", ".join(self.known[:_NAMES_SAID]) or "none"
        if len(self.known) > _NAMES_SAID:
            said += f" and {len(self.known) - _NAMES_SAID} more"
        return f"There is no person named {self.name[:80]!r}; known: {said}."


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


class ControlError(EngineError):
    """A person does not offer what was asked of it; the session goes on as it was."""


class EngineFull(EngineError):
    """The engine carries as many sessions as it can.

    Args:
        capacity: how many sessions the engine carries.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        super().__init__(capacity)

    def __str__(self) -> str:
        return f"{self.taken}; try again when somebody has left."

    @property
    def taken(self) -> str:
        """The sentence's beginning."""
        if self.capacity == 1:
            return "The only place is taken"
        return f"All {self.capacity} places are taken"


class EngineAway(EngineError):
    """The engine's process does not answer: it is starting, or has ended and is started again."""

    def __init__(self) -> None:
        super().__init__()

    def __str__(self) -> str:
        return "The engine is being started; try again in a few seconds."


class DeviceLost(EngineError):
    """The device that runs the networks is gone, for every session: only a new process helps.

    A runner raises it from `advance`.
    """


class NoRoom(EngineError):
    """The persons that are in use leave no memory for another one.

    Args:
        name: of the person that was asked for.
        budget_bytes: what all loaded persons may take.
    """

    def __init__(self, name: str, budget_bytes: int) -> None:
        self.name = name
        self.budget_bytes = budget_bytes
        super().__init__(name, budget_bytes)

    def __str__(self) -> str:
        return (
            f"There is no memory left for {self.name!r}: the persons in use take what all may take "
            f"({self.budget_bytes >> 20} MiB); try again when somebody has left."
        )


class DeviceMemoryFull(EngineError):
    """A GPU has not so much memory left.

    Args:
        device: its name.
        wanted_bytes: what was asked for.
        free_bytes: what it has.
    """

    def __init__(self, device: str, wanted_bytes: int, free_bytes: int) -> None:
        self.device = device
        self.wanted_bytes = wanted_bytes
        self.free_bytes = free_bytes
        super().__init__(device, wanted_bytes, free_bytes)

    def __str__(self) -> str:
        return (
            f"{self.device} has {self.free_bytes >> 20} MiB of memory left, and "
            f"{-(-self.wanted_bytes >> 20)} MiB are needed."
        )
