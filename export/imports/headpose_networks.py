"""The networks of a `headpose` person: the files that hold them, and the graphs made of them.

The published program leaves three files for a person: `atcnet_lstm_N.pth` (sound to expression and
pose), `N_net_G.pth` (the generator) and `N_net_mem.pth` (who is in a picture).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.lstm_step import LstmStep
from visavis.export.imports.networks import collect
from visavis.export.imports.onnx_graph import ToI420
from visavis.export.imports.request import Request
from visavis.models.systems.audio_encoder import encoder_sizes
from visavis.models.systems.headpose import generator, memory, motion
from visavis.models.systems.headpose.generator import Generator
from visavis.models.systems.headpose.memory import Memory, MemoryNetwork
from visavis.models.systems.headpose.motion import Motion
from visavis.models.systems.state import PARALLEL, StateLayout, StateMismatch, build

__all__ = [
    "Identity",
    "MotionStep",
    "Networks",
    "Picture",
    "folded",
    "identity_of",
    "read_networks",
]

State = Mapping[str, Tensor]
TABLES = ("mem_key", "mem_value", "mem_age", "mem_index")
MOST_WIDTH = 2048
EXACT = 1e-6  # of -1 to 1, by which a folded generator may differ

_Network = TypeVar("_Network", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Networks:
    """What the files hold, for inference.

    Attributes:
        motion: None where it was not given and is not needed.
    """

    generator: Generator
    memory: MemoryNetwork
    tables: Memory
    motion: Motion | None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the person is to the generator.

    Attributes:
        feature: f32[1, 512], a row of the memory.
        row: which; votes: how many of the pictures asked for it.
    """

    feature: Tensor
    row: int
    votes: int


class Picture(nn.Module):
    """The render graph: the last three drawings to the crop, one person folded in."""

    def __init__(self, network: Generator) -> None:
        super().__init__()
        self.network = network
        self.colours = ToI420()

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return y u8[N, 256, 256], u and v u8[N, 128, 128] of f32[N, 9, 256, 256]."""
        # A folded generator asks nothing of the feature but how many there are.
        colours, keep = self.network(planes, planes.new_zeros(1, generator.FEATURE))
        made = generator.composite(planes, colours, keep)
        y, u, v = self.colours((made + 1.0) / 2.0)
        return y, u, v


class MotionStep(nn.Module):
    """The system's own motion, one frame: a window of cepstra to 64 expressions and a pose."""

    def __init__(self, network: Motion) -> None:
        super().__init__()
        self.encoder = network.encoder
        self.recurrent = LstmStep(network.recurrent)
        self.leave = network.leave
        less = torch.zeros(motion.EXPRESSION + motion.POSE)
        less[motion.DEPTH] = motion.STORED_LESS
        self.register_buffer("less", less)

    def forward(
        self, features: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return f32[N, 70] with the true depth, and both states f32[N, 3, 256] of the next frame.

        Args:
            features: f32[N, 28, 12]; hidden, cell: f32[N, 3, 256].
        """
        heard, next_hidden, next_cell = self.recurrent(self.encoder(features), hidden, cell)
        return self.leave(heard) + self.get_buffer("less"), next_hidden, next_cell


def read_networks(request: Request) -> Networks:
    """Read the files of a request; widths are taken from them, all else is strict.

    Raises:
        ImportRefused: one cannot be read, is missing, of something else, or does not fit the rest.
    """
    original = request.motion == "original"
    states = collect(
        request,
        needed=("generator", "memory", "memory_tables", *(["motion"] if original else [])),
        optional=() if original else ("motion",),
    )
    tables = _tables(states["memory_tables"])
    widths, feature = _generator_sizes(states["generator"])
    if feature != tables.values.shape[1]:
        raise ImportRefused(
            f"The generator takes identity features of {feature} numbers, the memory gives "
            f"{tables.values.shape[1]}: they are not of one training."
        )
    sound = None
    if original:
        try:
            sizes = encoder_sizes(states["motion"])
        except (KeyError, IndexError) as error:
            raise ImportRefused(f"The audio network lacks {error}.") from None
        make = partial(Motion, **sizes)
        sound = _built("audio network", make, states["motion"], motion.LAYOUT)
    made = partial(Generator, widths)
    return Networks(
        _built("generator", made, states["generator"], generator.LAYOUT),
        _built("memory network", MemoryNetwork, states["memory"], memory.LAYOUT),
        tables,
        sound,
    )


@torch.no_grad()
def identity_of(networks: Networks, pictures: Sequence[NDArray[np.uint8]]) -> Identity:
    """Return the remembered feature that most of a person's pictures ask for.

    The program asks anew for every 25th frame of a video and goes from one feature to the next; for
    a person who stays who they are, one is enough.

    Args:
        pictures: u8[256, 256, 3], red, green, blue, as the generator sees the newest of its frames.
    """
    rows, scores = [], []
    for picture in pictures:
        query, _ = networks.memory(memory.normalised(torch.from_numpy(picture))[None])
        score, row = networks.tables.nearest(query)
        rows.append(int(row))
        scores.append(float(score))
    # Of rows that as many ask for, the one that they are nearer to.
    best = max(
        set(rows),
        key=lambda row: (
            rows.count(row),
            sum(score for other, score in zip(rows, scores, strict=True) if other == row),
            -row,
        ),
    )
    return Identity(networks.tables.values[best : best + 1].clone(), best, rows.count(best))


@torch.no_grad()
def folded(network: Generator, feature: Tensor) -> Generator:
    """Fold one person into the generator, in place, and see that it makes the same picture.

    Raises:
        ImportRefused: the two do not make the same picture.
    """
    drawing = torch.rand(1, 9, 256, 256, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
    before = network(drawing, feature)
    after = generator.fold(network, feature)(drawing, feature)
    for one, other in zip(before, after, strict=True):
        difference = float((one - other).abs().max())
        if not difference <= EXACT:
            raise ImportRefused(
                f"The generator with the person folded in differs by {difference:.1e}; its weights "
                "are damaged."
            )
    return network


def _built(words: str, make: Callable[[], _Network], state: State, layout: StateLayout) -> _Network:
    try:
        return build(make, state, layout)
    except StateMismatch as error:
        raise ImportRefused(f"The {words} does not fit: {error}.") from error


def _generator_sizes(state: State) -> tuple[tuple[int, ...], int]:
    """Return the widths of the levels down and how many numbers an identity feature has."""
    if all(key.startswith(PARALLEL) for key in state):
        state = {key.removeprefix(PARALLEL): value for key, value in state.items()}
    levels = len(generator.WIDTHS)
    widths = []
    for level in range(1, levels + 1):
        names = (
            ["e1.weight"] if level == 1 else [f"e{level}.conv.weight", f"e{level}.body.1.weight"]
        )
        found = next((state[name] for name in names if name in state), None)
        if found is None or found.dim() != 4 or not 0 < found.shape[0] <= MOST_WIDTH:
            raise ImportRefused(f"The generator lacks level {level} of {levels}: {names[0]}.")
        widths.append(int(found.shape[0]))
    first = state["mlp.model.0.weight"]
    return tuple(widths), int(first.shape[-1])


def _tables(state: State) -> Memory:
    missing = [name for name in TABLES if name not in state]
    if missing:
        raise ImportRefused(f"The memory lacks {', '.join(missing)}.")
    keys, values, ages, frames = (state[name] for name in TABLES)
    if (
        keys.dim() != 2
        or keys.shape != (len(values), generator.FEATURE)
        or values.dim() != 2
        or not len(keys)
    ):
        raise ImportRefused(
            f"The memory's keys {list(keys.shape)} and values {list(values.shape)} must be as many "
            f"rows, the keys of {generator.FEATURE} numbers."
        )
    return Memory(keys.float(), values.float(), ages, frames)
