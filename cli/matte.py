"""``visavis matte``: what other backgrounds and framings need of a person."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis.cli.exit_codes import ExitCode
from visavis.cli.options import PERSON_HELP, Commands, add_json, load, print_json
from visavis.engines.errors import ConfigError, PersonFileError

if TYPE_CHECKING:
    from visavis.finetune.matting.person import Looked

__all__ = ["add_parser"]

DESCRIPTION = """\
Add to a person file how much of each pixel of its frames is the person (the matte), what stood
behind them (the plate), and where the face is. Visitors may then choose another background and a
closer picture, and serving needs no network for it.

    make finetune-env                              once: the tracker's environment
    visavis matte anna.person                      anna.person itself; everything else in it stays
    visavis matte anna.person --out anna2.person --report

The camera must have stood still. `visavis finetune` does this by itself.
"""


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "matte",
        help="let visitors choose another background for a person",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("person", metavar="PERSON", help=PERSON_HELP.partition(" (default")[0])
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the person file to write (PERSON itself)"
    )
    parser.add_argument("--tracker", type=Path, metavar="PYTHON", help="a Python with MediaPipe")
    parser.add_argument(
        "--face-only", action="store_true", help="write where the face is, and make no matte"
    )
    parser.add_argument("--report", action="store_true", help="print how good the matte is")
    parser.add_argument(
        "--truth",
        type=Path,
        metavar="DIR",
        help="true mattes, 00000.png and so on by frame, to compare with in the report",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Add the look; the file is replaced when all is well, or not at all."""
    try:
        from visavis.finetune.environment import find_tracker
        from visavis.finetune.matting.measure import read_truth
        from visavis.finetune.matting.person import with_look
    except ImportError as error:
        raise ConfigError(
            f"This needs {error.name}: pip install 'visavis[cpu,finetune]'."
        ) from error
    from visavis.persons import BUILTIN

    if args.out is None and args.person in BUILTIN:
        raise ConfigError(f"{args.person} is built in and stays as it is; name another with --out.")
    out = Path(args.person) if args.out is None else args.out
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise ConfigError(f"{out} cannot be written: name a file in a folder that exists.")
    truth = None if args.truth is None else read_truth(args.truth)
    person = load(args.person)
    made = with_look(
        person,
        _tracker_where_needed(args, find_tracker),
        matte=not args.face_only,
        truth=truth,
        measured=args.report or truth is not None,
        say=lambda sentence: print(sentence, file=sys.stderr, flush=True),
    )
    partial = out.with_name(f".{out.name}.part")
    try:
        try:
            partial.write_bytes(made.data)
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PersonFileError(f"{out} cannot be written: {reason}.") from error
    if args.json:
        print_json({"out": str(out), "bytes": len(made.data), **_facts(made)})
    else:
        print("\n".join(_lines(made)))
        print(f"{out}: {len(made.data) / 1e6:.1f} MB.")
    return ExitCode.OK


def _tracker_where_needed(args: argparse.Namespace, find: Any) -> Path | None:
    """Return the tracker; without a matte to be made it may lack."""
    try:
        tracker: Path = find(args.tracker)
    except ConfigError:
        if not args.face_only:
            raise
        return None
    return tracker


def _facts(made: Looked) -> dict[str, Any]:
    if made.made is None:
        return {"face": made.face}
    return {
        "face": made.face,
        "look_bytes": sum(map(len, made.made.parts.values())),
        "plate_seen": round(made.made.seen, 4),
        "figures": made.made.figures,
    }


def _lines(made: Looked) -> list[str]:
    text = []
    if made.face is None:
        text.append("Where the face is, nobody knows.")
    else:
        x, y, size = made.face
        text.append(f"The face: {x:.1%} across, {y:.1%} down, {size:.1%} of the height.")
    if made.made is None:
        return text
    text.append(
        f"Matte and plate take {sum(map(len, made.made.parts.values())) / 1e3:.0f} kB; "
        f"{made.made.seen:.0%} of the plate was seen, the rest is filled in."
    )
    if found := made.made.figures:
        names = list(found["matte"])
        text.append(f"{'':10}" + "".join(f"{name:>10}" for name in names))
        text += [
            f"{row:10}" + "".join(f"{values[name]:10.3f}" for name in names)
            for row, values in found.items()
        ]
    return text
