"""A small `style_avatar` with drawn weights, in the files of its program, and a small face."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import Delaunay
from torch import Tensor, nn

from tests.export.imports.tf_writer import write_checkpoint
from visavis.models.systems.state import StateLayout
from visavis.models.systems.style_avatar import generator, motion, texture
from visavis.models.systems.style_avatar.deepspeech import CELL

F32 = NDArray[np.float32]

SIZE = 224
TEXTURE = (1, 16, 64, 64)


@dataclass(frozen=True)
class Sample:
    """Files of a person; see `sample`."""

    folder: Path
    checkpoints: tuple[Path, ...]
    tuned: tuple[Path, ...]
    model: Path
    image: Path
    coefficients: Path
    styles: Path
    spread: tuple[Path, Path]


def sample(folder: Path) -> Sample:
    """Write everything that an import takes."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(11)
    nets = {
        "backbone": (motion.Motion(motion.Widths(6, 2, (8, 12, 16), 8)), motion.LAYOUT),
        "tex_encoder": (
            texture.TextureEncoder(3, (4, 6, 6, 8, 8), (8, 8, 6, 6, 16)),
            texture.LAYOUT,
        ),
        "face_unet": (generator.Generator(16, 3), generator.LAYOUT),
        "blender": (generator.Generator(3, 2), generator.LAYOUT),
    }
    for name, (network, layout) in nets.items():
        torch.save(published(drawn(network), layout), folder / f"{name}.pkl")
    # It was trained as a free variable.
    tuned = nn.Parameter(torch.rand(TEXTURE) * 2.0 - 1.0)
    torch.save(tuned, folder / "neural_texture.pkl")
    write_checkpoint(folder / "best_dev-1466475", deepspeech())
    write_face(folder / "BFM")
    coefficients = np.zeros((1, 257), np.float32)
    rng = np.random.default_rng(5)
    coefficients[0, :80] = 0.2 * rng.normal(size=80)
    coefficients[0, 224:227] = [0.05, -0.1, 0.02]
    np.save(folder / "coefficients.npy", coefficients)
    np.save(folder / "sty.npy", rng.normal(size=(3, 135)).astype(np.float32))
    Image.fromarray(photograph()).save(folder / "aligned.png")
    write_spread(folder)
    files = {path.stem: path for path in folder.glob("*.pkl")}
    index = folder / "best_dev-1466475.index"
    return Sample(
        folder,
        (index, files["face_unet"], files["backbone"], files["tex_encoder"]),
        (files["face_unet"], files["blender"], files["neural_texture"]),
        folder / "BFM",
        folder / "aligned.png",
        folder / "coefficients.npy",
        folder / "sty.npy",
        (files["exp_mean_std"], files["pose_mean_std"]),
    )


def drawn(network: nn.Module) -> nn.Module:
    """The network with weights through which a signal neither dies nor explodes."""
    one_axis = isinstance(network, motion.Motion)  # residual, and normalised by what is stored
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(0.0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
        elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            gain = 0.6 if one_axis else 1.6
            nn.init.normal_(module.weight, 0.0, (gain / module.weight[0].numel()) ** 0.5)
    return network.eval()


def published(network: nn.Module, layout: StateLayout) -> dict[str, Tensor]:
    """The state dict under the names of the original's files."""
    back = {ours: theirs for theirs, ours in layout.renames.items()}
    renamed = {}
    for key, value in network.state_dict().items():
        parts = key.split(".")
        longest = next(
            n for n in range(len(parts), -1, -1) if n == 0 or ".".join(parts[:n]) in back
        )
        start = [back[".".join(parts[:longest])]] if longest else []
        renamed[".".join([*start, *parts[longest:]])] = value
    return renamed


def deepspeech() -> dict[str, NDArray[np.generic]]:
    """A small DeepSpeech as TensorFlow's training leaves it."""
    rng = np.random.default_rng(7)

    def weights(*shape: int) -> F32:
        return np.asarray(rng.normal(0.0, 1.5 * shape[0] ** -0.5, shape), np.float32)

    sizes = {1: (494, 8), 2: (8, 9), 3: (9, 10), 5: (11, 12), 6: (12, 29)}
    named: dict[str, NDArray[np.generic]] = {
        f"layer_{n}/weights": weights(*size) for n, size in sizes.items()
    }
    # Coefficient 0 of silence is about -170.
    named["layer_1/weights"] = weights(494, 8) * np.float32(0.05)
    named |= {f"layer_{n}/bias": weights(size[1]) for n, size in sizes.items()}
    named |= {f"{CELL}/kernel": weights(10 + 11, 4 * 11), f"{CELL}/bias": weights(4 * 11)}
    moments = {
        f"{name}/{kind}": value for name, value in named.items() for kind in ("Adam", "Adam_1")
    }
    return named | moments | {"global_step": np.array(3, np.int64)}


def write_face(folder: Path) -> None:
    """A face of about 400 vertices with an open mouth, as `BFM_model_front.mat`, and `uv.npy`."""
    folder.mkdir(exist_ok=True)
    marks = marks68()
    grid = np.stack(np.meshgrid(np.linspace(-0.8, 0.8, 19), np.linspace(-1.0, 0.8, 21)), -1)
    others = grid.reshape(-1, 2)
    inside = (others[:, 0] / 0.8) ** 2 + ((others[:, 1] + 0.1) / 0.92) ** 2 < 1.0
    apart = np.linalg.norm(others[:, None] - marks[None], axis=2).min(1) > 0.05
    flat = np.concatenate((marks, others[inside & apart]))
    triangles = Delaunay(flat).simplices
    middle = flat[triangles].mean(1)
    mouth = marks[60:68]
    hole = (np.abs(middle[:, 0]) < mouth[:, 0].max()) & (
        np.abs(middle[:, 1] - mouth[:, 1].mean()) < 0.035
    )
    triangles = triangles[~hole]
    count = len(flat)
    depth = 0.7 - 0.6 * (flat**2).sum(1)
    mean = np.column_stack((flat, depth))
    rng = np.random.default_rng(3)
    expressions = smooth(rng, flat, 64) * 0.02
    # The first opens the jaw: what is below the middle of the mouth goes down.
    below = np.clip((mouth[:, 1].mean() - 0.005 - flat[:, 1]) * 8.0, 0.0, 1.0)
    below *= np.exp(-((flat[:, 0] / 0.4) ** 2))
    expressions[0, :, 1] = -0.08 * below
    arrays = {
        "meanshape": mean.reshape(1, -1),
        "idBase": (smooth(rng, flat, 80) * 0.02).reshape(80, -1).T,
        "exBase": expressions.reshape(64, -1).T,
        "meantex": np.full((1, 3 * count), 150.0),
        "texBase": smooth(rng, flat, 80).reshape(80, -1).T,
        "tri": triangles + 1.0,
        "keypoints": np.arange(1.0, 69.0)[None],
    }
    scipy.io.savemat(folder / "BFM_model_front.mat", arrays)
    uv = np.column_stack((flat / 2.2 + 0.5, np.zeros(count)))
    np.save(folder / "uv.npy", uv.astype(np.float32))


def smooth(rng: np.random.Generator, flat: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Smooth fields f64[count, V, 3]."""
    waves = rng.normal(0.0, 2.0, (count, 2, 3))
    return np.sin(np.einsum("vd,cdk->cvk", flat, waves) + rng.uniform(0.0, 6.0, (count, 1, 3)))


def marks68() -> NDArray[np.float64]:
    """The usual 68 points in the plane, f64[68, 2], y up."""

    def ring(x: float, y: float, across: float, down: float, count: int) -> NDArray[np.float64]:
        turn = np.pi - 2.0 * np.pi * np.arange(count) / count
        return np.column_stack((x + across * np.cos(turn), y + down * np.sin(turn)))

    turn = np.pi + np.pi * np.arange(17) / 16
    jaw = np.column_stack((0.72 * np.cos(turn), 0.1 + 0.95 * np.sin(turn)))
    brow = np.column_stack((np.linspace(-0.5, -0.15, 5), [0.42, 0.47, 0.48, 0.47, 0.44]))
    nose = [[0.0, 0.25 - 0.1 * n] for n in range(4)]
    wings = [[0.07 * n, -0.15] for n in range(-2, 3)]
    return np.concatenate(
        (
            jaw,
            brow,
            brow[::-1] * [-1.0, 1.0],
            nose,
            wings,
            ring(-0.3, 0.25, 0.12, 0.05, 6),
            ring(0.3, 0.25, 0.12, 0.05, 6),
            ring(0.0, -0.45, 0.26, 0.11, 12),
            ring(0.0, -0.45, 0.2, 0.03, 8),
        )
    )


def photograph(height: int = SIZE, width: int = SIZE) -> NDArray[np.uint8]:
    """A picture with something everywhere."""
    y, x = np.mgrid[:height, :width] / 16.0
    waves = [np.sin(x + 0.3 * y), np.cos(0.7 * y), np.sin(0.5 * x - y)]
    return np.asarray(np.stack([130 + 60 * wave for wave in waves], 2), np.uint8)


def write_spread(folder: Path) -> None:
    """The two files of the training clips' styles, pickled as numpy does."""
    rng = np.random.default_rng(9)
    for name, count in (("exp", 64), ("pose", 7)):
        made = {
            f"{what}_{kind}": (rng.uniform(0.5, 1.5, count)).astype(np.float32)
            for what in ("s", "d_s")
            for kind in ("m", "s")
        }
        (folder / f"{name}_mean_std.pkl").write_bytes(pickle.dumps(made))
