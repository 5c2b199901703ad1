"""``visavis bench``: latency and cost, measured on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from visavis.cli.bench_bargein import add_bargein
from visavis.cli.bench_capacity import add_parsers
from visavis.cli.bench_fanout import add_fanout
from visavis.cli.bench_options import count, print_result, seconds
from visavis.cli.bench_systems import add_systems
from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import PERSON_HELP, Commands, add_json, load

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
    engine.add_argument(
        "--sessions", type=count, nargs="+", default=(1, 2, 4), metavar="N", help="at once (1 2 4)"
    )
    engine.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where frames are made (cpu)"
    )
    engine.add_argument("--backend", metavar="NAME", help="what runs the networks; see doctor")
    batch = kinds.add_parser(
        "batch",
        help="frames of many persons in one batch: what their own weights cost",
        description=(
            "Measure the renderers of many persons: a launch for each, one launch with weights as "
            "inputs, and one launch with one set of weights, which the others are compared with."
        ),
    )
    batch.add_argument(
        "--persons",
        type=count,
        nargs="+",
        default=(1, 8, 64),
        metavar="N",
        help="how many share a batch (1 8 64)",
    )
    batch.add_argument(
        "--frames", type=count, default=16, help="of a batch; of more persons one each (16)"
    )
    batch.add_argument("--repeats", type=count, default=5, help="of every way (5)")
    batch.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where to measure (cpu)"
    )
    add_json(batch)
    batch.set_defaults(run=run_batch)
    network = kinds.add_parser(
        "network",
        help="bad paths: loss, jitter, a blackout; beside aiortc as it comes",
        description=(
            "Put a relay of real UDP between a real headless Chromium and the server, make the "
            "path bad for a while, and measure delay, freezes and concealed sound before, during "
            "and after; beside an echo on plain aiortc with the same page, links and seeds."
        ),
    )
    network.add_argument(
        "--scenario",
        action="append",
        metavar="NAME",
        help="a trouble; may be given several times (default: all)",
    )
    network.add_argument("--before", type=seconds, default=5, help="seconds that count before (5)")
    network.add_argument("--during", type=seconds, default=8, help="seconds of the trouble (8)")
    network.add_argument("--after", type=seconds, default=10, help="seconds afterwards (10)")
    network.add_argument(
        "--speech", type=Path, help="what is said (default: the person's own clip)"
    )
    network.add_argument("--chromium", type=Path, help="the browser's program (default: found)")
    paths = kinds.add_parser(
        "paths",
        help="WebRTC, TURN and the WebSocket: what each way costs",
        description=(
            "Measure the echo in a real headless Chromium over WebRTC, over WebRTC through a "
            "coturn on this machine (UDP and TCP), and over the WebSocket, one after the other."
        ),
    )
    paths.add_argument("--seconds", type=int, default=30, help="length of each path (30)")
    paths.add_argument("--chromium", type=Path, help="the browser's program (default: found)")
    soak = kinds.add_parser(
        "soak",
        help="long use: does memory, a handle, a thread or a delay grow?",
        description=(
            "Let sessions come and go for minutes, or so many times, over the WebSocket path, and "
            "fit lines through memory, handles, threads, delay and offset."
        ),
    )
    soak.add_argument("--minutes", type=seconds, default=30, help="how long (30)")
    soak.add_argument("--cycles", type=int, help="connect and leave so many times instead")
    soak.add_argument(
        "--leg",
        choices=("echo", "person"),
        default="person",
        help="who answers: the person, or stored pictures (person)",
    )
    add_parsers(kinds)
    add_systems(kinds)
    add_bargein(kinds)
    add_fanout(kinds)
    kinds_and_runs = (
        (live, run_live),
        (network, run_network),
        (paths, run_paths),
        (soak, run_soak),
        (engine, run_engine),
    )
    for kind, run in kinds_and_runs:
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
    print_result(args, result, live.table(result))
    return ExitCode.OK if result["passed"] else ExitCode.CHECK_FAILED


def run_network(args: argparse.Namespace) -> int:
    """``visavis bench network``."""
    from visavis.benchmarks import network

    result = network.run(
        person=args.person,
        scenarios=args.scenario or tuple(network.SCENARIOS),
        lengths=network.Lengths(before=args.before, during=args.during, after=args.after),
        speech=args.speech,
        chromium=args.chromium,
    )
    print_result(args, result, network.table(result))
    return ExitCode.OK if result["passed"] else ExitCode.CHECK_FAILED


def run_paths(args: argparse.Namespace) -> int:
    """``visavis bench paths``."""
    from visavis.benchmarks import paths

    result = paths.run(person=args.person, seconds=args.seconds, chromium=args.chromium)
    print_result(args, result, paths.table(result))
    return ExitCode.OK if result["passed"] else ExitCode.CHECK_FAILED


def run_soak(args: argparse.Namespace) -> int:
    """``visavis bench soak``."""
    from visavis.benchmarks import soak

    result = soak.run(person=args.person, leg=args.leg, minutes=args.minutes, cycles=args.cycles)
    print_result(args, result, soak.table(result))
    return ExitCode.OK if result["passed"] else ExitCode.CHECK_FAILED


def run_engine(args: argparse.Namespace) -> int:
    """``visavis bench engine``."""
    from visavis.benchmarks import engine

    result = engine.run(
        load(args.person),
        seconds=args.seconds,
        sessions=args.sessions,
        device=args.device,
        backend=args.backend,
    )
    print_result(args, result, engine.table(result))
    return ExitCode.OK


def run_batch(args: argparse.Namespace) -> int:
    """``visavis bench batch``."""
    from visavis.benchmarks import batch

    result = batch.run(
        persons=args.persons, frames=args.frames, device=args.device, repeats=args.repeats
    )
    print_result(args, result, batch.table(result))
    return ExitCode.OK
