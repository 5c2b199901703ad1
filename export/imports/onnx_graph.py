"""Networks of a published system as graphs of a person file, compared with torch as they are made.

An importer describes a graph by the shapes of what goes in; all else follows from the network.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.engines.agreement import BOUNDS, compare, past
from visavis.engines.errors import PersonFileError
from visavis.engines.onnx_check import check_model
from visavis.export.imports.errors import ImportRefused
from visavis.export.plain_backend import PlainBackend
from visavis.export.renderer import SMALLEST_HALVED, with_half_weights
from visavis.export.torch_onnx import export_module

__all__ = ["ToI420", "exported", "graph_entry", "rounded", "run_module"]

F32 = NDArray[np.float32]
Outputs = dict[str, NDArray[np.generic]]

ROWS = 2
LARGEST_HALF = 65504.0
# ITU-R BT.601-7, item 2.5: Y in 219 steps above 16, Cb and Cr in 224 around 128.
KR, KB = 0.299, 0.114


class ToI420(nn.Module):
    """Red, green and blue of 0 to 1 as bytes, BT.601 of limited range, colour halved."""

    luma: Tensor
    chroma: Tensor
    offset: Tensor

    def __init__(self) -> None:
        super().__init__()
        kg = 1.0 - KR - KB
        blue, red = 112.0 / (1.0 - KB), 112.0 / (1.0 - KR)
        matrix = [
            [219.0 * KR, 219.0 * kg, 219.0 * KB],
            [-blue * KR, -blue * kg, 112.0],
            [112.0, -red * kg, -red * KB],
        ]
        rows = torch.tensor(matrix)[:, :, None, None]
        self.register_buffer("luma", rows[:1].contiguous())
        # The mean of four pixels.
        self.register_buffer("chroma", (rows[1:] / 4.0).repeat(1, 1, 2, 2))
        self.register_buffer("offset", torch.tensor([16.0, 128.0, 128.0]))

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return y uint8[N, S, S], u and v uint8[N, S/2, S/2] of f32[N, 3, S, S]."""
        shown = torch.clamp(rgb, 0.0, 1.0)
        luma = F.conv2d(shown, self.luma, self.offset[:1])[:, 0]
        colour = F.conv2d(shown, self.chroma, self.offset[1:], stride=2)
        y = torch.round(torch.clamp(luma, 16.0, 235.0)).to(torch.uint8)
        chroma = torch.round(torch.clamp(colour, 16.0, 240.0)).to(torch.uint8)
        return y, chroma[:, 0], chroma[:, 1]


def exported(
    name: str,
    module: nn.Module,
    *,
    inputs: Mapping[str, Sequence[int]],
    outputs: Sequence[str],
    state: Sequence[tuple[str, str]] = (),
    half: bool = False,
    samples: Mapping[str, NDArray[np.floating]] | None = None,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return a graph's entry in person.json and the file that it names.

    The file is run beside the network, alone and in a batch, and must give the same.

    Args:
        name: of the graph.
        module: takes f32[N, ...] in the order of `inputs`, states last; gives a tensor, or a tuple
            in the order of `outputs`, next states last: f32 or uint8[N, ...].
        inputs: shapes without the batch; outputs: names.
        state: pairs of an input and the output that is fed to it in the next tick.
        half: keep weights in 16 bits.
        samples: f[2, ...] by input, where normal draws make no sense.

    Raises:
        ImportRefused: the network gives what is not finite, cannot be exported, uses what a person
            file may not hold, or the file gives something else than the network.
    """
    feeds = _feeds(inputs, samples or {})
    wanted = run_module(module, feeds, list(inputs), outputs)
    for key, array in wanted.items():
        if not np.isfinite(array).all():
            raise ImportRefused(
                f"The network {name!r} gives values that are not finite ({key}); "
                "its weights are damaged."
            )
    examples = [torch.from_numpy(feeds[key]) for key in inputs]
    file = f"{name}.fp32.onnx"
    entry = graph_entry(inputs, wanted, state, {"fp32": file})
    try:
        data = export_module(module, examples, list(inputs), outputs, what=f"The network {name!r}")
        if half:
            _check_range(name, module)
            data = with_half_weights(data)
        check_model(
            file, data, _shapes(entry["inputs"]), {key: a.shape[1:] for key, a in wanted.items()}
        )
        graph = PlainBackend().load(file, data)
    except PersonFileError as error:
        raise ImportRefused(str(error)) from error
    if half:
        wanted = run_module(rounded(module), feeds, list(inputs), outputs)
    for rows in (slice(0, ROWS), slice(0, 1)):
        given = graph.run({key: array[rows] for key, array in feeds.items()})
        if words := past(
            compare({key: a[rows] for key, a in wanted.items()}, given), BOUNDS["fp32"]
        ):
            raise ImportRefused(
                f"The exported network {name!r} is not what torch computes: {words}."
            )
    return entry, {file: data}


def graph_entry(
    inputs: Mapping[str, Sequence[int]],
    outputs: Mapping[str, NDArray[np.generic]],
    state: Sequence[tuple[str, str]],
    variants: Mapping[str, str],
) -> dict[str, Any]:
    """Return the entry under `graphs` in person.json.

    Args:
        inputs: shapes without the batch; outputs: arrays [N, ...] that were given.
    """
    entry: dict[str, Any] = {
        "inputs": {key: ["N", *shape] for key, shape in inputs.items()},
        "outputs": {key: ["N", *array.shape[1:]] for key, array in outputs.items()},
        "variants": dict(variants),
    }
    if state:
        entry["state"] = [list(pair) for pair in state]
    return entry


def run_module(
    module: nn.Module, feeds: Mapping[str, F32], inputs: Sequence[str], outputs: Sequence[str]
) -> Outputs:
    """Return what a network makes of arrays, by the names of its outputs."""
    with torch.no_grad():
        made = module.eval()(*(torch.from_numpy(feeds[key]) for key in inputs))
    tensors = (made,) if isinstance(made, Tensor) else tuple(made)
    return {key: tensor.numpy() for key, tensor in zip(outputs, tensors, strict=True)}


def rounded(module: nn.Module) -> nn.Module:
    """Return a network with the weights that a file with 16-bit weights holds."""
    other = copy.deepcopy(module)
    with torch.no_grad():
        for tensor in [*other.parameters(), *other.buffers()]:
            if tensor.dtype == torch.float32 and tensor.numel() >= SMALLEST_HALVED:
                tensor.copy_(tensor.half().float())
    return other


def _feeds(
    inputs: Mapping[str, Sequence[int]], samples: Mapping[str, NDArray[np.floating]]
) -> dict[str, F32]:
    rng = np.random.default_rng(0)
    feeds = {}
    for key, shape in inputs.items():
        drawn = samples[key] if key in samples else 0.5 * rng.standard_normal((ROWS, *shape))
        feeds[key] = np.ascontiguousarray(drawn, np.float32)
        if feeds[key].shape != (ROWS, *shape):
            raise ValueError(f"samples of {key} must have shape {(ROWS, *shape)}.")
    return feeds


def _shapes(tensors: Mapping[str, Sequence[Any]]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(shape[1:]) for key, shape in tensors.items()}


def _check_range(name: str, module: nn.Module) -> None:
    for key, tensor in module.state_dict().items():
        if tensor.is_floating_point() and tensor.numel() and tensor.abs().max() > LARGEST_HALF:
            raise ImportRefused(
                f"The network {name!r} has weights that 16 bits cannot hold ({key}); "
                "import it without --half."
            )
