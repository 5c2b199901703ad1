"""``visavis share``: a person file for others."""

from __future__ import annotations

import argparse
from pathlib import Path

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import Commands, add_json, print_json

__all__ = ["add_parser"]

DESCRIPTION = """\
Put a person file into a folder to be given to others, with its licence and notices as text.

    visavis share anna.person --to outbox/

A file that contains parts under others' terms, a licensed face model for one, is refused with the
reason, as is one that does not state the consent of who is shown; the exit code is 4.
"""


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "share",
        help="put a person file with its licence into a folder for others",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("person", type=Path, metavar="FILE", help="a person file")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="where it is put")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check and copy."""
    from visavis.engines.share import share

    shared = share(args.person, args.to)
    if args.json:
        print_json({"files": [str(file) for file in shared.files]})
    else:
        print("\n".join(str(file) for file in shared.files))
    return ExitCode.OK
