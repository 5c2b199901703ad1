"""``visavis import``: from a published system's checkpoints to a person file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import Commands, add_json, print_json
from visavis.engines.errors import ConfigError

__all__ = ["add_parser"]

DESCRIPTION = """\
Make a person file of the networks of a published system: davs, headpose, audiodvp, style_avatar or
rhythmic. Checkpoints are taken as they were published or trained, in any order.

    visavis import davs 101_DAVS_checkpoint.pth.tar --image anna.jpg --out anna.person \\
        --consent "I agree to be shown by visavis. Anna, 2026-11-27"
    visavis serve --person anna.person

The person is tried before it is written: every network is compared with PyTorch, and a voice must
move the mouth. A picture of what it looks like is put beside the file. What each system takes
stands in docs/importing.md and docs/systems/. Nothing in a checkpoint is run.
"""


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "import",
        help="make a person of a published system's checkpoints",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("system", metavar="SYSTEM", help="davs, headpose, audiodvp, ...")
    parser.add_argument(
        "checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="the networks' files"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the person file")
    who = parser.add_argument_group("who is shown")
    who.add_argument("--image", type=Path, help="a picture of the person")
    who.add_argument("--clip", type=Path, help="a video of the person")
    who.add_argument(
        "--references", type=Path, nargs="+", default=(), metavar="PICTURE", help="several pictures"
    )
    who.add_argument(
        "--coefficients", type=Path, metavar="PATH", help="what the system tracked in the clip"
    )
    who.add_argument("--face-model", type=Path, metavar="PATH", help="its face model")
    who.add_argument(
        "--expression-model", type=Path, metavar="DIR", help="expressions, where they are apart"
    )
    who.add_argument(
        "--points",
        nargs="+",
        metavar="X,Y",
        help="of the face in the picture, or a text file of them, where no tracker finds them",
    )
    who.add_argument("--tracker", type=Path, metavar="PYTHON", help="a Python with MediaPipe")
    who.add_argument("--name", help="in addresses (the file's name)")
    who.add_argument("--display-name", metavar="NAME", help="for people (the file's name)")
    who.add_argument("--consent", metavar="TEXT", help="what the person agreed to, in words")
    who.add_argument("--licence", default="not stated", help="of the person (not stated)")
    how = parser.add_argument_group("how it moves")
    how.add_argument(
        "--motion",
        choices=("native", "original"),
        default="native",
        help="our lips, in time; or the system's own, which hears further ahead (native)",
    )
    how.add_argument("--speech", type=Path, metavar="SOUND", help="a voice to fit and try it with")
    how.add_argument(
        "--styles", type=Path, nargs="+", default=(), metavar="PATH", help="style codes, or tracks"
    )
    how.add_argument(
        "--drive", type=Path, nargs="+", default=(), metavar="CLIP", help="clips that may be played"
    )
    how.add_argument("--lookahead", type=int, metavar="MS", help="of the original motion")
    how.add_argument("--ahead", type=int, metavar="N", help="frames that are drawn ahead")
    how.add_argument("--frames", type=int, metavar="N", help="of the clip that are shown, at most")
    how.add_argument("--face-only", action="store_true", help="show the face's crop alone")
    how.add_argument("--tune", type=int, metavar="STEPS", help="of the tuning to the picture")
    how.add_argument("--half", action="store_true", help="keep weights in 16 bits")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Import, try, write."""
    from visavis.export.imports.preflight import preflight

    preflight(args.system, args.checkpoints, args.out)
    try:
        from visavis.finetune.importing import Given, import_given
    except ImportError as error:
        raise ConfigError(f"This needs {error.name}: pip install 'visavis[finetune]'.") from error

    made = import_given(
        Given(
            system=args.system,
            checkpoints=tuple(args.checkpoints),
            out=args.out,
            image=args.image,
            clip=args.clip,
            references=tuple(args.references),
            coefficients=args.coefficients,
            face_model=args.face_model,
            expression_model=args.expression_model,
            points=tuple(args.points or ()),
            tracker=args.tracker,
            name=args.name,
            display_name=args.display_name,
            consent=args.consent,
            licence=args.licence,
            motion=args.motion,
            speech=args.speech,
            styles=tuple(args.styles),
            drive=tuple(args.drive),
            lookahead_ms=args.lookahead,
            ahead=args.ahead,
            frames=args.frames,
            face_only=args.face_only,
            tune=args.tune,
            half=args.half,
        ),
        say=lambda words: print(words, file=sys.stderr, flush=True),
    )
    if args.json:
        files = {"out": str(args.out), "bytes": made.size, "sheet": str(made.sheet)}
        print_json({**files, "licensed": made.licensed, **made.checked.report})
        return ExitCode.OK
    print("\n".join(made.checked.lines()))
    if made.licensed is not None:
        print(f"Not to be given on: {made.licensed}")
    print(f"{args.out}: {made.size / 1e6:.1f} MB; what it looks like: {made.sheet}")
    return ExitCode.OK
