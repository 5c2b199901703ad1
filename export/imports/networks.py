"""Which network of which system a checkpoint holds, told by the names of its tensors.

The published files are known by their keys alone: their names are the user's. A key that is
listed here may stand under `module.`, which training on several GPUs puts before all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from torch import Tensor

from visavis.export.imports.checkpoint import read_checkpoint, unnest
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.request import Request

__all__ = ["NETWORKS", "Found", "Network", "collect", "recognise"]

State = Mapping[str, Tensor]
PARALLEL = "module."
# Of a published file that holds several systems' worth of training beside what is used.
IGNORED = ("*discriminator*", "netD*", "optimizer*", "model_fusion*", "*lip_discriminator*")


@dataclass(frozen=True, slots=True)
class Network:
    """How one network is known.

    Attributes:
        system, name: as `collect` names it; words: for sentences.
        signs: patterns (fnmatch), each of which some key must fit.
        without: patterns that no key may fit.
        least: dimensions that every tensor has, where that tells; else 0.
        takes: a key, and how many channels that layer takes, where that tells.
    """

    system: str
    name: str
    words: str
    signs: tuple[str, ...]
    without: tuple[str, ...] = ()
    least: int = 0
    takes: tuple[str, int] | None = None


NETWORKS = (
    Network("davs", "sound", "the audio encoder", ("model1.conv1.weight", "model2.conv3.weight")),
    Network("davs", "mouth", "the lip encoder", ("model.conv1.weight", "model.m0.*")),
    Network("davs", "identity", "the identity encoder", ("block1.conv01_a.weight",)),
    Network("davs", "decoder", "the decoder", ("deconv1_1_new.weight", "conv7_2.weight")),
    Network(
        "headpose",
        "motion",
        "the audio network (ATC_net)",
        ("audio_eocder.0.0.weight", "lstm_fc.0.weight"),
        ("lmark_encoder.*",),
    ),
    Network(
        "headpose", "generator", "the generator", ("e1.weight", "mlp.model.0.weight", "d8.*")
    ),
    Network(
        "headpose", "memory", "the memory network", ("ResNet18.*", "Linear.weight"), ("e1.*",)
    ),
    Network("headpose", "memory_tables", "the memory's tables", ("mem_key", "mem_value")),
    Network(
        "audiodvp",
        "audio",
        "the audio network (AT_net)",
        ("audio_eocder.0.0.weight", "lmark_encoder.0.weight"),
    ),
    Network(
        "audiodvp", "expression", "the audio-to-expression network", ("conv3.weight", "fc.weight"),
        ("conv4*", "layer*", "bn*"),
    ),
    Network(
        "audiodvp", "renderer", "the neural renderer", ("model.model.0.weight", "model.model.4.*")
    ),
    Network(
        "style_avatar",
        "motion",
        "the audio-to-motion network",
        ("audio_layer.0.weight", "exp_sty_layer.0.weight"),
    ),
    Network(
        "style_avatar",
        "blender",
        "the blender",
        ("model1_1.1.weight", "model1_2.9.weight"),
        takes=("model1_1.1.weight", 3),
    ),
    Network(
        "style_avatar", "generator", "the generator", ("model1_1.1.weight", "model1_2.9.weight")
    ),
    Network(
        "style_avatar", "texture_encoder", "the texture encoder",
        ("down1.conv.0.weight", "up5.conv.1.weight"),
    ),
    Network("style_avatar", "texture", "the person's texture", ("",), least=4),
    Network(
        "rhythmic", "generator", "the generator", ("netG.*", "img_ani_embedding.*"),
    ),
    Network(
        "rhythmic", "audio_embedding", "the audio embedding", ("conv.0.weight", "audio_l.0.weight")
    ),
    Network(
        "rhythmic", "motion_history", "the history of the head", ("l.0.weight", "backend_conv1.*")
    ),
    Network("rhythmic", "motion_decoder", "the decoder of the head", ("l.weight", "l.bias")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A network in a file: which, and its tensors under the file's keys."""

    network: Network
    path: Path
    where: str
    state: dict[str, Tensor]


def recognise(state: State) -> Network | None:
    """Return which network a state dict is of; None where it is none that is known."""
    if state and all(key.startswith(PARALLEL) for key in state):
        state = {key.removeprefix(PARALLEL): value for key, value in state.items()}
    keys = list(state)
    for network in NETWORKS:
        if (
            all(any(fnmatchcase(key, sign) for key in keys) for sign in network.signs)
            and not any(fnmatchcase(key, sign) for sign in network.without for key in keys)
            and all(value.dim() >= network.least for value in state.values())
            and (network.takes is None or state[network.takes[0]].shape[1] == network.takes[1])
        ):
            return network
    return None


def collect(
    request: Request, needed: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, dict[str, Tensor]]:
    """Return the networks of a request by name.

    Args:
        request: whose checkpoints are read and system is wanted.
        needed: names of `NETWORKS` of that system; optional: those that may be missing.

    Raises:
        ImportRefused: a file is no checkpoint; it is of another system; a network is missing,
            there twice, or not known.
    """
    kept: dict[str, Found] = {}
    for path in request.checkpoints:
        for found in _networks_of(path, request.system):
            name = found.network.name
            if name not in needed and name not in optional:
                continue
            if name in kept:
                raise ImportRefused(
                    f"Both {kept[name].path} and {path} hold {found.network.words} of "
                    f"{request.system}; give one."
                )
            kept[name] = found
    missing = [
        network.words
        for network in NETWORKS
        if network.system == request.system and network.name in needed and network.name not in kept
    ]
    if missing:
        raise ImportRefused(
            f"{request.system} needs {' and '.join(missing)}, and no checkpoint that was given "
            "holds it."
            if len(missing) == 1
            else f"{request.system} needs {', '.join(missing)}, and no checkpoint that was given "
            "holds them."
        )
    return {name: found.state for name, found in kept.items()}


def _networks_of(path: Path, system: str) -> list[Found]:
    """Return what a file holds of a system; that it holds nothing is refused."""
    found: list[Found] = []
    strange: list[str] = []
    for where, state in unnest(read_checkpoint(path)).items():
        network = recognise(state)
        if network is not None:
            found.append(Found(network, path, where, state))
        elif not any(fnmatchcase(where, pattern) for pattern in IGNORED):
            strange.append(next(iter(state)))
    if own := [one for one in found if one.network.system == system]:
        return own
    if found:
        other = found[0].network
        raise ImportRefused(
            f"{path} looks like {other.words} of {other.system}, and not like a network of "
            f"{system}."
        )
    example = f" such as {strange[0][:60]!r}" if strange else ""
    raise ImportRefused(
        f"{path} is no network that is known here: its tensors have names{example}."
    )
