"""Options and output that several subcommands share."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis.engines.errors import ConfigError

if TYPE_CHECKING:
    from visavis.engines.person import Person

__all__ = [
    "PERSON_HELP",
    "Commands",
    "add_consent",
    "add_json",
    "add_look",
    "load",
    "load_to_show",
    "print_json",
    "promises_consent",
]

Commands = argparse._SubParsersAction  # argparse has no public name for it

PERSON_HELP = "a person file, or the name of a built-in person (default: presenter)"


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``: print JSON and nothing else."""
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")


def add_consent(parser: argparse.ArgumentParser) -> None:
    """Add ``--i-have-consent``, for subcommands that show a person to others."""
    parser.add_argument(
        "--i-have-consent",
        action="store_true",
        help="show a person whose file does not state their consent: you have it",
    )


def add_look(parser: argparse.ArgumentParser) -> None:
    """Add ``--background`` and ``--framing``, for subcommands that open a session."""
    parser.add_argument(
        "--background",
        metavar="B",
        help="filmed, blurred, transparent, #rrggbb, a JPEG or PNG file, or the name of one of "
        "the server's pictures",
    )
    parser.add_argument(
        "--framing", metavar="F", help="filmed, shoulders, face, or ZOOM,X,Y as in 1.5,0.5,0.4"
    )


def promises_consent(args: argparse.Namespace) -> bool:
    """Whether ``--i-have-consent`` was said, or VISAVIS_I_HAVE_CONSENT says it.

    Raises:
        ConfigError: the variable is neither 1 nor 0.
    """
    text = os.environ.get("VISAVIS_I_HAVE_CONSENT") or "0"
    if text not in ("0", "1"):
        raise ConfigError(f"VISAVIS_I_HAVE_CONSENT must be 1 or 0, not {text!r}.")
    return bool(args.i_have_consent) or text == "1"


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON document on standard output."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def load(person: str) -> Person:
    """Load a built-in person by name, or a person file by path.

    A built-in person is trusted; a file from elsewhere is first loaded in a limited process.

    Raises:
        PersonFileError: the file is missing, malformed, foreign or unsafe.
    """
    from visavis.engines.person import load_person
    from visavis.persons import BUILTIN, builtin

    if person in BUILTIN:
        return load_person(builtin(person).read_bytes(), trusted=True)
    return load_person(Path(person))


def load_to_show(person: str, *, promised: bool) -> Person:
    """Load a person that others will see; see `load`.

    Args:
        person: a built-in person's name, or a path.
        promised: whoever runs this has the consent that the file may not state.

    Raises:
        NoConsent: the file states no consent, and none was promised.
        PersonFileError: the file is missing, malformed, foreign or unsafe.
    """
    from visavis.engines.consent import require_consent

    loaded = load(person)
    require_consent(person, loaded.manifest, promised=promised)
    return loaded
