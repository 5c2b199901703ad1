"""``visavis bench fanout``: what it costs when many watch one session."""

from __future__ import annotations

import argparse

from visavis.cli.bench_options import count, print_result, seconds
from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import PERSON_HELP, Commands, add_json

__all__ = ["add_fanout"]


def add_fanout(kinds: Commands[argparse.ArgumentParser]) -> None:
    """Describe it to argparse."""
    parser = kinds.add_parser(
        "fanout",
        help="many viewers of one session: what they cost, how soon they see a picture",
        description=(
            "Speak to a server over WHIP and let more and more viewers watch over WHEP; measure "
            "the server's processor time and each viewer's time to its first whole picture."
        ),
    )
    parser.add_argument(
        "--viewers", type=count, nargs="+", default=(1, 10, 50), metavar="N", help="(1 10 50)"
    )
    parser.add_argument(
        "--seconds", type=seconds, default=20.0, help="length for each number of them (20)"
    )
    parser.add_argument("--person", default="presenter", metavar="P", help=PERSON_HELP)
    add_json(parser)
    parser.set_defaults(run=run_fanout)


def run_fanout(args: argparse.Namespace) -> int:
    """``visavis bench fanout``."""
    from visavis.benchmarks import fanout

    result = fanout.run(person=args.person, viewers=args.viewers, seconds=args.seconds)
    print_result(args, result, fanout.table(result))
    return ExitCode.OK if result["passed"] else ExitCode.CHECK_FAILED
