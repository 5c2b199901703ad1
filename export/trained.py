"""What `finetune` left of a person, found and read: nothing of it is taken on trust."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from visavis.engines.errors import PersonFileError
from visavis.export.restore import motion_of
from visavis.models.motion import Motion
from visavis.models.renderer import Renderer

__all__ = ["Trained", "load_renderer", "person_folder", "read_motion", "read_trained"]

F32 = NDArray[np.float32]

HELD_OUT = 4  # every so many of the calibration's planes are left out of it, to compare with


@dataclass(frozen=True, slots=True)
class Trained:
    """The networks of a folder, and planes for them.

    Attributes:
        folder: where they lie.
        renderer: in evaluation, on the processor.
        stage: what `motion/stage.json` holds; network: the motion's ONNX file.
        calibration: f32[K, 38, S/2, S/2], to choose 8-bit ranges by.
        held_out: f32[L, 38, S/2, S/2], of the same kind, to compare with.
    """

    folder: Path
    renderer: Renderer
    stage: dict[str, Any]
    network: bytes
    calibration: F32
    held_out: F32

    def motion(self) -> Motion:
        """Return the motion network, in evaluation.

        Raises:
            PersonFileError: it is damaged, foreign or not finite.
        """
        lookaheads = self.stage["stages"]["motion"]["params"]["lookaheads"]
        return read_motion(self.network, lookaheads, self.folder)


def person_folder(folder: Path) -> Path:
    """Return the folder of a trained person: itself, or the `person/` of a training.

    Raises:
        PersonFileError: it is neither; the message says which of the reasons it is.
    """
    if (folder / "about.json").is_file():
        return folder
    if (folder / "person").is_dir():
        return folder / "person"
    if not folder.is_dir():
        raise PersonFileError(f"{folder} is not a folder.")
    if (folder / "settings.json").is_file():
        raise PersonFileError(
            f"The training in {folder} is not finished: visavis finetune --resume goes on with it."
        )
    raise PersonFileError(
        f"{folder} is not a trained person: it holds neither person/ nor about.json."
    )


def read_trained(folder: Path, weights: Path) -> Trained:
    """Read the networks of a trained person.

    Args:
        folder: from `person_folder`.
        weights: `renderer.pt`.

    Raises:
        PersonFileError: a network is damaged, or the renderer foreign or not finite.
        OSError, ValueError, KeyError: a file is missing or damaged.
    """
    stage = json.loads((folder / "motion" / "stage.json").read_text())
    network = (folder / "motion" / stage["graphs"]["motion"]["variants"]["fp32"]).read_bytes()
    _parsed(network, folder)
    renderer = load_renderer(weights)
    _require_finite("renderer", folder, renderer)
    planes = np.load(folder / "calibration.npy", allow_pickle=False).astype(np.float32)
    if planes.ndim != 4 or not len(planes) or not np.isfinite(planes).all():
        raise PersonFileError(f"{folder / 'calibration.npy'} must hold planes, all finite.")
    apart = np.arange(len(planes)) % HELD_OUT == HELD_OUT - 1
    return Trained(folder, renderer, stage, network, planes[~apart], planes[apart])


def read_motion(network: bytes, lookaheads: Sequence[int], folder: Path) -> Motion:
    """Return the network of a motion graph with weights in float32, in evaluation.

    Args:
        network: `motion.fp32.onnx`, from `export.motion.write_motion`.
        lookaheads: that it has heads for, in ms.
        folder: for messages.

    Raises:
        PersonFileError: it is damaged, foreign or not finite.
    """
    motion = motion_of(_parsed(network, folder), lookaheads, str(folder))
    _require_finite("motion network", folder, motion)
    return motion


def load_renderer(path: Path) -> Renderer:
    """Read a renderer from `renderer.pt`.

    Raises:
        PersonFileError: it is damaged, or no renderer that this version trains.
        OSError: it cannot be read.
    """
    try:
        # Nothing in it is executed: tensors and numbers only.
        saved = torch.load(path, weights_only=True, map_location="cpu")
        renderer = Renderer(saved["widths"])
        renderer.load_state_dict(saved["weights"])
    except OSError:
        raise
    except _DAMAGED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120].rstrip(".:")
        raise PersonFileError(f"{path} is damaged or no renderer of ours: {reason}.") from error
    return renderer.eval()


_DAMAGED = (
    RuntimeError,
    pickle.UnpicklingError,
    EOFError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
)


def _parsed(network: bytes, folder: Path) -> Any:
    try:
        return onnx.load_model_from_string(network).graph
    except Exception:  # protobuf has changed where it keeps its errors
        raise PersonFileError(f"The motion network of {folder} is not an ONNX model.") from None


def _require_finite(name: str, folder: Path, network: nn.Module) -> None:
    for key, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise PersonFileError(
                f"The {name} of {folder} has weights that are not finite ({key}): "
                "its training went wrong."
            )
