"""``visavis camera``: the avatar as this machine's camera and microphone."""

from __future__ import annotations

import argparse

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import Commands, add_look
from visavis.engines.errors import ConfigError

__all__ = ["add_parser"]

DESCRIPTION = """\
Be your avatar in programs that know nothing of it: a virtual camera shows the face, and a sound
device that they take for a microphone has the voice. Your own microphone goes to the server.

    visavis serve                     in one terminal, or on another machine
    visavis camera --person anna      in another; then choose both devices in your call

Where a device is absent, it is said how to make one.
"""


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "camera",
        help="be your avatar in any program: a virtual camera",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--server", default="http://localhost:8080", metavar="URL")
    parser.add_argument("--person", metavar="P", help="who (the server's own choice)")
    parser.add_argument("--token", help="of the server")
    parser.add_argument("--device", help="the virtual camera, of several, as in /dev/video10")
    parser.add_argument("--microphone", help="a source of `pactl list short sources` (default)")
    parser.add_argument("--sink", default="visavis", help="where the voice is played (visavis)")
    parser.add_argument(
        "--no-sound", dest="sound", action="store_false", help="the face alone, at rest"
    )
    add_look(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show the face until it is told to stop."""
    from visavis.clients import camera_program
    from visavis.clients.errors import ClientError
    from visavis.clients.looks import read_look

    if args.background == "transparent":
        raise ConfigError("A virtual camera has no transparency; choose another background.")
    try:
        stats = camera_program.run(
            args.server,
            person=args.person,
            token=args.token,
            device=args.device,
            microphone=args.microphone,
            sink=args.sink,
            sound=args.sound,
            look=read_look(args.background, args.framing),
            say=lambda sentence: print(sentence, flush=True),
        )
    except ClientError as error:
        raise ConfigError(str(error)) from error
    print(f"{stats.shown} pictures shown, {stats.dropped} left out.")
    return ExitCode.OK
