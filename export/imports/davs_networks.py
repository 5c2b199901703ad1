"""A published checkpoint of `davs` as networks, and the graphs that a person has of them.

`101_DAVS_checkpoint.pth.tar` holds the state of a training: a dict of dicts. Four of them are
networks that a person is made with; the discriminators and optimisers served training only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.networks import PARALLEL, collect
from visavis.export.imports.onnx_graph import ToI420
from visavis.export.imports.request import Request
from visavis.models.systems.davs import FROM_SOUND, decoder, identity, mouth, sound
from visavis.models.systems.davs.folded import FoldedDecoder
from visavis.models.systems.state import StateLayout, StateMismatch, build

__all__ = ["FaceGraph", "MotionGraph", "Networks", "fold", "read_networks"]

NEEDED = ("identity", "decoder", "sound", "mouth")
SMALLEST, LARGEST = 8, 1024  # numbers of a mouth feature
EXACT = 1e-4  # of full scale, by which a folded decoder may differ: rounding, a fortieth of a level

_Network = TypeVar("_Network", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Networks:
    """The four networks, for inference.

    Attributes:
        feature: F, numbers of a mouth feature; 256 as published.
    """

    identity: identity.IdentityEncoder
    decoder: decoder.Decoder
    sound: sound.SoundEncoder
    mouth: mouth.MouthEncoder
    feature: int


class FaceGraph(nn.Module):
    """From what the motion gives to the crop, as the engine takes it."""

    def __init__(self, face: FoldedDecoder) -> None:
        super().__init__()
        self.face = face
        self.colours = ToI420()

    def forward(self, coefficients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return y u8[N, 256, 256], u and v u8[N, 128, 128] of f32[N, F]."""
        y, u, v = self.colours(self.face(coefficients))
        return y, u, v


class MotionGraph(nn.Module):
    """The system's own motion: a window of cepstra to a mouth feature as the decoder takes it."""

    def __init__(self, encoder: sound.SoundEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, features: Tensor) -> Tensor:
        """Return f32[N, F] of f32[N, 20, 12]."""
        coefficients: Tensor = FROM_SOUND * self.encoder(features)
        return coefficients


def read_networks(request: Request) -> Networks:
    """Read the checkpoint; its widths are taken from it, all else is strict.

    Raises:
        ImportRefused: it cannot be read, or is none of `davs`.
    """
    states = collect(request, NEEDED)
    feature = _feature(states["sound"])

    def made(name: str, make: Callable[..., _Network], layout: StateLayout) -> _Network:
        try:
            return build(partial(make, feature=feature), states[name], layout)
        except StateMismatch as error:
            raise ImportRefused(f"The {name} network of davs: {error}.") from error

    return Networks(
        made("identity", identity.IdentityEncoder, identity.LAYOUT),
        made("decoder", decoder.Decoder, decoder.LAYOUT),
        made("sound", sound.SoundEncoder, sound.LAYOUT),
        made("mouth", mouth.MouthEncoder, mouth.LAYOUT),
        feature,
    )


@torch.no_grad()
def fold(networks: Networks, picture: Tensor) -> FoldedDecoder:
    """Return the decoder with one person folded in, compared with the one that it is made of.

    Args:
        picture: f32[1, 3, 256, 256], red, green, blue, 0 to 1.

    Raises:
        ImportRefused: the two do not make the same pictures.
    """
    vector, level_map = networks.identity(picture)
    folded = FoldedDecoder(networks.decoder, vector, level_map)
    generator = torch.Generator().manual_seed(0)
    heard = torch.randn(3, sound.ROWS, 12, generator=generator) * 10.0
    mouths = torch.cat((torch.zeros(1, networks.feature), FROM_SOUND * networks.sound(heard)))
    for one in mouths[:, None]:
        difference = float((folded(one) - networks.decoder(vector, level_map, one)).abs().max())
        if not difference <= EXACT:
            raise ImportRefused(
                "The person cannot be folded into the decoder of this checkpoint: the pictures "
                f"would differ by {difference:.1e} of full scale."
            )
    return folded


def _feature(state: Mapping[str, Tensor]) -> int:
    bias = state.get(f"{PARALLEL}fc.bias", state.get("fc.bias"))
    if bias is None or bias.ndim != 1:
        raise ImportRefused("The sound network of davs has no fc.bias, which tells its width.")
    if not SMALLEST <= len(bias) <= LARGEST or len(bias) % SMALLEST:
        raise ImportRefused(f"A mouth feature of {len(bias)} numbers is none of davs.")
    return len(bias)
