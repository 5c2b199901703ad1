"""``visavis evaluate``: how good something is, measured."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import PERSON_HELP, Commands, add_json, load, print_json
from visavis.engines.errors import ConfigError

__all__ = ["add_parser"]

DESCRIPTION = """\
Measure how well the lips of a person follow speech.

    visavis evaluate lips
    visavis evaluate lips --clips FOLDER --tracker build/tracker/bin/python

Always: voices that training never heard, and sounds that are no speech. With --clips: real
recordings of people, which stay where they are; their tracks are kept in the cache. With --tracker:
the finished picture as well, tracked by a face tracker that knows nothing of it.

Each figure stands beside its target. It is a measurement: a missed target is no error, unless
--strict says so.
"""

PERSON_DESCRIPTION = """\
Measure what a person looks like and does: the finished picture, as the engine sends it, against the
frames that were filmed.

    visavis evaluate person anna.person anna.mov --out report
    visavis evaluate person presenter persons/presenter/presenter.mp4 --frames 427:510

Give a video that the person did not learn from, or the one that it was made from. Frames that are
not judged teach the model that it must beat. Each figure stands beside its targets; report.html is
one file that can be sent to somebody, and shows the person's face.

--blind writes numbered pictures of two strips each, one filmed and one made. Somebody who has not
seen key.json writes down for every number which one was filmed; at most 75 % found is passed.
"""


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand and what it can measure to argparse."""
    parser = commands.add_parser(
        "evaluate",
        help="measure how good the lips, or a whole person are",
        description="Measure how good something is.",
    )
    kinds = parser.add_subparsers(title="what to measure", metavar="WHAT", required=True)
    lips = kinds.add_parser(
        "lips",
        help="lips against real mouths, phones, silence and the picture",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    lips.add_argument(
        "--person",
        default="presenter",
        metavar="P",
        help=PERSON_HELP + "; or a checkpoint of the network (.pt), or what --keep wrote (.npz)",
    )
    lips.add_argument("--against", metavar="P", help="other lips, for a paired comparison")
    lips.add_argument("--clips", type=Path, metavar="DIR", help="real clips, one face each")
    lips.add_argument("--tracker", type=Path, metavar="PYTHON", help="a Python with MediaPipe")
    lips.add_argument(
        "--lookahead", type=int, metavar="MS", help="look-ahead (default: the person's own)"
    )
    lips.add_argument(
        "--cache",
        type=Path,
        default=Path(os.environ.get("VISAVIS_CACHE") or Path.home() / ".cache" / "visavis"),
        metavar="DIR",
        help="where tracks are kept (default: $VISAVIS_CACHE or ~/.cache/visavis)",
    )
    lips.add_argument(
        "--voices", type=whole(0), default=2, metavar="N",
        help="of each kind of held-out voice; 0: no synthetic speech (2)",
    )  # fmt: skip
    lips.add_argument(
        "--sentences", type=whole(1), default=10, metavar="N", help="of each voice (10)"
    )
    lips.add_argument("--hour", action="store_true", help="let them talk for an hour as well")
    lips.add_argument("--draws", type=whole(1), default=1000, help="draws of the bootstrap (1000)")
    lips.add_argument(
        "--params", type=json.loads, default={}, metavar="JSON",
        help="parameters of the motion stage, for a checkpoint",
    )  # fmt: skip
    lips.add_argument("--keep", type=Path, metavar="FILE", help="keep what was shown, as .npz")
    lips.add_argument("--out", type=Path, metavar="FILE", help="write the JSON there, too")
    lips.add_argument("--strict", action="store_true", help="a missed target is an error")
    add_json(lips)
    lips.set_defaults(run=run)
    _add_person(kinds)


def _add_person(kinds: Commands[argparse.ArgumentParser]) -> None:
    person = kinds.add_parser(
        "person",
        help="a person against a video of the same person",
        description=PERSON_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    person.add_argument("person", metavar="PERSON", help="a person file, or a built-in person")
    person.add_argument("video", type=Path, metavar="VIDEO", help="of the same person, with sound")
    person.add_argument(
        "--tracker", type=Path, metavar="PYTHON",
        help="a Python with MediaPipe (default: $VISAVIS_TRACKER or build/tracker/bin/python)",
    )  # fmt: skip
    person.add_argument(
        "--frames", metavar="A:B",
        help="judge frames A to B - 1 (default: those held out of this very video, or its last "
        "15 %%)",
    )  # fmt: skip
    person.add_argument(
        "--sound-offset", type=float, default=0.0, metavar="MS",
        help="move the video's sound later by so much (0)",
    )  # fmt: skip
    person.add_argument(
        "--out", type=Path, metavar="DIR", help="write report.html, report.json and report.md"
    )
    person.add_argument("--blind", type=Path, metavar="DIR", help="write 40 pairs for a blind test")
    person.add_argument(
        "--draws", type=whole(1), default=1000, help="draws of the bootstrap (1000)"
    )
    add_json(person)
    person.set_defaults(run=run_person)


def whole(least: int) -> Callable[[str], int]:
    """Return a parser of whole numbers that are not smaller."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number


def run(args: argparse.Namespace) -> int:
    """``visavis evaluate lips``."""
    for path in (args.out, args.keep):
        # Known before minutes are spent on what could not be written.
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise ConfigError(f"{path} cannot be written: name a file in a folder that exists.")
    try:
        from visavis.finetune.lips.yardstick.evaluation import Options, evaluate
    except ImportError as error:
        raise ConfigError(
            f"This needs {error.name}: pip install 'visavis[cpu,finetune]'."
        ) from error
    result = evaluate(
        Options(
            lips=args.person,
            load=load,
            cache=args.cache,
            clips=args.clips,
            tracker=args.tracker,
            lookahead_ms=args.lookahead,
            against=args.against,
            keep=args.keep,
            draws=args.draws,
            voices=args.voices,
            sentences=args.sentences,
            hour=args.hour,
            params=args.params,
        )
    )
    if args.out is not None:
        args.out.write_text(json.dumps(result.document, indent=1, allow_nan=False) + "\n")
    if args.json:
        print_json(result.document)
    else:
        print("\n".join(result.lines))
    return ExitCode.CHECK_FAILED if args.strict and result.missed else ExitCode.OK


def run_person(args: argparse.Namespace) -> int:
    """``visavis evaluate person``."""
    for path in (args.out, args.blind):
        # Known before minutes are spent on what could not be written.
        if path is not None and (path.is_file() or not path.absolute().parent.is_dir()):
            raise ConfigError(f"{path} cannot be made: name a folder in a folder that exists.")
    try:
        from visavis.finetune.environment import find_tracker
        from visavis.finetune.report.evaluation import Options, evaluate
        from visavis.finetune.report.words import lines
        from visavis.finetune.report.writing import write_report
    except ImportError as error:
        raise ConfigError(
            f"This needs {error.name}: pip install 'visavis[cpu,finetune]'."
        ) from error
    report = evaluate(
        Options(
            person=load(args.person),
            video=args.video,
            tracker=find_tracker(args.tracker),
            frames=args.frames,
            sound_offset_ms=args.sound_offset,
            blind=args.blind,
            draws=args.draws,
        )
    )
    if args.out is not None:
        write_report(report, args.out)
    if args.json:
        print_json(report.document)
    else:
        print("\n".join(lines(report.document)))
    return ExitCode.OK
