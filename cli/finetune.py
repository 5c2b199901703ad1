"""``visavis finetune``: from a video of somebody to a person that speaks live."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import Commands, load
from visavis.engines.errors import ConfigError

if TYPE_CHECKING:
    from visavis.finetune.renderer.train import Progress

__all__ = ["add_parser"]

DESCRIPTION = """\
Make a person of a short video: one face, speaking, with sound; 12 seconds to 5 minutes.

    make finetune-env                                        once: the face tracker
    visavis finetune me.mp4 --out me/ --consent "I agree to be shown by visavis. Anna, 2026-11-27"
    visavis serve --person me/me.person

The video is checked first, in seconds, and what stands in the way is said before anything else is
done. A run that was interrupted goes on with --resume. Everything that is made lies in the folder;
visavis delete removes it.
"""
EVERY_S = 15.0  # between lines of progress, where they stay


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "finetune",
        help="make a person of a short video",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("video", type=Path, metavar="VIDEO", help="one face, speaking, with sound")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where it all goes")
    parser.add_argument("--name", help="what the person is called (the folder's name)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train (auto)"
    )
    parser.add_argument("--minutes", type=_minutes, default=15.0, help="time to spend (15)")
    parser.add_argument("--resume", action="store_true", help="go on with DIR")
    parser.add_argument("--consent", metavar="TEXT", help="what the person agreed to, in words")
    parser.add_argument("--licence", default="not stated", help="of the person (not stated)")
    parser.add_argument("--seed", type=int, default=0, help="of everything left to chance (0)")
    parser.add_argument(
        "--adversarial",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="train against an adversary, too (on a GPU; a CPU is too slow for it)",
    )
    parser.add_argument(
        "--sound-offset", type=float, default=0.0, metavar="MS", help="move the sound later (0)"
    )
    parser.add_argument(
        "--held-out", type=_frames, metavar="A:B", help="frames that the report judges by (chosen)"
    )
    parser.add_argument(
        "--face-model", type=Path, metavar="MAT", help="a licensed face model of yours, to fit"
    )
    parser.add_argument(
        "--expression-model", type=Path, metavar="DIR", help="its expressions, where they are apart"
    )
    parser.add_argument(
        "--crop",
        type=int,
        choices=(192, 256, 384),
        default=192,
        help="pixels of the renderer's picture; more wants a larger face, and a GPU (192)",
    )
    parser.add_argument(
        "--no-matte",
        dest="matte",
        action="store_false",
        help="without what other backgrounds need (made where the camera stood still)",
    )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="do all but the training, which --resume may do elsewhere",
    )
    parser.add_argument("--tracker", type=Path, metavar="PYTHON", help="a Python with MediaPipe")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """``visavis finetune``."""
    try:
        from visavis.finetune.make import Request, make
    except ImportError as error:
        raise ConfigError(
            f"This needs {error.name}: pip install 'visavis[cpu,finetune]'."
        ) from error
    show = Show()
    try:
        outcome = make(
            Request(
                video=args.video,
                out=args.out,
                name=args.name,
                device=args.device,
                minutes=args.minutes,
                seed=args.seed,
                resume=args.resume,
                consent=args.consent,
                licence=args.licence,
                adversarial=args.adversarial,
                sound_offset_ms=args.sound_offset,
                held_out=args.held_out,
                tracker=args.tracker,
                face_model=args.face_model,
                expression_model=args.expression_model,
                crop=args.crop,
                matte=args.matte,
                prepare=args.prepare,
            ),
            base=load("presenter"),
            say=show.say,
            tell=show.tell,
        )
    except KeyboardInterrupt:
        show.say(f"Interrupted. What was made lies in {args.out}; --resume goes on.")
        return ExitCode.INTERRUPTED
    if outcome is None:
        show.say(f"{args.out} is prepared; the same command with --resume trains.")
        return ExitCode.OK
    show.say(f"{outcome.person}: {outcome.size / 1e6:.1f} MB, {outcome.steps} steps.")
    show.say(f"Meet it: visavis serve --person {outcome.person}")
    return ExitCode.OK


class Show:
    """What is said on the way: on a terminal one line that changes, elsewhere one now and then."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._last = 0.0
        self._open = False

    def say(self, sentence: str) -> None:
        """A line of its own."""
        print(("\n" if self._open else "") + sentence, file=sys.stderr, flush=True)
        self._open = False

    def tell(self, progress: Progress) -> None:
        """Where the training is."""
        now = time.monotonic()
        if now - self._last < (0.5 if self._live else EVERY_S) and progress.step < progress.steps:
            return
        self._last = now
        left = (progress.steps - progress.step) * progress.seconds
        line = (
            f"  {progress.step} of {progress.steps} steps, loss {progress.loss:.4f}, "
            f"about {left / 60:.0f} min left"
        )
        if progress.alarm is not None:
            line += f". {progress.alarm}"
        print(("\r" if self._live else "") + line, end="" if self._live else "\n", file=sys.stderr)
        sys.stderr.flush()
        self._open = self._live


def _frames(text: str) -> tuple[int, int]:
    first, _, last = text.partition(":")
    if not (first.isdigit() and last.isdigit() and int(first) < int(last)):
        raise argparse.ArgumentTypeError(f"{text} is not like 300:400")
    return int(first), int(last)


def _minutes(text: str) -> float:
    value = float(text)
    if not 0.5 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"{text} is not a time to spend")
    return value
