"""The files of `style_avatar` as networks, and the graphs that a person has of them.

A person is made with the generator and the encoder of textures, or with what was tuned to them: a
texture of their own, the generator, and a second one that joins face and picture. Its own motion
takes two more: the motion network, and DeepSpeech, which it hears with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.export.imports.deepspeech import read_deepspeech
from visavis.export.imports.draft import Draft
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.networks import collect
from visavis.export.imports.onnx_graph import ToI420, exported
from visavis.export.imports.request import Request
from visavis.export.imports.tf_checkpoint import bundle_of
from visavis.models.systems.state import PARALLEL, StateLayout, StateMismatch, build
from visavis.models.systems.style_avatar import generator, motion, texture
from visavis.models.systems.style_avatar.deepspeech import DeepSpeech
from visavis.models.systems.style_avatar.generator import Generator
from visavis.models.systems.style_avatar.motion import Motion
from visavis.models.systems.style_avatar.picture import Picture

__all__ = ["FaceGraph", "Networks", "put_graph", "read_networks"]

TEXTURE_SIZE = 64

_Network = TypeVar("_Network", bound=nn.Module)
State = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks that were given, for inference.

    Attributes:
        generator: from a sampled texture to a face.
        encoder: from a picture's texture to a neural one; None where `tuned` is there.
        tuned: f32[1, 16, 64, 64], a texture tuned to the person, or None.
        blender: tuned to the person, or None.
        motion, recognizer: of the system's own motion, or None.
    """

    generator: Generator
    encoder: texture.TextureEncoder | None
    tuned: Tensor | None
    blender: Generator | None
    motion: Motion | None
    recognizer: DeepSpeech | None


class FaceGraph(nn.Module):
    """What is exported: planes f32[N, 6, S, S] to y uint8[N, S, S], u and v uint8[N, S/2, S/2]."""

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        self.picture, self.to_i420 = picture, ToI420()

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the planes of the picture; see `Picture.forward`."""
        y, u, v = self.to_i420(self.picture(planes))
        return y, u, v


def put_graph(
    made: Draft,
    name: str,
    module: nn.Module,
    inputs: dict[str, tuple[int, ...]],
    outputs: list[str],
    *,
    half: bool,
    state: Sequence[tuple[str, str]] = (),
    samples: dict[str, NDArray[np.float32]] | None = None,
) -> None:
    """Export a network into a draft, as the graph `name`; see `exported`.

    Raises:
        ImportRefused: it cannot be, or the file gives something else than the network.
    """
    entry, parts = exported(
        name, module, inputs=inputs, outputs=outputs, state=state, half=half, samples=samples
    )
    made.graphs[name] = entry
    made.parts.update(parts)
    made.modules[name] = (module, list(inputs), outputs)


def read_networks(request: Request) -> Networks:
    """Read the checkpoints of a request, in whatever order they come.

    Raises:
        ImportRefused: one is of no network of this system or damaged, two are of the same, or one
            that is needed is missing.
    """
    bundles = {files for path in request.checkpoints if (files := bundle_of(path)) is not None}
    if len(bundles) > 1:
        raise ImportRefused("There are two TensorFlow checkpoints; give DeepSpeech's alone.")
    others = tuple(path for path in request.checkpoints if bundle_of(path) is None)
    found = collect(
        replace(request, checkpoints=others),
        ("generator",),
        ("texture_encoder", "texture", "blender", "motion"),
    )
    if ("texture_encoder" in found) == ("texture" in found):
        raise ImportRefused(
            "style_avatar needs either the texture encoder (tex_encoder.pkl) or, of a tuned "
            "person, their texture (neural_texture.pkl)."
        )
    if "blender" in found and "texture" not in found:
        raise ImportRefused(
            "The blender belongs to a tuned person, whose texture (neural_texture.pkl) is missing."
        )
    for name in ("generator", "blender"):
        if name in found:
            _check_width(name, found[name])
    picture = _built(found, "generator", generator.generator_of, generator.LAYOUT)
    assert picture is not None
    return Networks(
        generator=picture,
        encoder=_built(found, "texture_encoder", texture.encoder_of, texture.LAYOUT),
        tuned=_tuned(found["texture"]) if "texture" in found else None,
        blender=_built(found, "blender", generator.generator_of, generator.LAYOUT),
        motion=_built(
            found, "motion", lambda state: Motion(motion.widths_of(state)), motion.LAYOUT
        ),
        recognizer=read_deepspeech(bundles.pop()[0]) if bundles else None,
    )


def _check_width(name: str, state: State) -> None:
    wanted = texture.CHANNELS if name == "generator" else 3
    shape = next(value.shape for key, value in state.items() if key.endswith("model1_1.1.weight"))
    if len(shape) != 4 or shape[1] != wanted:
        raise ImportRefused(
            f"The {name} takes {wanted} channels; a weight of the one that was given has shape "
            f"{list(shape)}."
        )


def _tuned(state: State) -> Tensor:
    wanted = (1, texture.CHANNELS, TEXTURE_SIZE, TEXTURE_SIZE)
    tensor = state[""]
    if tuple(tensor.shape) != wanted or not tensor.is_floating_point():
        raise ImportRefused(
            f"The person's texture is a tensor of shape {list(tensor.shape)}, not {list(wanted)}."
        )
    return tensor.float()


def _built(
    found: Mapping[str, State],
    name: str,
    make: Callable[[State], _Network],
    layout: StateLayout,
) -> _Network | None:
    """A network of the widths that its file tells, or None where there is no such file."""
    if name not in found:
        return None
    state = found[name]
    if all(key.startswith(PARALLEL) for key in state):
        state = {key.removeprefix(PARALLEL): value for key, value in state.items()}
    words = name.replace("_", " ")
    try:
        network = build(lambda: make(state), state, layout)
    except (KeyError, IndexError) as error:
        raise ImportRefused(f"The {words} is not whole: {error} is missing.") from None
    except (StateMismatch, ValueError, RuntimeError) as error:
        raise ImportRefused(f"The {words} is not one of style_avatar: {error}.") from None
    if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
        raise ImportRefused(f"The {words} has numbers that are not finite.")
    return network
