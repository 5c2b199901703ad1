"""The ``visavis`` command: reads its line, calls one subcommand, turns errors into sentences.

Nothing heavy is imported before a subcommand is chosen, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from visavis import __version__
from visavis.cli import (
    bench,
    camera,
    delete,
    doctor,
    evaluate,
    export,
    extension,
    finetune,
    import_,
    info,
    matte,
    publish,
    render,
    serve,
    share,
    verify,
)
from visavis.cli.exit_codes import ExitCode
from visavis.engines.errors import (
    AudioInputError,
    ConfigError,
    DeviationError,
    PersonFileError,
    UnknownLookahead,
    UnknownPerson,
    VisavisError,
)
from visavis.export.imports.errors import ImportRefused

__all__ = ["main"]

DESCRIPTION = """\
Speak into a browser, and a person speaks with your voice.

Start with `visavis serve`, open the address it prints, allow the microphone, and talk.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments without the program's name; by default those of the process.

    Returns:
        One of :class:`~visavis.cli.exit_codes.ExitCode`.
    """
    parser = argparse.ArgumentParser(
        prog="visavis",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"visavis {__version__}")
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="say more; twice for debugging"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for subcommand in (
        serve,
        render,
        finetune,
        import_,
        matte,
        export,
        verify,
        info,
        share,
        delete,
        bench,
        evaluate,
        doctor,
        extension,
        camera,
        publish,
    ):
        subcommand.add_parser(commands)
    args = parser.parse_args(argv)
    logging.basicConfig(
        stream=sys.stderr,
        level=(logging.WARNING, logging.INFO, logging.DEBUG)[min(args.verbose, 2)],
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        return int(args.run(args))
    except VisavisError as error:
        print(f"visavis: {error}", file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output left (`visavis info ... | head`); that is its right.
        sys.stderr.close()
        return ExitCode.OK


def exit_code(error: VisavisError) -> ExitCode:
    """The exit code that belongs to an error."""
    match error:
        case ConfigError():
            return ExitCode.STARTUP_FAILURE
        case PersonFileError() | ImportRefused() | UnknownPerson() | UnknownLookahead():
            return ExitCode.PERSON_REFUSED
        case AudioInputError():
            return ExitCode.INPUT_REFUSED
        case DeviationError():
            return ExitCode.CHECK_FAILED
        case _:
            return ExitCode.FAILURE
