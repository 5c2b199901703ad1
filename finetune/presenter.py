"""Makes the built-in person: `python -m visavis.finetune.presenter --help`.

Its clip, the times of its phones and its notices lie beside the person file. It is made as any
person is (`make`), with one difference: what is said in the clip is known, so that the lips are
fitted to the very phones. The motion network, which learns from synthetic speech and not from the
person (`docs/lips.md`), is given as a checkpoint, or kept as it is in the person file. With
`--lips-only` the picture, too, is kept as it is.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.engines.npy import dump_array
from visavis.engines.person import Person, load_person, write_person
from visavis.export.native import compare_motion, default_lookahead
from visavis.export.renderer import with_half_weights
from visavis.export.restore import restore_motion
from visavis.finetune.geometry import Geometry
from visavis.finetune.lips import fit
from visavis.finetune.lips.train import load_motion
from visavis.finetune.make import Request, make
from visavis.finetune.person import load_geometry, measured_of
from visavis.finetune.speaking_lips import SpeakingLips
from visavis.finetune.speech.gestures import gestures
from visavis.models.motion import Motion

__all__ = ["main"]

logger = logging.getLogger(__name__)

HOME = Path(__file__).resolve().parents[1] / "persons" / "presenter"
MINUTES = 20.0
# Of `tract@2`. The curve stays a quarter under the openings of real mouths: this person's *sh*
# looks wrong when it opens like an *a*.
LIPS = {
    "gain": [1.0, 0.9, 2.2, 2.4, 1.3, 1.3],
    "curve": [[0.0, 0.0], [0.01, 0.014], [0.03, 0.02], [0.08, 0.095], [0.13, 0.2], [0.3, 0.4]],
    "parted": 0.045,
    "contact": [0.35, 0.6],
    "sure": 0.97,
    "likely": 0.85,
    "stay": 0.6,
    "voice_frames": 3,
}
CONSENT = {
    "subject": "synthetic person; nobody was filmed or recorded for the picture",
    "given": "not applicable: the person does not exist",
    "synthetic": True,
}
LICENCE = "Apache-2.0, with the notices of the geometry it was rendered from"


def main(arguments: list[str] | None = None) -> int:
    """Make the built-in person as `visavis finetune` makes any, but for the lips' own knowledge."""
    parser = argparse.ArgumentParser(prog="visavis.finetune.presenter")
    parser.add_argument("--tracker", type=Path, help="Python with MediaPipe")
    parser.add_argument("--motion", type=Path, help="checkpoint of another motion network")
    parser.add_argument("--work", type=Path, default=Path("build/presenter"))
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"to spend ({MINUTES:.0f})")
    parser.add_argument(
        "--lips-only",
        action="store_true",
        help="keep the picture as it is; --work must hold a finished run",
    )
    parser.add_argument("--out", type=Path, default=HOME / "presenter.person")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")

    before = load_person(HOME / "presenter.person", trusted=True)
    base = restore_motion(before) if options.motion is None else load_motion(options.motion)
    fit_lips = functools.partial(presenter_lips, base)
    if options.lips_only:
        geometry = load_geometry(options.work / "geometry.npz")
        folder = options.work / "lips-only"
        shutil.rmtree(folder, ignore_errors=True)
        fit_lips(measured_of(geometry), np.zeros(0, np.float32), ()).write(folder)
        size = replace_lips(before, geometry, folder, options.out)
        logger.info("%s: %.1f MB", options.out, size / 1e6)
        return 0
    outcome = make(
        Request(
            video=HOME / "presenter.mp4",
            out=options.work,
            name="Presenter",
            minutes=options.minutes,
            resume=options.work.exists(),
            consent=CONSENT,
            licence=LICENCE,
            adversarial=False,  # on a CPU it teaches nothing in that time (docs/finetune.md)
            tracker=options.tracker,
            notices=(HOME / "NOTICE").read_text(),
        ),
        base=before,
        say=logger.info,
        tell=lambda progress: None,
        fit_lips=fit_lips,
    )
    assert outcome is not None  # it was not asked to prepare alone
    shutil.copyfile(outcome.person, options.out)
    logger.info("%s: %.1f MB", options.out, outcome.size / 1e6)
    return 0


def presenter_lips(
    motion: Motion, measured: fit.Measured, sound: NDArray[np.float32], cuts: Sequence[float]
) -> SpeakingLips:
    """Return the lips of the presenter, whose phones are known: nothing need be heard.

    Args:
        motion: the network.
        measured: of the clip.
        sound, cuts: not used.
    """
    with np.load(HOME / "presenter.npz") as data:
        phones = fit.read_phones(data)
    times = (np.arange(len(measured.coefficients), dtype=np.float64) + 0.5) / 25.0
    fitted = fit.fit_person_map(measured, gestures(phones, times, vowel=1.0, unstressed=0.7))
    return SpeakingLips(
        motion,
        fitted.parts(),
        LIPS,
        {"method": "the clip's own phones", "explained": round(fitted.explained, 3)},
    )


def replace_lips(person: Person, geometry: Geometry, motion: Path, out: Path) -> int:
    """Write a person with other lips.

    Args:
        person: whose picture is kept.
        geometry: that the lips were fitted to.
        motion: what `SpeakingLips.write` wrote.
        out: the file.

    Returns:
        its size in bytes.

    Raises:
        PersonFileError: the lips were fitted to another geometry.
    """
    mean = np.asarray(person.stage_parts("geometry")["mean"])
    if not np.array_equal(mean[: len(geometry.mean)], geometry.mean):
        raise PersonFileError(
            "The clip's geometry is not that of the person file; make the picture anew, too."
        )
    entries = json.loads((motion / "stage.json").read_text())
    manifest = {**person.manifest, "stages": {**person.manifest["stages"], **entries["stages"]}}
    manifest["graphs"] = {**manifest["graphs"], **entries["graphs"]}
    manifest["lookahead_ms"] = default_lookahead(
        entries["stages"]["motion"]["params"]["lookaheads"]
    )
    manifest["requires"] = sorted(stage["op"] for stage in manifest["stages"].values())
    del manifest["parts"]
    network = entries["graphs"]["motion"]["variants"]["fp32"]
    parts = {
        name: part
        for name, part in person.parts.items()
        if not name.startswith(("motion/", "reference/motion."))
        and name not in person.graphs["motion"].variants.values()
    }
    parts |= {
        f"motion/{path.name}": dump_array(np.load(path, allow_pickle=False))
        for path in sorted(motion.glob("*.npy"))
    }
    trained = (motion / network).read_bytes()
    parts[network] = with_half_weights(trained)
    compare_motion(manifest, parts, trained, motion)
    data = write_person(manifest, parts)
    partial = out.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(out)
    return len(data)


if __name__ == "__main__":
    raise SystemExit(main())
