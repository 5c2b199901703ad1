"""``visavis bench systems``: the networks of the published systems."""

from __future__ import annotations

import argparse

from visavis.cli.bench_options import count, print_result, seconds
from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import Commands, add_json

__all__ = ["add_systems"]


def add_systems(kinds: Commands[argparse.ArgumentParser]) -> None:
    """Describe it to argparse."""
    parser = kinds.add_parser(
        "systems",
        help="the published systems' networks: as their programs run them, and as here",
        description=(
            "Time the networks of the published systems with random weights: all that the "
            "original's program computes for a frame, beside what is left when a person is "
            "imported, in one run and in turns."
        ),
    )
    parser.add_argument(
        "--systems", nargs="+", metavar="NAME", help="only these; rhythmic-1 has one reference"
    )
    parser.add_argument(
        "--batch", type=count, nargs="+", default=(1, 16), metavar="N", help="in a call (1 16)"
    )
    parser.add_argument("--seconds", type=seconds, default=3, help="of each measurement (3)")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where to measure (cpu)"
    )
    parser.add_argument("--threads", type=count, default=1, help="of a call on a CPU (1)")
    parser.add_argument(
        "--scale", type=count, default=1, metavar="N", help="channels divided by 2, 4 or 8 (1)"
    )
    add_json(parser)
    parser.set_defaults(run=run_systems)


def run_systems(args: argparse.Namespace) -> int:
    """``visavis bench systems``."""
    from visavis.benchmarks import systems
    from visavis.engines.errors import ConfigError

    try:
        from visavis.export.torch_onnx import export_module
    except ImportError as error:
        raise ConfigError(f"This needs {error.name}: pip install 'visavis[export]'.") from error
    result = systems.run(
        export_module,
        systems=args.systems,
        batches=args.batch,
        seconds=args.seconds,
        device=args.device,
        threads=args.threads,
        scale=args.scale,
    )
    print_result(args, result, systems.table(result))
    return ExitCode.OK
