"""Options and output that several subcommands share."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visavis.engines.person import Person

__all__ = ["PERSON_HELP", "Commands", "add_json", "load", "print_json"]

Commands = argparse._SubParsersAction  # argparse has no public name for it

PERSON_HELP = "a person file, or the name of a built-in person (default: presenter)"


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``: print JSON and nothing else."""
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")


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
