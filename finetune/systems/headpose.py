"""Trains what `headpose` trains for one person, in small, on a person that finetune has tracked.

    python -m visavis.finetune.systems.headpose RUN --out FOLDER --minutes 15

RUN is the folder of a finetune. FOLDER then holds what the published program leaves, under its
names, for `visavis import headpose`: `face_model.mat`, `coefficients/` with `frameN.mat` and where
the crop lies, the crops, `60_net_G.pth`, `60_net_mem.pth`. The generator is the published one with
fewer channels
(`--channels`, 64 there); its losses are L1 of picture and edges: no adversary. A network that makes
a person's numbers of the person's feature has nothing to learn of one person, so the numbers are
learnt themselves and stand in the last bias of that network. The memory is untrained and remembers
one person.
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
from scipy.io import savemat
from torch import Tensor, nn

from visavis.engines.attribute_kernels import resample
from visavis.engines.attributes import lanczos
from visavis.engines.raster import RasterRule, rasterize
from visavis.finetune.systems.cameras import fit_poses
from visavis.finetune.systems.clip import Square, TrackedClip, read_run, square_of, squares
from visavis.finetune.systems.stand_in import write_mat
from visavis.finetune.systems.training import Task, held_out, near, pictures_apart, train
from visavis.finetune.systems.written import original_names, write_crops, write_sound
from visavis.models.face_model import FaceModel
from visavis.models.systems.bfm import euler, turned
from visavis.models.systems.headpose import face, memory
from visavis.models.systems.headpose.generator import (
    FEATURE,
    FRAMES,
    LAYOUT,
    FixedStyle,
    Generator,
    StyleNetwork,
    composite,
)

__all__ = ["drawn", "fit", "main", "task", "with_network"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

EYE_DISTANCES, DOWN = 2.0, 0.45  # the crop, and where its middle is
SIZE = 256  # of the generator's pictures
CHANNELS, BATCH = 12, 2
MOUTH_WEIGHT, MOUTH_REACH = 4.0, (0.14, 0.11)  # and how far around, shares of the picture
KEPT_WEIGHT = 0.005  # of how much of the drawing is kept
START = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.5])  # of the pose
ROWS = 4  # of the memory


def fit(clip: TrackedClip, square: Square) -> tuple[F32, float]:
    """Return the coefficients f32[N, 257] of the clip, and how far their points are off, pixels.

    Args:
        square: the crop of 224.
    """
    model = clip.face.model
    expressions = torch.from_numpy(clip.face.expressions)
    marks = model.landmarks
    own = model.mean[marks] + torch.einsum("nk,kpj->npj", expressions, model.expression[:, marks])
    shape = turned(own - model.mean.mean(0)).double()
    wanted = square.inside(clip.projected(own.double().numpy()) + 0.5)

    def project(poses: Tensor) -> Tensor:
        there = shape @ euler(poses[:, :3]).mT + poses[:, None, 3:]
        return face.pixels(there.flatten(0, 1)).reshape(*there.shape[:2], 2)

    found, off = fit_poses(project, wanted, START)
    rows = np.zeros((len(found), 257), np.float32)
    rows[:, 80:144] = clip.face.expressions
    rows[:, 224:227], rows[:, 254:257] = found[:, :3], found[:, 3:]
    # The first harmonic alone, so that a vertex has the colour that the clip shows.
    rows[:, [227, 236, 245]] = 2.0 / np.sqrt(np.pi) - face.AMBIENT
    return rows, float(off.mean())


@torch.no_grad()
def drawn(model: FaceModel, rows: F32, crops: U8) -> U8:
    """Lay the drawn face over every frame, as the generator sees it.

    Args:
        rows: f32[N, 257]; crops: uint8[N, 224, 224, 3].

    Returns:
        uint8[N, 256, 256, 3].
    """
    triangles = model.triangles.numpy().astype(np.int32)
    size = face.SIZE
    first, weights = lanczos(size, SIZE)
    between, larger = np.empty((size, SIZE), np.uint8), np.empty((3, SIZE, SIZE), np.uint8)
    out = np.empty((len(rows), SIZE, SIZE, 3), np.uint8)
    for k, row in enumerate(rows):
        posed = face.posed(model, torch.from_numpy(row))
        clip_space = face.clip_space(posed.vertices).numpy()
        ids, barycentric, _ = rasterize(clip_space, triangles, size, size, RasterRule())
        picture = face.drawn(ids, barycentric, triangles, posed.colours.numpy())
        levels = np.rint(picture * 255.0).astype(np.uint8)
        laid = face.laid_over(levels, crops[k])
        resample(np.ascontiguousarray(laid.transpose(2, 0, 1)), first, weights, between, larger)
        out[k] = larger.transpose(1, 2, 0)
    return out


class OnePerson(nn.Module):
    """The generator with a person's numbers to be learnt in place of the network that makes them.

    Args:
        widths: channels of the levels down.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.generator = Generator(widths)
        offsets = [
            torch.cat((torch.zeros(width), torch.ones(width))) for width in self.generator.styled
        ]
        style = FixedStyle(torch.cat(offsets)[None])
        style.numbers.requires_grad_(True)
        self.generator.style = style

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return the picture f32[N, 3, 256, 256], -1 to 1, and how much of the drawing is kept."""
        colours, keep = self.generator(frames, frames.new_zeros(len(frames), FEATURE))
        return composite(frames, colours, keep), keep


def with_network(generator: Generator) -> Generator:
    """Put the network that makes the numbers back, in place: it makes them of any feature."""
    style = generator.style
    assert isinstance(style, FixedStyle)
    network = StyleNetwork(style.numbers.shape[1])
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
        network.get_parameter("layers.2.bias").copy_(style.numbers[0])
    generator.style = network
    return generator


def task(pictures: U8, crops: U8, mouth: F32, widths: Sequence[int]) -> Task:
    """Return the training of the generator.

    Args:
        pictures: uint8[N, 256, 256, 3], of `drawn`; crops: as they are.
        mouth: f32[N, 2], its middle in them, pixels.
        widths: channels of the levels down.
    """
    network = OnePerson(widths)
    held, taught = held_out(len(pictures))

    def inputs(frames: Tensor) -> Tensor:
        seen = (frames[:, None] + torch.arange(1 - FRAMES, 1)).clamp(min=0)
        chosen = torch.from_numpy(pictures[seen.numpy()]).float() / 127.5 - 1.0
        return chosen.permute(0, 1, 4, 2, 3).flatten(1, 2)

    def wanted(frames: Tensor) -> tuple[Tensor, Tensor]:
        at = frames.numpy()
        target = torch.from_numpy(crops[at]).float().permute(0, 3, 1, 2) / 127.5 - 1.0
        return target, 1.0 + MOUTH_WEIGHT * near(mouth[at], SIZE, MOUTH_REACH)

    def loss(draws: torch.Generator) -> Tensor:
        frames = taught[torch.randint(len(taught), (BATCH,), generator=draws)]
        target, weight = wanted(frames)
        made, keep = network(inputs(frames))
        apart = pictures_apart(made, target, weight)
        return apart + KEPT_WEIGHT * torch.mean(keep)

    def judge() -> float:
        """Mean levels off near the mouth, of frames held out."""
        errors = []
        for frame in held.tolist():
            one = torch.tensor([frame])
            target, weight = wanted(one)
            off = (network(inputs(one))[0] - target).abs().mean(1)[0] * 127.5
            share = weight[0, 0] - 1.0
            errors.append(float((off * share).sum() / share.sum()))
        return float(np.mean(errors)) if errors else float("nan")

    return Task(network, loss, judge)


def write_memory(path: Path) -> None:
    """Write a memory that was not trained and knows one person, whatever it is asked."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = memory.MemoryNetwork()
    feature = torch.nn.functional.normalize(torch.ones(1, FEATURE)).repeat(ROWS, 1)
    tables = {
        "mem_key": torch.nn.functional.normalize(torch.eye(ROWS, FEATURE)),
        "mem_value": feature,
        "mem_age": torch.zeros(ROWS),
        "mem_index": torch.zeros(ROWS),
    }
    model = original_names(network.state_dict(), memory.LAYOUT)
    torch.save({"mem_model": model, **tables}, path)


def main(arguments: list[str] | None = None) -> int:
    """Train and write."""
    parser = argparse.ArgumentParser(prog="visavis.finetune.systems.headpose")
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
    rows, off = fit(clip, square)
    out: Path = options.out
    (out / "coefficients").mkdir(parents=True, exist_ok=True)
    for k, row in enumerate(rows):
        # The crop stays where it is, so the face's points are where they are.
        found = {"coeff": row[None], "lm_5p": np.zeros((5, 2), np.float32)}
        savemat(out / "coefficients" / f"frame{k}.mat", found)
    place = [square.side, square.side, square.left, square.top]
    np.save(out / "coefficients" / "transbig.npy", np.array(place), allow_pickle=False)
    write_mat(clip.face.model, out / "face_model.mat")
    write_sound(clip.sound, out / "voice.wav")
    small = squares(clip.frames, square)
    pictures = drawn(clip.face.model, rows, small)
    wide = Square(square.left, square.top, square.side, SIZE)
    crops = squares(clip.frames, wide)
    write_crops(crops, out / "crop.mp4")
    np.savez(out / "drawn.npz", pictures=pictures[::25], crops=crops[::25])
    widths = [options.channels * n for n in (1, 2, 4, 8, 8, 8, 8, 8)]
    job = task(pictures, crops, wide.inside(clip.mouth()).astype(np.float32), widths)
    result = train(job, out / "training", options.minutes * 60.0)
    network = job.network
    assert isinstance(network, OnePerson)
    state = with_network(network.generator).state_dict()
    torch.save(original_names(state, LAYOUT), out / "60_net_G.pth")
    write_memory(out / "60_net_mem.pth")
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
