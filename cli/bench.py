"""``visavis bench``: latency and cost, measured on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import PERSON_HELP, Commands, add_json, load, print_json

__all__ = ["add_parser"]


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand and its own subcommands to argparse."""
    parser = commands.add_parser(
        "bench",
        help="measure latency and cost on this machine",
        description="Measure on this machine what the README claims.",
    )
    kinds = parser.add_subparsers(title="benchmarks", metavar="BENCHMARK", required=True)

    live = kinds.add_parser(
        "live",
        help="a real browser, a real microphone track, a whole session",
        description=(
            "Drive a real headless Chromium with recorded speech as its microphone and measure in "
            "the page: delay from microphone to picture and its parts, distinct frames a second, "
            "lips against voice, drops, CPU; beside a bare echo through the same stack."
        ),
    )
    live.add_argument("--seconds", type=int, default=60, help="length of the measurement (60)")
    live.add_argument("--speech", type=Path, help="what is said (default: the person's own clip)")
    live.add_argument("--chromium", type=Path, help="the browser's program (default: found)")
    live.add_argument(
        "--path",
        choices=("webrtc", "ws"),
        default="webrtc",
        help="the way between page and server (webrtc)",
    )
    engine = kinds.add_parser(
        "engine",
        help="the engine alone: milliseconds a stage, frames a second a core",
        description="Measure the engine alone: milliseconds a stage, frames a second a core.",
    )
    engine.add_argument("--seconds", type=int, default=10, help="length for each batch size (10)")
    for kind, run in ((live, run_live), (engine, run_engine)):
        kind.add_argument("--person", default="presenter", metavar="P", help=PERSON_HELP)
        add_json(kind)
        kind.set_defaults(run=run)


def run_live(args: argparse.Namespace) -> int:
    """``visavis bench live``."""
    from visavis.benchmarks import live

    result = live.run(
        person=args.person,
        seconds=args.seconds,
        speech=args.speech,
        chromium=args.chromium,
        path=args.path,
    )
    if args.json:
        print_json(result)
    else:
        print(live.table(result))
    return ExitCode.OK if result["passed"] else ExitCode.CHECK_FAILED


def run_engine(args: argparse.Namespace) -> int:
    """``visavis bench engine``."""
    from visavis.benchmarks import engine

    result = engine.run(load(args.person), seconds=args.seconds)
    if args.json:
        print_json(result)
    else:
        print(engine.table(result))
    return ExitCode.OK
