"""``visavis publish``: the avatar, live, into a service that takes WHIP."""

from __future__ import annotations

import argparse
from pathlib import Path

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import Commands, add_look
from visavis.engines.errors import ConfigError

__all__ = ["add_parser"]

DESCRIPTION = """\
Send your avatar, live, into a service that takes WHIP (RFC 9725): MediaMTX, OvenMediaEngine, SRS, a
streaming platform. Your microphone goes to a visavis server; face and voice go out as that server
made them, H.264 and Opus, and nothing is compressed twice.

    visavis serve                                                           in one terminal
    visavis publish --whip https://live.example/app/whip --bearer TOKEN     in another

A connection that is lost is made again. Ctrl-C ends it, and tells the service.
"""


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "publish",
        help="send your avatar into a service that takes WHIP",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--whip", required=True, metavar="URL", help="the service's address")
    parser.add_argument("--bearer", metavar="TOKEN", help="of the service (or $VISAVIS_BEARER)")
    parser.add_argument("--server", default="http://localhost:8080", metavar="URL", help="visavis")
    parser.add_argument("--person", metavar="P", help="who (the server's own choice)")
    parser.add_argument("--token", help="of the visavis server")
    sound = parser.add_mutually_exclusive_group()
    sound.add_argument("--microphone", help="a source of `pactl list short sources` (default)")
    sound.add_argument("--audio", metavar="FILE", type=Path, help="a sound file instead; then end")
    sound.add_argument("--silent", action="store_true", help="nothing is said, the face is at rest")
    parser.add_argument("--loop", action="store_true", help="say the sound file again and again")
    parser.add_argument("--codec", choices=["h264", "vp8"], default="h264", help="(h264)")
    parser.add_argument(
        "--key-frames",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="how often a picture stands alone, for services that cut streams into pieces (2)",
    )
    add_look(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Publish until it is told to stop."""
    import os

    from visavis.clients.audio_file import AudioFile
    from visavis.clients.errors import ClientError
    from visavis.clients.looks import read_look
    from visavis.clients.publish import program
    from visavis.clients.pulse import Microphone

    if args.loop and args.audio is None:
        raise ConfigError("--loop is about --audio FILE.")
    if not 0.5 <= args.key_frames <= 60:
        raise ConfigError("--key-frames lies between 0.5 and 60 seconds.")
    try:
        options = program.Options(
            url=args.whip,
            server=args.server,
            bearer=args.bearer or os.environ.get("VISAVIS_BEARER"),
            person=args.person,
            token=args.token,
            codec=args.codec,
            key_seconds=args.key_frames,
            look=read_look(args.background, args.framing),
        )
        source: program.VoiceSource | None = None
        if args.audio is not None:
            source = AudioFile(args.audio, loop=args.loop)
        elif not args.silent:
            source = Microphone(args.microphone)
        stats = program.run(options, source, say=lambda sentence: print(sentence, flush=True))
    except ClientError as error:
        raise ConfigError(str(error)) from error
    print(
        f"{stats.pictures} pictures and {stats.voice / 50:.0f} s of voice sent, "
        f"{stats.dropped} packets left out."
    )
    return ExitCode.OK
