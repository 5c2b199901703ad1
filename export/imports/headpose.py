"""Importing `headpose`: a person's own video, whose face is drawn, made real and put back.

The person file holds the generator with this person folded in, the mesh of their face, and what
moves it; see `docs/systems/headpose.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from visavis.engines.npy import dump_array
from visavis.export.imports.crops import box_around, feather
from visavis.export.imports.draft import VIDEO, Draft
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.face_graph import FaceMesh, Light, surface_of
from visavis.export.imports.face_model import read_face
from visavis.export.imports.headpose_footage import OUT, Footage, composed, read_footage
from visavis.export.imports.headpose_networks import (
    MotionStep,
    Networks,
    Picture,
    folded,
    identity_of,
    read_networks,
)
from visavis.export.imports.lip_map import face_lips
from visavis.export.imports.native_motion import move_natively
from visavis.export.imports.onnx_graph import exported
from visavis.export.imports.request import Request
from visavis.export.imports.style_avatar_face import landmarks
from visavis.export.imports.voice import clip_voice
from visavis.export.imports.wide_linear import split_wide
from visavis.models.face_model import FaceModel
from visavis.models.systems.bfm import turned
from visavis.models.systems.headpose import face, generator, motion

__all__ = ["LOOKAHEAD_MS", "draft", "mesh_of"]

F32 = NDArray[np.float32]

LOOKAHEAD_MS = 180  # of its own motion: 28 rows of 25 ms, the last of which ends 175 ms after
ROWS, CEPSTRA = 28, 12
EXPRESSION = slice(80, 144)  # of 257
EVERY = 25  # frames, of which one is asked who it is
MOUTH, MARGIN = slice(48, 68), 6
NOTICES = (
    "The weights are those of Audio-driven-TalkingFace-HeadPose by Ran Yi et al. (2020), which "
    "comes without a licence, is under a patent and is for research alone by its own words; ask "
    "its authors before you give them on."
)


@torch.no_grad()
def draft(request: Request, say: Callable[[str], None]) -> Draft:
    """Make a person of checkpoints, a clip and its coefficients.

    Args:
        request: `checkpoints`: N_net_G.pth and N_net_mem.pth, and for `motion` "original"
            atcnet_lstm_N.pth. `clip`, `coefficients` (a folder of frameN.mat) and `face_model`;
            where the folder holds no transbig.npy, also `points` of the first frame, or whoever
            finds them; a clip of crops, 224 or 256 pixels square, needs neither. `speech` is the
            clip's sound, where it is kept apart. `frames`, 300 where None; `face_only`.
        say: called with a sentence before each step.

    Raises:
        ImportRefused: something is missing or cannot be used.
    """
    if request.motion not in ("native", "original"):
        raise ImportRefused(f"The motion is native or original, not {request.motion[:40]!r}.")
    say("Reading the checkpoints.")
    networks = read_networks(request)
    model, licensed = read_face(request)
    say("Reading the clip and its coefficients.")
    footage = read_footage(request, model)
    say("Asking the memory who it is.")
    asked = range(0, len(footage.frames), EVERY)
    identity = identity_of(networks, [composed(model, footage, number) for number in asked])
    network = folded(networks.generator, identity.feature)
    mesh, triangles = mesh_of(model, footage.coefficients[0])
    mask = np.full((OUT, OUT), 255, np.uint8) if request.face_only else feather(OUT)
    made = Draft(
        stages=_stages(request.motion),
        graphs={},
        parts={
            "triangles.npy": dump_array(triangles),
            "pose.npy": dump_array(footage.pose),
            "place.npy": dump_array(np.repeat(footage.place[None], len(footage.frames), 0)),
            "mask.npy": dump_array(mask),
        },
        frames=footage.frames,
        lookahead_ms=LOOKAHEAD_MS,
        mouth=_mouth(landmarks(model, footage.coefficients[0])),
        contains_licensed=licensed,
        notices=NOTICES,
        made_by={
            "settings": {
                "motion": request.motion,
                "face_only": request.face_only,
                "identity": {"row": identity.row, "votes": identity.votes, "of": len(asked)},
            }
        },
    )
    say("Exporting the networks.")
    samples = {"pose": footage.pose[[0, -1], :6]}
    expressions = footage.coefficients[[0, -1]][:, EXPRESSION]
    _put(
        made,
        "mesh",
        mesh,
        {"coefficients": (motion.EXPRESSION,), "pose": (6,)},
        ["vertices"],
        samples={**samples, "coefficients": expressions},
    )
    planes = (3 * generator.FRAMES, OUT, OUT)
    _put(made, "picture", Picture(network), {"planes": planes}, ["y", "u", "v"], half=request.half)
    if request.motion == "original":
        _original(made, networks, request)
        made.controls = {"heads": ["own", "generated", "still"]}
    else:
        say("Finding what the person's lips do in the clip.")
        _native(made, model, footage, request)
        made.controls = {"heads": ["own", "still"]}
    return made


def mesh_of(model: FaceModel, coefficients: F32) -> tuple[FaceMesh, NDArray[np.int32]]:
    """Return the network of `mesh@1` for the person in f32[257], and its triangles.

    Who it is, colours and light are those of the coefficients; expression and pose are not.
    """
    parts = face.split(torch.from_numpy(coefficients))
    still = face.shape(model, parts.identity, torch.zeros(len(model.expression)))
    surface = surface_of(still, turned(model.expression), model.triangles)
    light = Light(
        albedo=model.albedo(parts.albedo)[surface.used],
        ambient=face.AMBIENT,
        fixed=parts.light.reshape(3, 9).T,
    )
    mesh = FaceMesh(surface, face.CAMERA, light).eval()
    return mesh, surface.triangles.numpy().astype(np.int32)


def _stages(moved_by: str) -> dict[str, Any]:
    """The stages that do not depend on what moves the mouth."""
    follow = [motion.EXPRESSION, motion.EXPRESSION + motion.POSE]
    return {
        "geometry": {
            "op": "mesh@1",
            "params": {"graph": "mesh", "take": [0, motion.EXPRESSION]},
        },
        "raster": {
            "op": "attributes@1",
            "params": {
                "size": face.SIZE,
                "out": OUT,
                "over": "frame",
                "history": generator.FRAMES,
                "flip": True,
                "shift": [6, 8],
            },
            "parts": {"triangles": "triangles.npy"},
        },
        "render": {"op": "graph@2", "params": {"graph": "picture"}},
        "composite": {"op": "paste@1", "parts": {"mask": "mask.npy"}},
        "background": {
            "op": "footage@1",
            "params": {"follow": follow} if moved_by == "original" else {},
            "parts": {"video": VIDEO, "pose": "pose.npy", "place": "place.npy"},
        },
    }


def _original(made: Draft, networks: Networks, request: Request) -> None:
    """Let the system's own network move mouth and head."""
    assert networks.motion is not None
    state = (motion.LAYERS, motion.HIDDEN)
    _put(
        made,
        "motion",
        split_wide(MotionStep(networks.motion).eval()),
        {"features": (ROWS, CEPSTRA), "hidden": state, "cell": state},
        ["coefficients", "next_hidden", "next_cell"],
        state=[("hidden", "next_hidden"), ("cell", "next_cell")],
        half=request.half,
    )
    made.stages["audio"] = {"op": "cepstra@1", "params": {}}
    made.stages["motion"] = {
        "op": "windowed@1",
        "params": {"graph": "motion", "lookaheads": [LOOKAHEAD_MS]},
    }


def _native(made: Draft, model: FaceModel, footage: Footage, request: Request) -> None:
    """Let our own network move the mouth, as the person's lips move in the clip."""
    identity = torch.from_numpy(footage.coefficients[0, :80])
    still = (model.mean + torch.tensordot(identity, model.identity, 1))[model.landmarks].numpy()
    basis = model.expression[:, model.landmarks].numpy()

    def points(coefficients: F32) -> F32:
        return np.asarray(still + np.einsum("ke,epj->kpj", coefficients, basis), np.float32)

    count = len(footage.coefficients)
    lips = face_lips(
        points,
        motion.EXPRESSION,
        coefficients=footage.coefficients[:, EXPRESSION],
        voice=clip_voice(request, count),
    )
    move_natively(made, lips)


def _mouth(points: F32) -> tuple[int, int, int, int]:
    """Return the mouth's box in the crop of 256."""
    return box_around((points[MOUTH] + 0.5) * (OUT / face.SIZE) - 0.5, MARGIN, OUT)


def _put(
    made: Draft,
    name: str,
    module: nn.Module,
    inputs: dict[str, tuple[int, ...]],
    outputs: list[str],
    *,
    state: Sequence[tuple[str, str]] = (),
    half: bool = False,
    samples: dict[str, F32] | None = None,
) -> None:
    entry, parts = exported(
        name, module, inputs=inputs, outputs=outputs, state=state, half=half, samples=samples
    )
    made.graphs[name] = entry
    made.parts.update(parts)
    made.modules[name] = (module, list(inputs), outputs)
