"""``visavis verify``: do a person's networks compute here what the trained ones did?"""

from __future__ import annotations

import argparse

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import PERSON_HELP, Commands, add_json, load, print_json

__all__ = ["add_parser"]

DESCRIPTION = """\
Run every network of a person file, in every precision, on every backend that this machine has, and
compare what comes out with what the trained network made of the same inputs; time it, too.

Exit code 6 says that something is off by more than it may be. The engine compares precisions by
itself when it loads a person, and takes none that is.
"""


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "verify",
        help="compare a person's networks with the trained ones, on this machine",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("person", nargs="?", default="presenter", metavar="P", help=PERSON_HELP)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table; exit code 6 where something is past its bound."""
    from visavis.engines.backends import available
    from visavis.engines.verify import as_json, table, verify

    verdicts = verify(load(args.person), available())
    if args.json:
        print_json({"person": args.person, "networks": as_json(verdicts)})
    else:
        print("\n".join(table(verdicts)))
    failed = any(verdict.past for verdict in verdicts)
    return ExitCode.CHECK_FAILED if failed else ExitCode.OK
