"""Trains the generic renderer on many people: `python -m visavis.finetune.renderer.people --help`.

Each person is a folder with `frames/*.png` of 512 x 512, of somebody who does not exist. Texture,
teeth and mouth of each are fitted as of any person; what one network learns from all of them is how
planes become a picture, which is where every person's own training then begins (`generic`).
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from visavis.engines.errors import ConfigError
from visavis.finetune.appearance.learn import learn_appearance
from visavis.finetune.geometry import COMPONENTS, fit_geometry
from visavis.finetune.parts import ANCHOR, SIZE, picture_parts
from visavis.finetune.person import load_geometry, save_geometry
from visavis.finetune.renderer.dataset import Augmentation, Examples
from visavis.finetune.renderer.evaluate import evaluate, table
from visavis.finetune.renderer.generic import pack_renderer
from visavis.finetune.renderer.train import Plan, Progress, train
from visavis.finetune.texture import visible_triangles
from visavis.finetune.track import track_faces

__all__ = ["People", "main"]

logger = logging.getLogger(__name__)

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

# Frames of renders are apart in time, so that the tracker's noise cannot be told from motion.
HOW = Augmentation(noise=0.15)
SAID_EVERY_S = 60.0
LEAST_COMPONENTS, FRAMES_A_COMPONENT = 4, 6


class People:
    """Examples of many people, as `dataset.Examples` gives those of one.

    Args:
        members: one of each.
    """

    voiced = False

    def __init__(self, members: Sequence[Examples]) -> None:
        self._members = members
        self._starts = np.cumsum([0, *(len(member) for member in members)])
        self.openness = np.concatenate([member.openness for member in members])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def batch(
        self,
        indices: NDArray[np.int64],
        random: np.random.Generator,
        how: Augmentation,
        *,
        voice: bool = False,
    ) -> tuple[F32, F32]:
        """Return planes and pictures; see `dataset.Examples.batch`."""
        who = np.searchsorted(self._starts, indices, "right") - 1
        made: list[tuple[F32, F32]] = []
        for member in np.unique(who).tolist():
            own = indices[who == member] - self._starts[member]
            made.append(self._members[member].batch(own, random, how))
        planes, pictures = (np.concatenate(part) for part in zip(*made, strict=True))
        return planes, pictures


def read_pictures(folder: Path) -> U8:
    """Return `frames/*.png` of a person as uint8[N, H*3/2, W], I420, BT.601, limited range.

    Raises:
        ConfigError: there are none.
    """
    frames = []
    for path in sorted((folder / "frames").glob("*.png")):
        with av.open(str(path)) as container:
            picture = next(container.decode(video=0))
            flat = picture.reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU601,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
            frames.append(flat.to_ndarray().astype(np.uint8, copy=False))
    if not frames:
        raise ConfigError(f"{folder} has no frames/*.png.")
    return np.stack(frames)


def examples_of(folder: Path, tracker: Path, *, known: int = 1) -> Examples:
    """Return what is learnt from one person; the tracked mesh is kept in the folder.

    Args:
        folder: of the person.
        tracker: Python with MediaPipe.
        known: every so many frames are what the appearance is learnt from; where that is not all,
            the examples are of the others.
    """
    frames = read_pictures(folder)
    kept = folder / f"tracked-{len(frames)}-{known}.npz"
    taught = np.arange(0, len(frames), known)
    if not kept.exists():
        # Of few pictures few components: the model must not know by heart what it is shown.
        components = min(COMPONENTS, max(LEAST_COMPONENTS, len(taught) // FRAMES_A_COMPONENT))
        tracked = fit_geometry(track_faces(frames, tracker), components=components)
        save_geometry(tracked, kept)
    tracked = load_geometry(kept)
    made = learn_appearance(frames, tracked, visible_triangles(tracked), taught, ANCHOR, SIZE)
    parts = picture_parts(frames, made.geometry, made.appearance, taught)
    shown = taught if known == 1 else np.setdiff1d(np.arange(len(frames)), taught)
    return Examples(frames[shown], made.geometry.of(shown), parts, whole=made.geometry)


def main(arguments: list[str] | None = None) -> int:
    """Train, measure on a person who was left out, and write the weights."""
    parser = argparse.ArgumentParser(prog="visavis.finetune.renderer.people")
    parser.add_argument("people", type=Path, nargs="+", help="folders with frames/*.png")
    parser.add_argument(
        "--left-out",
        type=Path,
        help="a person who is measured: how every second frame looks is known",
    )
    parser.add_argument("--tracker", type=Path, required=True, help="Python with MediaPipe")
    parser.add_argument("--work", type=Path, default=Path("build/generic"))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).with_name("generic.npz"), help="of the weights"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    people = People([examples_of(folder, options.tracker) for folder in options.people])
    logger.info("%d pictures of %d people", len(people), len(options.people))
    said = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal said
        if time.monotonic() - said > SAID_EVERY_S:
            said = time.monotonic()
            left = (progress.steps - progress.step) * progress.seconds / 60.0
            logger.info("step %d, about %.0f min left", progress.step, left)

    renderer = train(people, options.work, Plan(options.steps), how=HOW, tell=tell)
    pack_renderer(renderer, str(options.out))
    if options.left_out is not None:
        other = examples_of(options.left_out, options.tracker, known=2)
        print(table(evaluate(renderer, other, np.arange(len(other)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
