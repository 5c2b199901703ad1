"""The exit codes of the ``visavis`` command. Scripts may rely on them."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """What the command says to the shell when it ends."""

    OK = 0
    FAILURE = 1
    """Something that should have worked did not; the message says what."""
    USAGE = 2
    """The command line is wrong."""
    STARTUP_FAILURE = 3
    """The server could not start: the port is taken, say, or an option contradicts another."""
    PERSON_REFUSED = 4
    """A person file is malformed, foreign, unsafe or without consent, or no such person is known;
    a checkpoint or a picture cannot be imported; a person may not be shared; or what was to be
    deleted is no person's."""
    INPUT_REFUSED = 5
    """A sound or video cannot be read or used."""
    CHECK_FAILED = 6
    """``doctor`` found something that stands in the way, a benchmark missed a target, or a network
    does not compute what the trained one does."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C."""
