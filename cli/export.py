"""``visavis export``: from a trained folder to a person file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import Commands, add_json, print_json
from visavis.engines.errors import ConfigError

__all__ = ["add_parser"]

DESCRIPTION = """\
Write the person file of what `visavis finetune` trained, and compare it with the training.

    visavis export anna/ --out anna.person
    visavis export anna/ --out anna.person --precision fp32 fp16 int8      for GPUs, too

Every network of the file, and the frames that the whole engine draws with it, are compared with the
trained networks themselves on frames that nothing was fitted to. What is off by more than it may be
is not written, and the exit code is 6. `visavis verify` repeats it on another machine.
"""


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "export",
        help="write the person file of a trained folder, and check it",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="what finetune was told as --out, or its person/"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the person file")
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=("fp32", "fp16", "int8"),
        default=("fp32", "int8"),
        help="of the renderer; the engine takes the fastest that agrees (fp32 int8)",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export, compare, write."""
    try:
        from visavis.finetune.exporting import export_trained
    except ImportError as error:
        raise ConfigError(f"This needs {error.name}: pip install 'visavis[export]'.") from error
    from visavis.engines.verify import as_json, table

    made = export_trained(
        args.folder,
        args.out,
        precisions=args.precision,
        say=lambda words: print(words, file=sys.stderr, flush=True),
    )
    if args.json:
        print_json({"out": str(args.out), "bytes": made.size, "networks": as_json(made.verdicts)})
    else:
        print("\n".join(table(made.verdicts)))
        print(f"{args.out}: {made.size / 1e6:.1f} MB.")
    return ExitCode.OK
