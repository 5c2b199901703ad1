"""Mozilla DeepSpeech's published checkpoint, a TensorFlow 1 file, as our network."""

from __future__ import annotations

from pathlib import Path

from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.tf_checkpoint import bundle_of, read_index, read_tensors
from visavis.models.systems.state import StateMismatch, build
from visavis.models.systems.style_avatar.deepspeech import CELL, DeepSpeech, state_dict

__all__ = ["read_deepspeech"]

LAYERS = ("layer_1", "layer_2", "layer_3", "layer_5", "layer_6")
WEIGHTS = frozenset(
    [
        *(f"{layer}/{kind}" for layer in LAYERS for kind in ("weights", "bias")),
        f"{CELL}/kernel",
        f"{CELL}/bias",
    ]
)
# What training leaves beside them: counters, and the optimizer's two moments of every weight.
TRAINING = frozenset({"beta1_power", "beta2_power", "global_step", "learning_rate"})
MOMENTS = ("/Adam", "/Adam_1")


def read_deepspeech(path: Path) -> DeepSpeech:
    """Return the network of a checkpoint.

    Args:
        path: its index or its data file.

    Raises:
        ImportRefused: the files are damaged, or of another network.
    """
    files = bundle_of(path)
    if files is None:
        raise ImportRefused(f"{path.name!r} is no TensorFlow checkpoint.")
    entries = read_index(files[0])
    if missing := sorted(WEIGHTS - entries.keys()):
        raise ImportRefused(
            f"{files[0].name!r} is no checkpoint of DeepSpeech 0.9: {missing[0]!r} is missing."
        )
    if extra := sorted(name for name in entries.keys() - WEIGHTS if not _of_training(name)):
        raise ImportRefused(
            f"{files[0].name!r} is no checkpoint of DeepSpeech 0.9: it has {extra[0][:80]!r} too."
        )
    tensors = read_tensors(files[1], entries, WEIGHTS.__contains__)
    try:
        widths, state = state_dict(tensors)
        return build(lambda: DeepSpeech(widths), state)
    except (StateMismatch, ValueError) as error:
        raise ImportRefused(f"{files[1].name!r} is no DeepSpeech 0.9: {error}.") from None


def _of_training(name: str) -> bool:
    return name in TRAINING or any(
        name.endswith(end) and name.removesuffix(end) in WEIGHTS for end in MOMENTS
    )
