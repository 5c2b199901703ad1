"""``visavis doctor``: what this machine can do."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import Commands, add_json, print_json

__all__ = ["add_parser"]


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "doctor",
        help="tell what this machine can do, and what is missing",
        description="Tell what this machine can do, and what is missing for the rest.",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print every check; exit code 6 where one that serving needs failed."""
    from visavis.engines.doctor import checks

    found = checks()
    if args.json:
        print_json({"checks": [asdict(check) for check in found]})
    else:
        for check in found:
            mark = "ok " if check.ok else "NO " if check.needed else " - "
            print(f"{mark} {check.name}: {check.detail}")
            if check.advice and not check.ok:
                print(f"       {check.advice}")
    failed = any(check.needed and not check.ok for check in found)
    return ExitCode.CHECK_FAILED if failed else ExitCode.OK
