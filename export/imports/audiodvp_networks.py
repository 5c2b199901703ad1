"""The networks of an `audiodvp` person: the files that hold them, and the graphs made of them.

Of a person's training come `N_net_G.pth` (the renderer) and `delta_net.pth` (features of sound to
expressions); the features come of `atnet_lstm_18.pth`, which all persons share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.networks import collect
from visavis.export.imports.onnx_graph import ToI420
from visavis.export.imports.request import Request
from visavis.models.systems.audio_encoder import AudioEncoder, encoder_sizes
from visavis.models.systems.audiodvp import audio
from visavis.models.systems.audiodvp.expression import AudioExpression
from visavis.models.systems.audiodvp.live import LiveMotion
from visavis.models.systems.audiodvp.renderer import NeuralRenderer, layout, widths_of
from visavis.models.systems.state import StateLayout, StateMismatch, build

__all__ = ["Networks", "Picture", "read_networks"]

State = Mapping[str, Tensor]
MOST_WIDTH = 2048

_Network = TypeVar("_Network", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Networks:
    """What the files hold, for inference.

    Attributes:
        widths: channels of the renderer after each step down.
        motion: None where it is not wanted.
    """

    renderer: NeuralRenderer
    widths: tuple[int, ...]
    motion: LiveMotion | None


class Picture(nn.Module):
    """From drawn faces f32[N, 21, S, S] to y, u and v of the picture, bytes."""

    def __init__(self, renderer: NeuralRenderer) -> None:
        super().__init__()
        self.renderer = renderer
        self.coded = ToI420()

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return y uint8[N, S, S], u and v uint8[N, S/2, S/2]."""
        planes_of_colour: tuple[Tensor, Tensor, Tensor] = self.coded(
            (self.renderer(planes) + 1.0) / 2.0
        )
        return planes_of_colour


def read_networks(request: Request) -> Networks:
    """Read the checkpoints; the two of the sound only where the motion is to be the original.

    Raises:
        ImportRefused: one is missing, of another system, or not one of this network.
    """
    original = request.motion == "original"
    states = collect(request, ("renderer", *(("audio", "expression") if original else ())))
    renderer = _built("the neural renderer", states["renderer"], _renderer)
    widths = widths_of(states["renderer"])
    if not original:
        return Networks(renderer, widths, None)
    encoder = _built("the audio network (AT_net)", states["audio"], _encoder)
    expression = _built(
        "the audio-to-expression network",
        states["expression"],
        lambda state: (AudioExpression, StateLayout()),
    )
    return Networks(renderer, widths, LiveMotion(encoder, expression).eval())


def _renderer(state: State) -> tuple[Callable[[], NeuralRenderer], StateLayout]:
    widths = widths_of(state)
    _bounded(widths)
    return lambda: NeuralRenderer(widths), layout(len(widths))


def _encoder(state: State) -> tuple[Callable[[], AudioEncoder], StateLayout]:
    sizes = encoder_sizes(state)
    _bounded((*sizes["widths"], sizes["full"]))
    return lambda: AudioEncoder(**sizes), audio.LAYOUT


def _bounded(widths: tuple[int, ...]) -> None:
    if max(widths) > MOST_WIDTH:
        raise StateMismatch(f"a layer has {max(widths)} channels, more than {MOST_WIDTH}")


def _built(
    words: str, state: State, plan: Callable[[State], tuple[Callable[[], _Network], StateLayout]]
) -> _Network:
    try:
        make, names = plan(state)
        return build(make, state, names)
    except (StateMismatch, KeyError, IndexError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise ImportRefused(
            f"What was given as {words} of audiodvp is none: {reason.rstrip('.')}."
        ) from None
