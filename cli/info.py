"""``visavis info``: what is in a person file."""

from __future__ import annotations

import argparse

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import PERSON_HELP, Commands, add_json, load, print_json

__all__ = ["add_parser"]


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "info",
        help="tell what is in a person file",
        description="Tell who a person file shows, how it was made, and what it needs.",
    )
    parser.add_argument("person", nargs="?", default="presenter", metavar="P", help=PERSON_HELP)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the description."""
    from visavis.engines.info import describe, lines

    description = describe(load(args.person))
    if args.json:
        print_json(description)
    else:
        print("\n".join(lines(description)))
    return ExitCode.OK
