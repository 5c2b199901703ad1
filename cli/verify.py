"""``visavis verify``: do a person's networks compute here what the trained ones did?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import PERSON_HELP, Commands, add_json, load, print_json
from visavis.engines.errors import ConfigError

__all__ = ["add_parser"]

DESCRIPTION = """\
Run every network of a person file, in every precision, on every backend that this machine has, and
compare what comes out with what the trained network made of the same inputs; time it, too.

Exit code 6 says that something is off by more than it may be. The engine compares precisions by
itself when it loads a person, and takes none that is.

With --parity it runs the networks and formulas of the published systems instead, on the cases of a
folder that holds what the original programs computed: DIR/SYSTEM/PART.case.json and .case.npz.
Exit code 2 says that there is no such folder.
"""


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "verify",
        help="compare a person's networks with the trained ones, on this machine",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("person", nargs="?", default="presenter", metavar="P", help=PERSON_HELP)
    what.add_argument(
        "--parity", type=Path, metavar="DIR", help="run the parity cases of the published systems"
    )
    parser.add_argument("--backend", metavar="B", help="of one backend only, as doctor names it")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table; exit code 6 where something is past its bound."""
    if args.parity is not None:
        return run_parity(args)
    from visavis.engines.backends import available, find
    from visavis.engines.verify import as_json, table, verify

    backends = available() if args.backend is None else [find(args.backend)]
    verdicts = verify(load(args.person), backends)
    if args.json:
        print_json({"person": args.person, "networks": as_json(verdicts)})
    else:
        print("\n".join(table(verdicts)))
    failed = any(verdict.past for verdict in verdicts)
    return ExitCode.CHECK_FAILED if failed else ExitCode.OK


def run_parity(args: argparse.Namespace) -> int:
    """Print a row for every check as it is made; exit code 6 where one failed."""
    try:
        from visavis.export.parity.runner import as_json, line, run_folder
        from visavis.export.parity.systems import SYSTEMS
    except ImportError as error:
        raise ConfigError(f"This needs {error.name}: pip install 'visavis[export]'.") from error

    rows = []
    try:
        for row in run_folder(args.parity, SYSTEMS):
            rows.append(row)
            if not args.json:
                print(line(row), flush=True)
    except ConfigError as error:
        print(f"visavis: {error}", file=sys.stderr)
        return ExitCode.USAGE
    failed = [row for row in rows if not row.check.passed]
    if args.json:
        print_json({"folder": str(args.parity), "checks": as_json(rows)})
    else:
        cases = {(row.system, row.part) for row in rows}
        bad = {(row.system, row.part) for row in failed}
        print(f"{len(cases) - len(bad)} of {len(cases)} cases passed ({len(rows)} checks).")
    return ExitCode.CHECK_FAILED if failed else ExitCode.OK
