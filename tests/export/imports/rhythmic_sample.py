"""A small `rhythmic`: a generator with random weights under the file's names, and a clip."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.engines.person import load_person
from visavis.engines.sketch import posed
from visavis.models.points68 import TRACKED
from visavis.models.systems.rhythmic.generator import Generator
from visavis.models.systems.rhythmic.layout import generator_layout
from visavis.persons import builtin

F64 = NDArray[np.float64]

SIZE = 64
WIDTHS = (2, 4, 8, 16, 32, 24)
FLOW_WIDTHS = (2, 4, 8, 8)
FRAMES = 12


@torch.no_grad()
def generator(shots: int | None) -> Generator:
    torch.manual_seed(7)
    network = Generator(shots, WIDTHS, flow_widths=FLOW_WIDTHS)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features) * 0.1
            module.running_var = torch.rand(module.num_features) + 0.5
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    for layer in (network.to_picture, network.reference_flow.conv_flow):
        for weight in layer.parameters():
            weight *= 0.02
    return network.eval().requires_grad_(False)


def state_of(network: Generator, shots: int | None) -> dict[str, Tensor]:
    """The state under the names of the file, convolutions of `up` under spectral norm."""
    back = {ours: theirs for theirs, ours in generator_layout(shots).renames.items()}
    state: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        parts = name.split(".")
        fitting = (n for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in back)
        count = next(fitting, 0)
        key = ".".join([back[".".join(parts[:count])], *parts[count:]]) if count else name
        layer, _, last = key.rpartition(".")
        if last == "weight" and ".conv_" in key and key.startswith("netG.up_"):
            # Three times the plain weight, and vectors that find three.
            left, right = torch.randn(len(tensor)), torch.randn(tensor[0].numel())
            left, right = left / left.norm(), right / right.norm()
            value = float(left @ (3.0 * tensor.flatten(1)) @ right)
            state[f"{layer}.weight_orig"] = 3.0 * tensor
            state[f"{layer}.weight_u"] = left * np.sign(value)
            state[f"{layer}.weight_v"] = right * (3.0 / abs(value))
        else:
            state[key] = tensor.clone()
    return state


def face() -> F64:
    """The built-in person's landmarks from the front, f64[68, 3], in pixels of the crop."""
    person = load_person(builtin().read_bytes(), trusted=True)
    points = np.asarray(person.stage_parts("geometry")["mean"], np.float64)[TRACKED]
    points -= (points.max(0) + points.min(0)) / 2
    points *= 0.5 * SIZE / np.ptp(points[:, 1])
    return points + [SIZE / 2, SIZE / 2, 0.0]


def track(frames: int = FRAMES) -> tuple[F64, F64, F64]:
    """Landmarks f64[T, 68, 3], poses f64[T, 6] and front views f64[T, 68, 3]."""
    time = np.arange(frames) / 5.0
    front = np.repeat(face()[None], frames, axis=0)
    front[:, 55:60, 1] += 2.0 * np.abs(np.sin(time))[:, None]
    front[:, 65:68, 1] += 2.0 * np.abs(np.sin(time))[:, None]
    front[:, [37, 38, 43, 44], 1] += 1.0 * (np.arange(frames) % 7 == 3)[:, None]
    pose = np.stack([0.1 * np.sin(time), 0.2 * np.cos(time), 0.03 * time, time, -time, 0 * time], 1)
    points = np.stack([posed(a, b) for a, b in zip(front, pose, strict=True)])
    return points, pose, front


def write_clip(folder: Path, frames: int = FRAMES, name: str = "she_aligned") -> Path:
    """Write a clip with its three files, and return the clip."""
    for suffix, array in zip(("", "_rt", "_front"), track(frames), strict=True):
        np.save(folder / f"{name}{suffix}.npy", array)
    rng = np.random.default_rng(1)
    base = rng.integers(40, 200, (8, 8, 3))
    with av.open(str(folder / f"{name}.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
        for k in range(frames):
            image = np.kron(np.roll(base, k, 1), np.ones((8, 8, 1))).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    return folder / f"{name}.mp4"


def write_picture(path: Path, width: int = SIZE, height: int = SIZE, seed: int = 2) -> Path:
    """Write a PNG of coloured squares."""
    rng = np.random.default_rng(seed)
    base = rng.integers(20, 230, (-(-height // 8), -(-width // 8), 3))
    image = np.kron(base, np.ones((8, 8, 1))).astype(np.uint8)[:height, :width]
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = width, height, "rgb24"
    context.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
    packets = [*context.encode(frame), *context.encode(None)]
    path.write_bytes(b"".join(bytes(packet) for packet in packets))
    return path
