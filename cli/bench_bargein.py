"""``visavis bench bargein``: how soon an interrupted person is silent."""

from __future__ import annotations

import argparse

from visavis.cli.bench_options import count, print_result
from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import PERSON_HELP, Commands, add_json

__all__ = ["add_bargein"]


def add_bargein(kinds: Commands[argparse.ArgumentParser]) -> None:
    """Describe it to argparse."""
    parser = kinds.add_parser(
        "bargein",
        help="from clear to silence, and to a face that listens",
        description=(
            "Let a person say its own clip as a speech model would, interrupt it in the middle of "
            "a loud moment, and time what is still heard and seen."
        ),
    )
    parser.add_argument(
        "--repetitions", type=count, default=20, metavar="N", help="answers to interrupt (20)"
    )
    parser.add_argument("--person", default="presenter", metavar="P", help=PERSON_HELP)
    add_json(parser)
    parser.set_defaults(run=run_bargein)


def run_bargein(args: argparse.Namespace) -> int:
    """``visavis bench bargein``."""
    from visavis.benchmarks import bargein

    result = bargein.run(person=args.person, repetitions=args.repetitions)
    print_result(args, result, bargein.table(result))
    return ExitCode.OK if result["passed"] else ExitCode.CHECK_FAILED
