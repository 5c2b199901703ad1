"""The networks of `rhythmic`, told apart by what their files say of themselves.

Two layouts of the generator were published. The newer one is for one number of reference pictures,
which its weights show; widths are the file's as well, and everything else is strict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.networks import collect
from visavis.export.imports.request import Request
from visavis.models.systems.rhythmic.flow import FLOW_WIDTHS
from visavis.models.systems.rhythmic.generator import WIDTHS, Generator
from visavis.models.systems.rhythmic.head_motion import (
    AudioEmbedding,
    MotionDecoder,
    MotionHistory,
)
from visavis.models.systems.rhythmic.layout import generator_layout
from visavis.models.systems.rhythmic.references import ATTENDED
from visavis.models.systems.rhythmic.spectral import folded
from visavis.models.systems.state import PARALLEL, StateLayout, StateMismatch, build

__all__ = ["HeadNetworks", "Networks", "read_networks"]

State = Mapping[str, Tensor]
HEAD = ("audio_embedding", "motion_history", "motion_decoder")
MOST_SHOTS, MOST_WIDTH = 64, 4096
_Network = TypeVar("_Network", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class HeadNetworks:
    """What moves a head by a voice; see `models.systems.rhythmic.head_motion`."""

    audio: AudioEmbedding
    history: MotionHistory
    decoder: MotionDecoder


@dataclass(frozen=True, slots=True)
class Networks:
    """What a request's checkpoints hold.

    Attributes:
        generator: for inference.
        shots: how many references it is for; None where it takes any number.
        head: None where no file of it was given.
    """

    generator: Generator
    shots: int | None
    head: HeadNetworks | None


def read_networks(request: Request) -> Networks:
    """Read the checkpoints of a request.

    Raises:
        ImportRefused: as `networks.collect`; or tensors are missing, extra or misshapen; or the
            networks of the head's motion are not all there.
    """
    states = collect(request, ("generator",), HEAD)
    generator, shots = _generator(states["generator"])
    given = [name for name in HEAD if name in states]
    if not given:
        return Networks(generator, shots, None)
    if len(given) < len(HEAD):
        raise ImportRefused(
            "The head's motion is made by three networks, encode, mid_net and decode of one file; "
            f"only {' and '.join(given)} came."
        )
    head = HeadNetworks(
        _built(AudioEmbedding, states["audio_embedding"], "the audio embedding"),
        _built(MotionHistory, states["motion_history"], "the history of the head"),
        _built(MotionDecoder, states["motion_decoder"], "the decoder of the head"),
    )
    return Networks(generator, shots, head)


def _generator(state: State) -> tuple[Generator, int | None]:
    if all(key.startswith(PARALLEL) for key in state):
        state = {key.removeprefix(PARALLEL): value for key, value in state.items()}
    try:
        plain = folded(state)
    except StateMismatch as error:
        raise ImportRefused(f"The generator of rhythmic cannot be read: {error}.") from None
    label = "netG.label_embedding"
    levels = len(WIDTHS)
    widths = [_width(plain, f"{label}.conv_first.0.weight", 0)] + [
        _width(plain, f"{label}.down_{step}.0.weight", 0) for step in range(levels - 1)
    ]
    flow = "warp.flow_network_ref.down_flow"
    flow_widths = [_width(plain, f"{flow}.{2 * k}.0.weight", 0) for k in range(len(FLOW_WIDTHS))]
    shots = _shots(plain, widths[ATTENDED])
    network = _built(
        lambda: Generator(shots, widths, flow_widths=flow_widths),
        plain,
        "the generator",
        generator_layout(shots),
    )
    return network, shots


def _shots(state: State, width: int) -> int | None:
    """How many references the newer layout is for; None for the older one."""
    if "netG.image_encoder.conv1.conv.weight" in state:
        return None
    joined = "netG.encoder.atten1.conv.weight"
    if joined not in state:
        return 1
    shots, rest = divmod(_width(state, joined, 1), width)
    if rest or not 2 <= shots <= MOST_SHOTS:
        raise ImportRefused(
            f"The generator of rhythmic joins {state[joined].shape[1]} channels of its references, "
            f"which are {width} of each."
        )
    return shots


def _width(state: State, key: str, axis: int) -> int:
    tensor = state.get(key)
    if tensor is None or tensor.dim() != 4:
        raise ImportRefused(f"The generator of rhythmic lacks {key}.")
    width = int(tensor.shape[axis])
    if not 0 < width <= MOST_WIDTH * (1 if axis == 0 else MOST_SHOTS):
        raise ImportRefused(f"The generator of rhythmic has {width} channels in {key}.")
    return width


def _built(
    make: Callable[[], _Network], state: State, words: str, layout: StateLayout | None = None
) -> _Network:
    try:
        return build(make, state, layout)
    except (StateMismatch, ValueError) as error:
        raise ImportRefused(f"{words[0].upper()}{words[1:]} of rhythmic: {error}.") from None
