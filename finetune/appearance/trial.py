"""What the appearance model brings, before any network: on frames that it did not learn from.

    python -m visavis.finetune.appearance.trial FOLDER --taught 0:300 --judged 300:400

FOLDER is one that `visavis finetune` left, with its clip and what was tracked in it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.appearance.learn import learn_appearance
from visavis.finetune.ingest import read_back
from visavis.finetune.parts import ANCHOR, SIZE, picture_parts
from visavis.finetune.person import load_geometry
from visavis.finetune.renderer.dataset import Examples
from visavis.finetune.renderer.evaluate import evaluate, table
from visavis.finetune.texture import visible_triangles
from visavis.models.renderer import Renderer

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="visavis.finetune.appearance.trial")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--taught", type=_frames, required=True, metavar="A:B")
    parser.add_argument("--judged", type=_frames, required=True, metavar="A:B")
    options = parser.parse_args(arguments)
    frames = read_back(options.folder / "clip").frames
    tracked = load_geometry(options.folder / "geometry.npz")
    triangles = visible_triangles(tracked)
    rows = {}
    for name, how in (
        ("as tracked", {"rounds": (), "last_steps": 0, "looks": 0}),
        ("fitted, without looks", {"looks": 0}),
        ("fitted", {}),
    ):
        made = learn_appearance(frames, tracked, triangles, options.taught, ANCHOR, SIZE, **how)
        parts = picture_parts(frames, made.geometry, made.appearance, options.taught)
        judged = options.judged
        examples = Examples(frames[judged], made.geometry.of(judged), parts, whole=made.geometry)
        # Fresh weights add nothing.
        scores = evaluate(Renderer(), examples, np.arange(len(examples)))
        rows[name] = scores["drawn without a network"]
        rows["next real frame"] = rows.pop("next real frame", scores["next frame"])
    print(table(rows))
    return 0


def _frames(text: str) -> NDArray[np.int64]:
    first, _, last = text.partition(":")
    return np.arange(int(first), int(last))


if __name__ == "__main__":
    sys.exit(main())
