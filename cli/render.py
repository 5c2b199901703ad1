"""``visavis render``: a sound becomes a video."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import (
    PERSON_HELP,
    Commands,
    add_consent,
    add_json,
    load_to_show,
    print_json,
    promises_consent,
)

__all__ = ["add_parser"]

DESCRIPTION = """\
Let a person say what is in a sound or video file, with the same engine that serves live sessions.

    visavis render --audio speech.wav --out speech.mp4

Any file that FFmpeg reads will do; its first audio stream is used. A video goes further than a live
picture, so a person whose file does not state that who is shown agreed is refused here, too.
"""


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "render",
        help="make a video from a sound",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--person", default="presenter", metavar="P", help=PERSON_HELP)
    parser.add_argument("--audio", required=True, type=Path, metavar="IN", help="what is said")
    parser.add_argument("--out", required=True, type=Path, help="the mp4 to write")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other head motion (0)")
    parser.add_argument(
        "--lookahead",
        type=int,
        metavar="MS",
        help="how much sound after its start a frame may hear (the person's own)",
    )
    add_consent(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Render, with a progress bar on a terminal."""
    from visavis.engines.offline import render_file

    bar = ProgressBar(visible=sys.stderr.isatty() and not args.json)
    started = time.monotonic()
    result = render_file(
        load_to_show(args.person, promised=promises_consent(args)),
        args.audio,
        args.out,
        progress=bar.update,
        seed=args.seed,
        lookahead_ms=args.lookahead,
    )
    bar.finish()
    took = time.monotonic() - started
    if args.json:
        print_json(
            {
                "out": str(args.out),
                "frames": result.frames,
                "seconds": result.frames / 25,
                "took_s": round(took, 3),
            }
        )
    else:
        print(f"{args.out}: {result.frames / 25:.1f} s of video, made in {took:.1f} s.")
    return ExitCode.OK


class ProgressBar:
    """A one-line progress bar on standard error, redrawn at most ten times a second."""

    WIDTH = 32

    def __init__(self, *, visible: bool) -> None:
        self._visible = visible
        self._drawn = 0.0

    def update(self, done: int, total: int | None) -> None:
        """Show how far it is.

        Args:
            done: frames written.
            total: frames there will be, where the input's length is known.
        """
        now = time.monotonic()
        if not self._visible or (now - self._drawn < 0.1 and done != total):
            return
        self._drawn = now
        if total:
            filled = min(self.WIDTH, self.WIDTH * done // total)
            bar = "█" * filled + "░" * (self.WIDTH - filled)
            percent = min(100, 100 * done // total)
            text = f"{bar} {percent:3d} %  {done / 25:.1f} of {total / 25:.1f} s"
        else:
            text = f"{done / 25:.1f} s"
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()

    def finish(self) -> None:
        """Clear the line."""
        if self._visible:
            sys.stderr.write("\r\x1b[K")
