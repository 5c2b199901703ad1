"""A small `davs` with drawn weights, written as its program of 2019 wrote checkpoints."""

from __future__ import annotations

import copy
import functools
import wave
from collections import OrderedDict
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.models.systems.davs import FROM_SOUND, decoder, identity, mouth, sound
from visavis.models.systems.state import StateLayout

FEATURE = 16

_PARTS = {
    "ID_encoder": (identity.IdentityEncoder, identity.LAYOUT),
    "Decoder": (decoder.Decoder, decoder.LAYOUT),
    "mfcc_encoder": (sound.SoundEncoder, sound.LAYOUT),
    "lip_feature_encoder": (mouth.MouthEncoder, mouth.LAYOUT),
}


def drawn(network: nn.Module, seed: int) -> nn.Module:
    """The network with weights through which signals of any depth neither die nor explode."""
    generator = torch.Generator().manual_seed(seed)

    def normal(value: Tensor, scale: float, mean: float = 0.0) -> None:
        value.copy_(torch.randn(value.shape, generator=generator) * scale + mean)

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                normal(module.weight, 0.1, 1.0)
                normal(module.bias, 0.1)
                normal(module.running_mean, 0.1)
                module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator))
                module.running_var.add_(0.5)
            elif isinstance(module, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
                inputs = module.weight[0].numel()
                if isinstance(module, nn.ConvTranspose2d):
                    # Of 4 x 4 pixels each comes of one, of 3 x 3 each of nine.
                    inputs = module.in_channels * (1 if module.kernel_size == (4, 4) else 9)
                normal(module.weight, (3.0 / inputs) ** 0.5)
                if module.bias is not None:
                    normal(module.bias, 0.1)
    return network.eval()


def networks(feature: int = FEATURE) -> dict[str, nn.Module]:
    """By the checkpoint's names, fresh ones."""
    return copy.deepcopy(_networks(feature))


@functools.cache
def _networks(feature: int) -> dict[str, nn.Module]:
    """Batch norm knows what it is fed, as after a training."""
    made = {
        name: drawn(make(feature=feature), seed)
        for seed, (name, (make, _)) in enumerate(_PARTS.items())
    }
    generator = torch.Generator().manual_seed(9)
    faces = np.stack([photograph(256, 256, seed) for seed in range(4)]).astype(np.float32)
    pictures = torch.from_numpy(faces / 255.0).permute(0, 3, 1, 2)
    pictures = (pictures + torch.rand((4, 3, 1, 1), generator=generator)) / 2.0
    windows = 10.0 * torch.randn((64, 20, 12), generator=generator)
    mouths = _settled(made["mfcc_encoder"], windows)[:4]
    _settled(made["lip_feature_encoder"], pictures)
    cast(decoder.Decoder, made["Decoder"]).paint.weight.data *= 0.03  # colours, not black and white
    _settled(made["Decoder"], *_settled(made["ID_encoder"], pictures), FROM_SOUND * mouths)
    return made


@torch.no_grad()
def _settled(network: nn.Module, *inputs: Tensor) -> Any:
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    network.train()(*inputs)
    for norm in norms:
        norm.momentum = 0.1
    return network.eval()(*inputs)


def checkpoint(feature: int = FEATURE) -> dict[str, Any]:
    """What the file holds: four networks, and what a training leaves behind."""
    states: dict[str, Any] = {
        name: _published(network, _PARTS[name][1]) for name, network in networks(feature).items()
    }
    step = {"exp_avg": torch.zeros(3), "step": 7}
    return {
        "step": 1000,
        "epoch": 101,
        **states,
        "netD": OrderedDict({"module.model.0.weight": torch.zeros(2, 3, 4, 4)}),
        "optimizer_G": {"state": {0: step}, "param_groups": [{"lr": 2e-4, "params": [0]}]},
    }


def write_checkpoint(path: Path, states: dict[str, Any]) -> Path:
    """Write it in the format that torch had before 1.6."""
    torch.save(states, path, _use_new_zipfile_serialization=False)
    return path


def photograph(height: int = 300, width: int = 240, seed: int = 0) -> NDArray[np.uint8]:
    """A face of a kind: smooth colours, eyes and a mouth."""
    y, x = np.mgrid[:height, :width] / [[[height]], [[width]]]
    picture = np.stack((0.5 + 0.3 * x, 0.4 + 0.2 * y, 0.3 + 0.2 * x * y), -1)
    for (cx, cy), (rx, ry), colour in (
        ((0.36, 0.42), (0.06, 0.03), 0.05),
        ((0.64, 0.42), (0.06, 0.03), 0.05),
        ((0.50, 0.68), (0.12, 0.04), 0.9),
    ):
        inside = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1.0
        picture[inside] = [colour, 0.1, 0.1]
    grain = np.random.default_rng(seed).normal(0.0, 0.01, picture.shape)
    return np.asarray(np.clip((picture + grain) * 255.0, 0.0, 255.0), np.uint8)


def eyes_and_mouth(picture: NDArray[np.uint8]) -> tuple[tuple[float, float], ...]:
    """Where `photograph` drew them."""
    height, width = picture.shape[:2]
    return tuple(
        (cx * width - 0.5, cy * height - 0.5)
        for cx, cy in ((0.36, 0.42), (0.64, 0.42), (0.5, 0.68))
    )


def save_picture(path: Path, picture: NDArray[np.uint8]) -> Path:
    with av.open(path, "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return path


def save_clip(path: Path, frames: list[NDArray[np.uint8]]) -> Path:
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    return path


def save_voice(path: Path, voice: NDArray[np.float32]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", "NONE"))
        file.writeframes(np.round(voice * 32767.0).astype("<i2").tobytes())
    return path


def _published(network: nn.Module, layout: StateLayout) -> OrderedDict[str, Tensor]:
    """The tensors by the file's names: with "module.", without counters."""
    theirs = {ours: name for name, ours in layout.renames.items()}
    state: OrderedDict[str, Tensor] = OrderedDict()
    for key, value in network.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        parts = key.split(".")
        for count in range(len(parts), 0, -1):
            if (prefix := ".".join(parts[:count])) in theirs:
                parts = [theirs[prefix], *parts[count:]]
                break
        state["module." + ".".join(parts)] = value.clone()
    return state
