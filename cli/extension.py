"""``visavis extension``: a browser extension with which one takes part in calls as one's avatar."""

from __future__ import annotations

import argparse
from pathlib import Path

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import Commands

__all__ = ["add_parser"]

DESCRIPTION = """\
Write a browser extension that gives your avatar for a camera on the sites that you name.

    visavis extension --server https://avatar.example --site 'https://meet.example/*' --out avatar/

Load the folder in chrome://extensions (developer mode, "Load unpacked"). On those sites every page
that asks for a camera and a microphone then gets the avatar's face and voice; the real devices stay
in the site's own menus. The server must let other sites in: it has a token, or --open.
"""


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "extension",
        help="write a browser extension: the avatar for a camera",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--server", required=True, metavar="URL", help="the server's address")
    parser.add_argument(
        "--site",
        required=True,
        action="append",
        metavar="PATTERN",
        help="where it works, as in 'https://meet.example/*'; may be given several times",
    )
    parser.add_argument("--person", help="whose face (the server's own choice)")
    parser.add_argument("--token", help="of the server; whoever has the folder has it, too")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new folder")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the folder."""
    from visavis.server.extension import extension_files, write_extension
    from visavis.server.pages import load_pages

    files = extension_files(
        load_pages(), server=args.server, sites=args.site, person=args.person, token=args.token
    )
    write_extension(args.out, files)
    print(f"{args.out}: load it in chrome://extensions with developer mode on.")
    return ExitCode.OK
