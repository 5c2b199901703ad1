"""A small `audiodvp` with drawn weights, in the files that its program leaves for a person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tests.export.imports.style_avatar_sample import published, write_face
from visavis.export.imports.pictures import encode_footage
from visavis.models.systems.audio_encoder import AudioEncoder
from visavis.models.systems.audiodvp import audio, renderer
from visavis.models.systems.audiodvp.expression import AudioExpression

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

WIDTHS = (4, 6, 7, 8)  # the published one goes down eight times
ENCODER: dict[str, Any] = {"widths": (2, 3, 3, 4, 4), "full": 8}
FRAMES = 8
SIZE = 256
HEIGHT, WIDTH = 304, 336
SQUARE = (48, 32)  # left, top of the crop in whole frames


@dataclass(frozen=True)
class Sample:
    """Files of a person; see `sample`."""

    renderer: Path
    audio: Path
    expression: Path
    model: Path
    crops: Path
    clip: Path
    coefficients: Path

    @property
    def networks(self) -> tuple[Path, ...]:
        """All three, in no order."""
        return self.expression, self.renderer, self.audio


def sample(folder: Path) -> Sample:
    """Write everything that an import takes."""
    folder.mkdir(parents=True, exist_ok=True)
    made = networks()
    torch.save(published(made["renderer"], renderer.layout(len(WIDTHS))), folder / "50_net_G.pth")
    at_net = published(made["audio"], audio.LAYOUT)
    # The rest of AT-net, which makes landmarks.
    at_net |= {"lmark_encoder.0.weight": torch.zeros(3, 6), "lstm_fc.0.bias": torch.zeros(6)}
    torch.save({f"module.{key}": value for key, value in at_net.items()}, folder / "atnet.pth")
    torch.save(made["expression"].state_dict(), folder / "delta_net.pth")
    write_face(folder / "BFM")
    write_coefficients(folder / "coefficients", coefficients())
    whole = clip()
    left, top = SQUARE
    crops = [frame[top : top + SIZE, left : left + SIZE] for frame in whole]
    (folder / "crops.mp4").write_bytes(encode_footage(crops))
    (folder / "clip.mp4").write_bytes(encode_footage(whole))
    return Sample(
        folder / "50_net_G.pth",
        folder / "atnet.pth",
        folder / "delta_net.pth",
        folder / "BFM" / "BFM_model_front.mat",
        folder / "crops.mp4",
        folder / "clip.mp4",
        folder / "coefficients",
    )


def networks() -> dict[str, nn.Module]:
    """By what they are called here; the same at every call."""
    torch.manual_seed(6)
    made: dict[str, nn.Module] = {
        "renderer": renderer.NeuralRenderer(WIDTHS),
        "audio": AudioEncoder(**ENCODER),
        "expression": AudioExpression(),
    }
    for network in made.values():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(0.0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
            elif isinstance(module, nn.ConvTranspose2d):
                # Of 4 x 4 pixels each comes of four.
                nn.init.normal_(module.weight, 0.0, (1.6 / (4 * module.in_channels)) ** 0.5)
            elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, 0.0, (1.6 / module.weight[0].numel()) ** 0.5)
    encoder, expression, picture = made["audio"], made["expression"], made["renderer"]
    assert isinstance(encoder, AudioEncoder) and isinstance(expression, AudioExpression)
    assert isinstance(picture, renderer.NeuralRenderer)
    encoder.convolutions[0][0].weight.data *= 0.1  # cepstra are of tens
    expression.fc.weight.data *= 0.7
    picture.up[0].weight.data *= 0.5  # colours, not black and white
    return {name: network.eval().requires_grad_(False) for name, network in made.items()}


def coefficients() -> dict[str, F32]:
    """Of a head that turns, a mouth that opens and light that changes, by folder."""
    rng = np.random.default_rng(1)
    made = {
        "alpha": np.repeat(0.3 * rng.normal(size=(1, 80)), FRAMES, 0),
        "beta": np.repeat(0.3 * rng.normal(size=(1, 80)), FRAMES, 0),
        "delta": 0.5 * rng.normal(size=(FRAMES, 64)),
        "gamma": 0.05 * rng.normal(size=(FRAMES, 27)),
        "rotation": 0.08 * rng.normal(size=(FRAMES, 3)),
        "translation": 0.05 * rng.normal(size=(FRAMES, 3)),
    }
    return {name: values.astype(np.float32) for name, values in made.items()}


def write_coefficients(folder: Path, made: dict[str, F32]) -> None:
    """As the program writes them: a column for each frame, numbered from 1."""
    for name, rows in made.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, row in enumerate(rows, 1):
            torch.save(torch.from_numpy(row.copy())[:, None], folder / name / f"{number:05d}.pt")


def clip() -> list[U8]:
    """Smooth pictures of one colour, so that nothing is lost between its planes, u8[H, W, 3]."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / 40.0
    pictures = []
    for n in range(FRAMES):
        luma = 130 + 50 * np.sin(x + 0.9 * n) * np.cos(0.8 * y - 0.3 * n)
        pictures.append(np.stack([luma + 8, luma, luma - 12], -1).astype(np.uint8))
    return pictures
