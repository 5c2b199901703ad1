"""``visavis bench sessions``, ``peers``, ``persons`` and ``floor``: how much a machine carries."""

from __future__ import annotations

import argparse
from pathlib import Path

from visavis.cli.bench_options import count, print_result, seconds
from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import PERSON_HELP, Commands, add_json

__all__ = ["add_parsers"]

PARTS = ("engine", "encode", "packets")


def add_parsers(kinds: Commands[argparse.ArgumentParser]) -> None:
    """Describe them to argparse."""
    _add_sessions(kinds)
    _add_peers(kinds)
    _add_persons(kinds)
    _add_floor(kinds)


def _add_sessions(kinds: Commands[argparse.ArgumentParser]) -> None:
    parser = kinds.add_parser(
        "sessions",
        help="how many sessions this machine carries, and what stands in the way of more",
        description=(
            "Let visitors who all say something else talk to a real server over WebRTC, more and "
            "more of them until one is not carried any more; then the engine, the encoders and the "
            "packets by themselves."
        ),
    )
    parser.add_argument("--person", default="presenter", metavar="P", help=PERSON_HELP)
    parser.add_argument(
        "--persons",
        type=count,
        nargs="+",
        default=(1, 8, 64),
        metavar="N",
        help="over how many persons the sessions are spread, copies under other names (1 8 64)",
    )
    parser.add_argument(
        "--sessions",
        type=count,
        nargs="+",
        metavar="N",
        help="numbers to try (default: doubling, then halving the gap, up to the knee)",
    )
    parser.add_argument("--seconds", type=seconds, default=60, help="of each number (60)")
    parser.add_argument("--most", type=count, default=512, help="never more sessions (512)")
    parser.add_argument(
        "--codec", choices=("vp8", "h264"), default="vp8", help="what pictures come as (vp8)"
    )
    parser.add_argument(
        "--parts",
        choices=PARTS,
        nargs="*",
        default=PARTS,
        help="what to measure by itself (all three)",
    )
    parser.add_argument(
        "--serve-options",
        default="",
        metavar="TEXT",
        help="further options of visavis serve, in one argument: '--workers 4'",
    )
    parser.add_argument(
        "--speech", type=Path, help="what visitors say cuts of (default: the person's own clip)"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves there, as SVG")
    add_json(parser)
    parser.set_defaults(run=run_sessions)


def _add_peers(kinds: Commands[argparse.ArgumentParser]) -> None:
    parser = kinds.add_parser(
        "peers",
        help="the networks of other projects beside ours, on this machine",
        description=(
            "Time the networks of Wav2Lip-256 (as LiveTalking has it), Ultralight, FeatherTalk and "
            "MuseTalk with random weights, from clones that you have, beside our renderer. Without "
            "--clones it says what to clone where."
        ),
    )
    parser.add_argument("--clones", type=Path, metavar="DIR", help="where the clones lie")
    parser.add_argument("--person", default="presenter", metavar="P", help=PERSON_HELP)
    parser.add_argument(
        "--batch",
        type=count,
        nargs="+",
        default=(1, 4, 8),
        metavar="N",
        help="frames in a call (1 4 8)",
    )
    parser.add_argument("--seconds", type=seconds, default=3, help="of each measurement (3)")
    parser.add_argument("--network", action="append", metavar="NAME", help="only these")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where to measure (cpu)"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it there, as SVG")
    add_json(parser)
    parser.set_defaults(run=run_peers)


def _add_persons(kinds: Commands[argparse.ArgumentParser]) -> None:
    parser = kinds.add_parser(
        "persons",
        help="listing many persons: how long it takes, cold and warm",
        description=(
            "Write so many person files into a folder of their own and list them, once when nobody "
            "has seen them and again when everything is known."
        ),
    )
    parser.add_argument("--person", default="presenter", metavar="P", help=PERSON_HELP)
    parser.add_argument("--count", type=count, default=1000, help="how many (1000)")
    parser.add_argument("--repeats", type=count, default=5, help="of each listing (5)")
    add_json(parser)
    parser.set_defaults(run=run_persons)


def _add_floor(kinds: Commands[argparse.ArgumentParser]) -> None:
    parser = kinds.add_parser(
        "floor",
        help="the renderer against the least that its memory traffic allows",
        description=(
            "Time the renderer and each layer of it beside the time in which the layer's input, "
            "weights and output cross the memory once, at the speed of a copy."
        ),
    )
    parser.add_argument(
        "--batch", type=count, nargs="+", default=(1, 64), metavar="N", help="in a call (1 64)"
    )
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where to measure (cpu)"
    )
    add_json(parser)
    parser.set_defaults(run=run_floor)


def run_sessions(args: argparse.Namespace) -> int:
    """``visavis bench sessions``."""
    from visavis.benchmarks import sessions

    result = sessions.run(
        person=args.person,
        persons=args.persons,
        sessions=args.sessions,
        seconds=args.seconds,
        most=args.most,
        codec=args.codec,
        serve_options=args.serve_options,
        parts=args.parts,
        speech=args.speech,
        plot=args.plot,
    )
    print_result(args, result, sessions.table(result))
    return ExitCode.OK


def run_peers(args: argparse.Namespace) -> int:
    """``visavis bench peers``."""
    from visavis.benchmarks import peers

    if args.clones is None:
        print(peers.directions())
        return ExitCode.OK
    result = peers.run(
        args.clones,
        person=args.person,
        batches=args.batch,
        seconds=args.seconds,
        device=args.device,
        networks=args.network,
        plot=args.plot,
    )
    print_result(args, result, peers.table(result))
    return ExitCode.OK


def run_persons(args: argparse.Namespace) -> int:
    """``visavis bench persons``."""
    from visavis.benchmarks import persons

    result = persons.run(person=args.person, count=args.count, repeats=args.repeats)
    print_result(args, result, persons.table(result))
    return ExitCode.OK


def run_floor(args: argparse.Namespace) -> int:
    """``visavis bench floor``."""
    from visavis.benchmarks import floor

    result = floor.run(batches=args.batch, device=args.device)
    print_result(args, result, floor.table(result))
    return ExitCode.OK
