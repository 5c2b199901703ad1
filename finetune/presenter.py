"""Makes the built-in person: `python -m visavis.finetune.presenter --tracker PYTHON --motion FOLDER`.

Its clip and its notices lie beside the person file. The motion network is trained apart, on
synthetic speech; `docs/person.md` says how, and what each step takes.
"""

from __future__ import annotations

import argparse
import logging
import shutil
from pathlib import Path

from visavis.export.native import export_person
from visavis.finetune.person import fit_clip, write_folder
from visavis.finetune.renderer.train import train

__all__ = ["main"]

logger = logging.getLogger(__name__)

HOME = Path(__file__).resolve().parents[1] / "persons" / "presenter"
STEPS = 6000
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
    """Build the person and write its file."""
    parser = argparse.ArgumentParser(prog="visavis.finetune.presenter", description=__doc__)
    parser.add_argument("--clip", type=Path, default=HOME / "presenter.mp4")
    parser.add_argument("--tracker", type=Path, required=True, help="Python with MediaPipe")
    parser.add_argument("--motion", type=Path, required=True, help="folder of the motion network")
    parser.add_argument("--work", type=Path, default=Path("build/presenter"))
    parser.add_argument("--steps", type=int, default=STEPS, help="of the renderer's training")
    parser.add_argument("--out", type=Path, default=HOME / "presenter.person")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    clip = fit_clip(options.clip, options.tracker, options.work)
    renderer = train(clip.examples(), options.work / "renderer", steps=options.steps)
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
    shutil.copytree(options.motion, folder / "motion", dirs_exist_ok=True)
    size = export_person(folder, options.out)
    logger.info("%s: %.1f MB", options.out, size / 1e6)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
