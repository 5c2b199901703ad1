"""``visavis delete``: a training folder with every person made from it, or one person file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import Commands
from visavis.engines.errors import ConfigError, PersonFileError

__all__ = ["add_parser"]

DESCRIPTION = """\
Delete what was made of somebody.

    visavis delete anna/           the folder that `visavis finetune` made, and every person file
                                   that was written from it
    visavis delete anna.person     this person file alone

What goes is listed, and you are asked. A person file that is another one by now stays. Copies that
you made are not known: `visavis info` prints the SHA-256 of the clip that a person was made from.
"""


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "delete",
        help="delete a training folder and the persons made from it",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="PATH", help="the folder, or a person file")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List, ask, delete."""
    from visavis.finetune.erase import erase, plan
    from visavis.persons import BUILTIN, builtin

    if args.path in BUILTIN:
        raise PersonFileError(
            f"{args.path} is built in and stays; write ./{args.path} for a file of that name."
        )
    planned = plan(Path(args.path), protected=[Path(str(builtin(name))) for name in BUILTIN])
    print("\n".join(planned.lines()), flush=True)
    if not args.yes and not agreed():
        print("Nothing was deleted.")
        return ExitCode.FAILURE
    erase(planned)
    print("Deleted.")
    return ExitCode.OK


def agreed() -> bool:
    """Ask, and return whether the answer is yes.

    Raises:
        ConfigError: there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise ConfigError("Nothing was deleted: there is no terminal to ask at; say --yes.")
    try:
        answer = input("Delete it? [y/N] ")
    except EOFError:
        answer = ""
    return answer.strip().lower() in ("y", "yes")
