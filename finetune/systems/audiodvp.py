"""Trains what `audiodvp` trains for one person, in small, on a person that finetune has tracked.

    python -m visavis.finetune.systems.audiodvp RUN --out FOLDER --minutes 15

RUN is the folder of a finetune. FOLDER then holds what the published program leaves, under its
names, for `visavis import audiodvp`: `face_model.mat`, the coefficients of every frame, the crops,
`NN_net_G.pth`. The network is the published one with fewer channels (`--channels`, 64 there), its
losses are L1 of picture and edges: no adversary. The three coming frames are unknown live, so in
half of the examples the newest stands for them.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.engines.raster import RasterRule, rasterize
from visavis.finetune.systems.cameras import fit_poses
from visavis.finetune.systems.clip import (
    Square,
    TrackedClip,
    read_run,
    square_of,
    squares,
)
from visavis.finetune.systems.stand_in import mirrored, write_mat
from visavis.finetune.systems.training import Task, held_out, near, pictures_apart, train
from visavis.finetune.systems.written import original_names, write_crops, write_sound
from visavis.models.face_model import FaceModel
from visavis.models.systems.audiodvp import composite, face
from visavis.models.systems.audiodvp.renderer import FRAMES, NeuralRenderer, layout
from visavis.models.systems.bfm import euler, turned
from visavis.models.systems.interpolation import interpolated

__all__ = ["Coefficients", "drawn", "fit", "main", "task"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

EYE_DISTANCES, DOWN = 2.8, 0.45  # the crop, and where its middle is
CHANNELS, BATCH = 12, 4
REACH = FRAMES // 2
UNIT = 0.921567  # decimetres: what the published program divides Basel's micrometres to
MOUTH_WEIGHT, MOUTH_REACH = 4.0, (0.11, 0.09)  # and how far around, shares of the picture
OUTSIDE_WEIGHT = 0.05  # of what the composite does not show
OPEN_MOUTH = -8.0  # of expression 0
RULE = RasterRule(inside_tolerance=1e-5, later_wins=True)
START = np.array([0.0, 0.0, 0.0, 0.0, 0.0, -3.0])  # of the pose: three units nearer than the origin


class Coefficients:
    """The numbers of every frame, by the names of the folders.

    Attributes:
        alpha, beta: f32[80]; delta: f32[N, 64]; gamma: f32[27]; rotation, translation: f32[N, 3].
    """

    def __init__(self, delta: F32, pose: F32) -> None:
        self.alpha = np.zeros(80, np.float32)
        self.beta = np.zeros(80, np.float32)
        self.delta = delta
        # The first harmonic alone, so that a vertex has the colour that the clip shows.
        self.gamma = np.zeros(27, np.float32)
        self.gamma[:3] = 2.0 / np.sqrt(np.pi) - face.AMBIENT
        self.rotation, self.translation = pose[:, :3], pose[:, 3:]

    def __len__(self) -> int:
        return len(self.delta)

    def posed(self, model: FaceModel, frame: int, delta: F32) -> face.Face:
        """Return the face of a frame with another expression, f32[64]."""
        values = (self.beta, self.gamma, self.rotation[frame], self.translation[frame])
        given = [torch.from_numpy(np.ascontiguousarray(value)) for value in values]
        return face.posed(
            model, torch.from_numpy(self.alpha), torch.from_numpy(delta.copy()), *given
        )

    def write(self, folder: Path) -> None:
        """Write a file for every number and frame, as the published tracker leaves them."""
        for name in ("alpha", "beta", "delta", "gamma", "rotation", "translation"):
            values = np.asarray(getattr(self, name), np.float32)
            (folder / name).mkdir(parents=True, exist_ok=True)
            for k in range(len(self)):
                row = values[k] if values.ndim == 2 else values
                torch.save(torch.from_numpy(row.copy())[:, None], folder / name / f"{k + 1:05d}.pt")


def fit(clip: TrackedClip, square: Square) -> tuple[Coefficients, float]:
    """Return the coefficients of the clip, and how far off their points are, pixels of the crop."""
    model = clip.face.model
    expressions = torch.from_numpy(clip.face.expressions)
    marks = model.landmarks
    own = model.mean[marks] + torch.einsum("nk,kpj->npj", expressions, model.expression[:, marks])
    # The camera mirrors what it sees.
    shape = turned(own * torch.tensor([-1.0, 1.0, 1.0])).double()
    wanted = square.inside(clip.projected(own.double().numpy()) + 0.5)

    def project(poses: Tensor) -> Tensor:
        matrix = euler(poses[:, :3])
        there = (shape - poses[:, None, 3:]) @ matrix.mT
        points = face.pixels(face.clip_space(there.flatten(0, 1)))
        return points.reshape(*there.shape[:2], 2)

    found, off = fit_poses(project, wanted, START)
    return Coefficients(clip.face.expressions, found), float(off.mean())


@torch.no_grad()
def drawn(model: FaceModel, numbers: Coefficients) -> tuple[U8, U8]:
    """Draw the lower face of every frame on black.

    Args:
        model: mirrored.

    Returns:
        uint8[N, S, S, 3] and the mask of the composite, uint8[N, S, S].
    """
    size = face.SIZE
    triangles = model.triangles[face.lower_triangles(model)].numpy().astype(np.int32)
    pictures = np.empty((len(numbers), size, size, 3), np.uint8)
    masks = np.empty((len(numbers), size, size), np.uint8)

    def covered(found: face.Face) -> tuple[NDArray[np.int32], F32]:
        clip_space = face.clip_space(found.vertices).numpy()
        return rasterize(clip_space, triangles, size, size, RULE)[:2]

    for k in range(len(numbers)):
        shown = numbers.posed(model, k, numbers.delta[k])
        ids, barycentric = covered(shown)
        levels = interpolated(ids, barycentric, triangles, shown.colours.numpy(), 0.0)
        pictures[k] = np.rint(np.clip(levels, 0.0, 1.0) * 255.0).astype(np.uint8)
        opened = numbers.delta[k].copy()
        opened[0] = OPEN_MOUTH
        masks[k] = composite.covering(
            covered(numbers.posed(model, k, opened))[0] >= 0,
            covered(numbers.posed(model, k, np.zeros_like(opened)))[0] >= 0,
        )
    return pictures, masks


def task(pictures: U8, masks: U8, crops: U8, mouth: F32, widths: Sequence[int]) -> Task:
    """Return the training of the renderer.

    Args:
        pictures: uint8[N, S, S, 3], of `drawn`; masks: uint8[N, S, S]; crops: as the pictures.
        mouth: f32[N, 2], its middle in the crops, pixels.
        widths: channels after each step down.
    """
    network = NeuralRenderer(widths)
    _begin(network)
    count, size = len(pictures), pictures.shape[1]
    held, taught = held_out(count)

    def inputs(frames: Tensor, hold: Tensor) -> Tensor:
        seen = frames[:, None] + torch.arange(-REACH, REACH + 1)
        seen = torch.where(hold[:, None], torch.minimum(seen, frames[:, None]), seen)
        there = (seen >= 0) & (seen < count)
        chosen = torch.from_numpy(pictures[seen.clamp(0, count - 1).numpy()])
        planes = chosen.float() / 127.5 - 1.0
        # A frame that does not exist is mid grey.
        planes = planes * there[..., None, None, None]
        return planes.permute(0, 1, 4, 2, 3).flatten(1, 2)

    def wanted(frames: Tensor) -> tuple[Tensor, Tensor]:
        at = frames.numpy()
        target = torch.from_numpy(crops[at]).float().permute(0, 3, 1, 2) / 127.5 - 1.0
        inside = torch.from_numpy(masks[at] > 0).float()[:, None]
        share = near(mouth[at], size, MOUTH_REACH)
        return target, inside * (1.0 + MOUTH_WEIGHT * share) + OUTSIDE_WEIGHT

    def loss(draws: torch.Generator) -> Tensor:
        frames = taught[torch.randint(len(taught), (BATCH,), generator=draws)]
        hold = torch.rand(BATCH, generator=draws) < 0.5
        target, weight = wanted(frames)
        return pictures_apart(network(inputs(frames, hold)), target, weight)

    def judge() -> float:
        """Mean levels off inside the mask, of frames held out."""
        errors = []
        for frame in held.tolist():
            one = torch.tensor([frame])
            made = network(inputs(one, torch.tensor([True])))
            target, _ = wanted(one)
            off = (made - target).abs().mean(1)[0].numpy() * 127.5
            errors.append(float(off[masks[frame] > 0].mean()))
        return float(np.mean(errors)) if errors else float("nan")

    return Task(network, loss, judge)


def _begin(network: nn.Module) -> None:
    """Normal weights of deviation 0.02, as pix2pix begins."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)


def main(arguments: list[str] | None = None) -> int:
    """Train and write."""
    parser = argparse.ArgumentParser(prog="visavis.finetune.systems.audiodvp")
    parser.add_argument("run", type=Path, help="folder of a finetune")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--channels", type=int, default=CHANNELS)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    clip = read_run(options.run)
    square = square_of(clip, EYE_DISTANCES, DOWN, face.SIZE)
    numbers, off = fit(clip, square)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    model = mirrored(clip.face.model)
    pictures, masks = drawn(model, numbers)
    crops = squares(clip.frames, square)
    write_mat(model, out / "face_model.mat", UNIT)
    numbers.write(out / "coefficients")
    write_crops(crops, out / "crop.mp4")
    write_sound(clip.sound, out / "voice.wav")
    np.savez(out / "drawn.npz", pictures=pictures[::25], crops=crops[::25], masks=masks[::25])
    mouth = square.inside(clip.mouth()).astype(np.float32)
    widths = [options.channels * n for n in (1, 2, 4, 8, 8, 8, 8, 8)]
    job = task(pictures, masks, crops, mouth, widths)
    result = train(job, out / "training", options.minutes * 60.0)
    state = original_names(job.network.state_dict(), layout(len(widths)))
    torch.save(state, out / "50_net_G.pth")
    about = {
        **result,
        "pixels_off": round(off, 3),
        "channels": options.channels,
        "square": [square.left, square.top, square.side],
    }
    (out / "about.json").write_text(json.dumps(about, indent=1) + "\n")
    logging.info("%s", json.dumps(about))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
