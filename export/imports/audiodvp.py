"""Importing `audiodvp`: a person's own video, whose lower face is drawn, made real and put back.

The person file holds the renderer, the mesh of the person's lower face, the frames of their clip
with the mask of each, and what moves the mouth; see `docs/systems/audiodvp.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from visavis.engines.npy import dump_array
from visavis.export.imports.audiodvp_face import RULE, landmarks, masks_of, mesh_of, read_model
from visavis.export.imports.audiodvp_footage import Footage, read_footage
from visavis.export.imports.audiodvp_networks import Networks, Picture, read_networks
from visavis.export.imports.crops import box_around
from visavis.export.imports.draft import VIDEO, Draft
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.lip_map import face_lips
from visavis.export.imports.native_motion import move_natively
from visavis.export.imports.onnx_graph import exported
from visavis.export.imports.request import Request
from visavis.export.imports.voice import clip_voice
from visavis.export.imports.wide_linear import split_wide
from visavis.models.face_model import FaceModel
from visavis.models.systems.audiodvp import face
from visavis.models.systems.audiodvp.expression import EXPRESSIONS
from visavis.models.systems.audiodvp.live import LOOKAHEAD_MS, STATE
from visavis.models.systems.audiodvp.renderer import FRAMES
from visavis.models.systems.mfcc import COEFFICIENTS, ROWS

__all__ = ["draft"]

F32 = NDArray[np.float32]

POSE = 33
FUTURE = FRAMES // 2
TICK_MS = 40
FPS = 25.0
MOUTH, MARGIN = slice(48, 68), 6
NOTICES = (
    "The method and its program are AudioDVP by Xin Wen et al. (2020), which its authors put under "
    "a BSD licence; its audio network is that of ATVGnet by Lele Chen et al. (2019), under the MIT "
    "licence. Whose the weights are depends on who trained them."
)


@torch.no_grad()
def draft(request: Request, say: Callable[[str], None]) -> Draft:
    """Make a person of checkpoints, a clip and its coefficients.

    Args:
        request: `checkpoints`: N_net_G.pth, and for `motion` "original" atnet_lstm_18.pth and
            delta_net.pth. `clip`: the crops of 256 pixels, or the whole frames with `points`: two,
            the corners of the square that was cut out, or the face's 68 in the first frame (which
            `find_points` finds). `coefficients`: the folder of alpha, beta, delta, gamma, rotation
            and translation; `face_model`. `speech`: the clip's sound, where the clip has none.
            `frames` to show, 300 where None; `face_only`; `ahead`, 0 to 3, with the original
            motion.
        say: called with a sentence before each step.

    Raises:
        ImportRefused: something is missing or cannot be used.
    """
    ahead = _ahead(request)
    say("Reading the checkpoints.")
    networks = read_networks(request)
    model, licensed = read_model(request)
    say("Reading the clip and its coefficients.")
    footage = read_footage(request, model)
    track = footage.track
    mesh, triangles = mesh_of(model, track)
    say("Drawing where the mouth may be.")
    masks = masks_of((mesh, triangles), track)
    made = Draft(
        stages=_stages(ahead),
        graphs={},
        parts={
            "triangles.npy": dump_array(triangles),
            "pose.npy": dump_array(track.pose),
            "place.npy": dump_array(np.repeat(footage.place[None], len(track.pose), 0)),
            "masks.npy": dump_array(masks),
        },
        frames=footage.frames,
        lookahead_ms=0,
        mouth=_mouth(landmarks(model, track, 0)),
        contains_licensed=licensed,
        notices=NOTICES,
        controls={"heads": ["own", "still"]},
        made_by={
            "settings": {
                "motion": request.motion,
                "face_only": request.face_only,
                "ahead": ahead,
                "channels": list(networks.widths),
            }
        },
    )
    say("Exporting the networks.")
    _put(
        made,
        "mesh",
        mesh,
        {"coefficients": (track.delta.shape[1],), "pose": (POSE,)},
        ["vertices"],
        samples={"coefficients": track.delta[[0, -1]], "pose": track.pose[[0, -1]]},
    )
    planes = (3 * FRAMES, face.SIZE, face.SIZE)
    picture = Picture(networks.renderer).eval()
    _put(made, "picture", picture, {"planes": planes}, ["y", "u", "v"], half=request.half)
    if request.motion == "original":
        _original(made, networks, ahead, request)
    else:
        say("Finding what the person's lips do in the clip.")
        _native(made, model, footage, request)
    return made


def _ahead(request: Request) -> int:
    """Return how many frames are drawn before they are shown."""
    if request.motion not in ("native", "original"):
        raise ImportRefused(f"The motion is native or original, not {request.motion[:40]!r}.")
    ahead = 0 if request.ahead is None else request.ahead
    if not 0 <= ahead <= FUTURE:
        raise ImportRefused(f"audiodvp's renderer sees 0 to {FUTURE} coming frames, not {ahead}.")
    if ahead and request.motion != "original":
        raise ImportRefused(
            "Coming frames are waited for with the original motion; with our own the newest frame "
            "stands for them: leave --ahead out, or take --motion original."
        )
    if request.lookahead_ms is not None and request.motion != "original":
        raise ImportRefused("Our own motion offers several look-aheads to every session.")
    own = LOOKAHEAD_MS + TICK_MS * ahead
    if request.lookahead_ms not in (None, own):
        raise ImportRefused(
            f"The look-ahead of audiodvp's motion is {own} ms with {ahead} coming frames, and not "
            f"{request.lookahead_ms} ms."
        )
    return ahead


def _stages(ahead: int) -> dict[str, Any]:
    """The stages that do not depend on what moves the mouth."""
    return {
        "geometry": {"op": "mesh@1", "params": {"graph": "mesh"}},
        "raster": {
            "op": "attributes@1",
            "params": {
                "size": face.SIZE,
                "over": "black",
                "history": FRAMES,
                "future": FUTURE,
                "ahead": ahead,
                "before": "zeros",
                "inside_tolerance": RULE.inside_tolerance,
                "later_wins": RULE.later_wins,
            },
            "parts": {"triangles": "triangles.npy"},
        },
        "render": {"op": "graph@2", "params": {"graph": "picture"}},
        "composite": {"op": "paste@1", "parts": {"masks": "masks.npy"}},
        "background": {
            "op": "footage@1",
            "parts": {"video": VIDEO, "pose": "pose.npy", "place": "place.npy"},
        },
    }


def _original(made: Draft, networks: Networks, ahead: int, request: Request) -> None:
    """Let the system's own networks move the mouth."""
    assert networks.motion is not None
    if made.graphs["mesh"]["inputs"]["coefficients"] != ["N", EXPRESSIONS]:
        raise ImportRefused(
            f"The original motion gives {EXPRESSIONS} expressions; the face model "
            "and the coefficients must have as many."
        )
    states = {f"state_{name}": shape for name, shape in STATE.items()}
    pairs = [(name, f"next_{name}") for name in states]
    _put(
        made,
        "motion",
        split_wide(networks.motion),
        {"features": (ROWS, COEFFICIENTS - 1), **states},
        ["coefficients", *(after for _, after in pairs)],
        state=pairs,
        half=request.half,
    )
    made.lookahead_ms = LOOKAHEAD_MS + TICK_MS * ahead
    made.stages["audio"] = {"op": "cepstra@1", "params": {}}
    made.stages["motion"] = {
        "op": "windowed@1",
        # Steps before frame 0 count: see `LiveMotion`.
        "params": {"graph": "motion", "lookaheads": [made.lookahead_ms], "preroll": "run"},
    }


def _native(made: Draft, model: FaceModel, footage: Footage, request: Request) -> None:
    """Let our own network move the mouth, as the person's lips move in the clip."""
    track = footage.track
    marks = model.landmarks
    alpha = torch.from_numpy(track.alpha)
    still = (model.mean[marks] + torch.tensordot(alpha, model.identity[:, marks], 1)).numpy()
    basis = model.expression[:, marks].numpy()

    def points(coefficients: F32) -> F32:
        return np.asarray(still + np.einsum("ke,epj->kpj", coefficients, basis), np.float32)

    lips = face_lips(
        points,
        track.delta.shape[1],
        coefficients=track.delta,
        voice=clip_voice(request, len(track.delta)),
    )
    move_natively(made, lips)


def _mouth(points: F32) -> tuple[int, int, int, int]:
    """Return the mouth's box in the crop."""
    return box_around(points[MOUTH], MARGIN, face.SIZE)


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
