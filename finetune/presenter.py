"""Makes the built-in person: `python -m visavis.finetune.presenter --help`.

Its clip, the times of its phones and its notices lie beside the person file. Picture and geometry
are made anew. The motion network, which learns from synthetic speech and not from the person
(`docs/lips.md`), is given as a checkpoint, or kept as it is in the person file; its map to the
person is fitted anew in both cases. With `--lips-only` the picture, too, is kept as it is.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from pathlib import Path

import numpy as np

from visavis.engines.errors import PersonFileError
from visavis.engines.npy import dump_array
from visavis.engines.person import load_person, write_person
from visavis.export.motion import write_motion
from visavis.export.native import default_lookahead, export_person
from visavis.export.renderer import with_half_weights
from visavis.finetune.background import jpeg
from visavis.finetune.lips import fit
from visavis.finetune.lips.train import load_motion
from visavis.finetune.person import Clip, fit_clip, write_folder
from visavis.finetune.renderer.evaluate import evaluate, sheet, table
from visavis.finetune.renderer.train import train
from visavis.finetune.speech.gestures import gestures

__all__ = ["main"]

logger = logging.getLogger(__name__)

HOME = Path(__file__).resolve().parents[1] / "persons" / "presenter"
STEPS = 5000
# "Now, thank you both, from all of us. Let us begin.": what `--held-out` does not learn from.
LAST_SENTENCES = (427, 510)
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
COLUMNS = [4, 13, 25, 34, 43, 53, 61]  # of them, in the contact sheet
ABOUT = {
    "name": "presenter",
    "display_name": "Presenter",
    "consent": {
        "subject": "synthetic person; nobody was filmed or recorded for the picture",
        "given": "not applicable: the person does not exist",
    },
    "licence": "Apache-2.0, with the notices of the geometry it was rendered from",
}


def main(arguments: list[str] | None = None) -> int:
    """Build the person and write its file, or measure the renderer on held-out sentences."""
    parser = argparse.ArgumentParser(prog="visavis.finetune.presenter")
    parser.add_argument("--tracker", type=Path, required=True, help="Python with MediaPipe")
    parser.add_argument("--motion", type=Path, help="checkpoint of another motion network")
    parser.add_argument("--work", type=Path, default=Path("build/presenter"))
    parser.add_argument("--steps", type=int, default=STEPS, help="of the renderer's training")
    parser.add_argument("--held-out", action="store_true", help="only train without the last "
                        "sentences, print scores on them and draw them")  # fmt: skip
    parser.add_argument("--lips-only", action="store_true", help="keep the picture as it is")
    parser.add_argument("--out", type=Path, default=HOME / "presenter.person")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")

    clip = fit_clip(HOME / "presenter.mp4", options.tracker, options.work)
    if options.lips_only:
        folder = options.work / "lips"
        fit_lips(options.work / "geometry.npz", options.motion, folder)
        size = replace_lips(clip, folder, options.out)
        logger.info("%s: %.1f MB", options.out, size / 1e6)
        return 0
    examples = clip.examples()
    if options.held_out:
        test = np.arange(*LAST_SENTENCES)
        learned = np.setdiff1d(np.arange(len(examples)), test)
        held_out = train(examples, options.work / "held-out", steps=options.steps, frames=learned)
        print(table(evaluate(held_out, examples, test)))
        picture = sheet(held_out, examples, test[COLUMNS])
        (options.work / "held-out.jpg").write_bytes(jpeg(picture))
        return 0
    renderer = train(examples, options.work / "renderer", steps=options.steps)
    folder = options.work / "person"
    about = {
        **ABOUT,
        "made_by": {
            "tool": "visavis.finetune.presenter",
            "clip_sha256": clip.sha256,
            "renderer_steps": options.steps,
        },
    }
    write_folder(folder, clip, renderer, about=about, notices=(HOME / "NOTICE").read_text())
    fit_lips(options.work / "geometry.npz", options.motion, folder / "motion")
    size = export_person(folder, options.out)
    logger.info("%s: %.1f MB", options.out, size / 1e6)
    return 0


def replace_lips(clip: Clip, motion: Path, out: Path) -> int:
    """Write the built-in person with other lips.

    Args:
        clip: the person's; its geometry must be that of the person file.
        motion: what `fit_lips` wrote.
        out: the file.

    Returns:
        its size in bytes.

    Raises:
        PersonFileError: the lips were fitted to another geometry.
    """
    person = load_person(HOME / "presenter.person", trusted=True)
    geometry = person.stage_parts("geometry")
    for name, array in clip.parts.geometry.items():
        if not np.array_equal(np.asarray(geometry[name]), array):
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
        if not name.startswith("motion/") and name not in person.graphs["motion"].variants.values()
    }
    parts |= {
        f"motion/{path.name}": dump_array(np.load(path, allow_pickle=False))
        for path in sorted(motion.glob("*.npy"))
    }
    parts[network] = with_half_weights((motion / network).read_bytes())
    data = write_person(manifest, parts)
    partial = out.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(out)
    return len(data)


def fit_lips(geometry: Path, motion: Path | None, folder: Path) -> None:
    """Write the motion stage of the person, fitted to its geometry.

    Args:
        geometry: what `person.save_geometry` wrote.
        motion: a checkpoint of `lips.train`; None keeps the network of the person file.
        folder: is made.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with np.load(HOME / "presenter.npz") as data:
        spoken = fit.read_phones(data)
    with np.load(geometry) as data:
        size = np.sqrt(np.square(data["basis"]).sum(axis=(1, 2)))
        names = ("coefficients", "rest", "aperture", "jaw", "width")
        measured = fit.Measured(**{name: data[name] for name in names}, size=size)
    times = (np.arange(len(measured.coefficients), dtype=np.float64) + 0.5) / 25.0
    fitted = fit.fit_person_map(measured, gestures(spoken, times, vowel=1.0, unstressed=0.7))
    logger.info("the lips' map explains %.1f %% of the clip", 100 * fitted.explained)
    if motion is not None:
        write_motion(load_motion(motion), folder, fitted.parts(), params=LIPS)
        return
    person = load_person(HOME / "presenter.person", trusted=True)
    stages = {stage: person.manifest["stages"][stage] for stage in ("audio", "motion")}
    entries = {"stages": stages, "graphs": {"motion": person.manifest["graphs"]["motion"]}}
    for name, array in fitted.parts().items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    for name in person.graphs["motion"].variants.values():
        (folder / name).write_bytes(person.parts[name])
    (folder / "stage.json").write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
