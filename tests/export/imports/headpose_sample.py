"""A small `headpose` with drawn weights, in the files that its program leaves for a person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.export.imports.style_avatar_sample import published, write_face
from visavis.export.imports.pictures import encode_footage
from visavis.models.systems.headpose import generator, memory, motion

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

WIDTHS = (4, 5, 6, 6, 7, 8, 8, 8)
ENCODER: dict[str, Any] = {"widths": (2, 3, 3, 4, 4), "full": 8}
ROWS = 40  # of the memory
FRAMES = 6
HEIGHT, WIDTH = 240, 300
CROP = (190, 190, 52, 24)  # width, height, left, top: transbig.npy


@dataclass(frozen=True)
class Sample:
    """Files of a person; see `sample`."""

    folder: Path
    generator: Path
    memory: Path
    motion: Path
    model: Path
    clip: Path
    coefficients: Path


def sample(folder: Path) -> Sample:
    """Write everything that an import takes."""
    folder.mkdir(parents=True, exist_ok=True)
    made = networks()
    torch.save(published(made["generator"], generator.LAYOUT), folder / "60_net_G.pth")
    torch.save(
        {"mem_model": published(made["memory"], memory.LAYOUT), **tables()},
        folder / "60_net_mem.pth",
    )
    torch.save(published(made["motion"], motion.LAYOUT), folder / "atcnet_lstm_99.pth")
    write_face(folder / "BFM")
    write_coefficients(folder / "coefficients", coefficients(), shifts())
    np.save(folder / "coefficients" / "transbig.npy", np.array(CROP))
    (folder / "clip.mp4").write_bytes(encode_footage(clip()))
    return Sample(
        folder,
        folder / "60_net_G.pth",
        folder / "60_net_mem.pth",
        folder / "atcnet_lstm_99.pth",
        folder / "BFM" / "BFM_model_front.mat",
        folder / "clip.mp4",
        folder / "coefficients",
    )


def networks() -> dict[str, nn.Module]:
    """By what they are called here; the same at every call."""
    torch.manual_seed(4)
    made: dict[str, nn.Module] = {
        "generator": generator.Generator(WIDTHS),
        "memory": memory.MemoryNetwork(),
        "motion": motion.Motion(**ENCODER),
    }
    for network in made.values():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(0.0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, 0.0, (1.6 / module.weight[0].numel()) ** 0.5)
    sound = made["motion"]
    assert isinstance(sound, motion.Motion)
    # Cepstra are of tens, expressions of one, poses of tenths.
    sound.encoder.convolutions[0][0].weight.data *= 0.1
    sound.encoder.full[2].weight.data *= 3.0
    sound.leave.weight.data *= 12.0
    sound.leave.weight.data[motion.EXPRESSION :] *= 0.1
    sound.leave.bias.data[motion.DEPTH] = -motion.STORED_LESS
    return {name: network.eval().requires_grad_(False) for name, network in made.items()}


def tables() -> dict[str, Tensor]:
    """What was remembered."""
    draw = torch.Generator().manual_seed(8)
    keys = torch.nn.functional.normalize(torch.randn(ROWS, 512, generator=draw), dim=1)
    values = torch.nn.functional.normalize(torch.randn(ROWS, 512, generator=draw), dim=1)
    return {
        "mem_key": keys,
        "mem_value": 8.0 * values,
        "mem_age": torch.zeros(ROWS),
        "mem_index": torch.arange(ROWS).float(),
    }


def coefficients() -> F32:
    """Of a head that turns and a mouth that opens, f32[T, 257]."""
    rng = np.random.default_rng(1)
    rows = np.zeros((FRAMES, 257), np.float32)
    rows[:, :80] = 0.3 * rng.normal(size=80)
    rows[:, 80:144] = 0.5 * rng.normal(size=(FRAMES, 64))
    rows[:, 144:224] = 0.3 * rng.normal(size=80)
    rows[:, 224:227] = 0.08 * rng.normal(size=(FRAMES, 3))
    rows[:, 227:254] = 0.05 * rng.normal(size=27)
    rows[:, 254:257] = 0.03 * rng.normal(size=(FRAMES, 3))
    # Only frame 0 says who it is and how it is lit.
    rows[1:, :80] += 5.0
    rows[1:, 144:224] -= 5.0
    rows[1:, 227:254] += 0.4
    return rows


def shifts() -> F32:
    """How far the face moved since frame 0, f32[T, 2]."""
    moved = np.random.default_rng(2).uniform(-7.0, 7.0, (FRAMES, 2))
    moved[0] = 0.0
    return moved.astype(np.float32)


def write_coefficients(folder: Path, rows: NDArray[Any], moved: NDArray[Any]) -> None:
    """As Deng et al.'s program and the one that calls it write them."""
    folder.mkdir(exist_ok=True)
    spread = np.array([[-1, 0], [1, 0], [0, 0], [-1, 1], [1, -1]], np.float64)
    for n, (row, shift) in enumerate(zip(rows, moved, strict=True)):
        arrays = {"coeff": row[None], "lm_5p": shift + spread}
        scipy.io.savemat(folder / f"frame{n}.mat", arrays)


def clip() -> list[U8]:
    """Smooth pictures of one colour, so that nothing is lost between its planes, u8[H, W, 3]."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / 40.0
    pictures = []
    for n in range(FRAMES):
        luma = 130 + 50 * np.sin(x + 0.9 * n) * np.cos(0.8 * y - 0.3 * n)
        pictures.append(np.stack([luma + 8, luma, luma - 12], -1).astype(np.uint8))
    return pictures
