"""Importing `style_avatar`: a face of one picture that talks in a chosen style.

The person file holds the generator with this person's texture in it, the mesh of their face, and
what moves it; see `docs/systems/style_avatar.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.npy import dump_array
from visavis.export.imports.coefficients import read_track
from visavis.export.imports.crops import feather
from visavis.export.imports.draft import VIDEO, Draft
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.landmarks import landmarks_of
from visavis.export.imports.pictures import read_clip, read_image
from visavis.export.imports.request import Request
from visavis.export.imports.style_avatar_face import (
    Face,
    Unfolded,
    landmarks,
    mesh_of,
    placed,
    pose_of,
    texture_of,
    unfolded_model,
)
from visavis.export.imports.style_avatar_motion import original_motion, own_motion
from visavis.export.imports.style_avatar_networks import FaceGraph, put_graph, read_networks
from visavis.models.systems.headpose.face import SIZE
from visavis.models.systems.style_avatar import texture
from visavis.models.systems.style_avatar.live import WHOLE_MS
from visavis.models.systems.style_avatar.picture import PLANES, Picture

__all__ = ["draft"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

MOST_FRAMES = 300  # of a clip, where nobody says how many
MOUTH = slice(48, 68)
MARGIN = 4  # pixels around the mouth
NOTICES = (
    "The weights are those of style_avatar by Haozhe Wu et al. (ACM Multimedia 2021), which comes "
    "without a licence; ask its authors before you give them on."
)


@torch.no_grad()
def draft(request: Request, say: Callable[[str], None]) -> Draft:
    """Make a person of checkpoints, a picture and its coefficients.

    Args:
        request: `checkpoints`: face_unet.pkl with tex_encoder.pkl, or face_unet.pkl,
            neural_texture.pkl and blender.pkl of a tuned person; for `motion` "original" also
            backbone.pkl and DeepSpeech's. `image`, or `clip` of a tuned person, with
            `coefficients` of every frame; `face_model` with uv.npy beside it. `styles`; `drive`,
            coefficients of clips whose head is followed; `lookahead_ms` of the original motion.
        say: called with a sentence before each step.

    Raises:
        ImportRefused: something is missing or cannot be used.
    """
    say("Reading the checkpoints.")
    networks = read_networks(request)
    unfolded = unfolded_model(request)
    frames, track = _footage(request)
    faces = _faces(request, unfolded, frames, track)
    say("Making the person's texture.")
    neural = networks.tuned
    if neural is None:
        seen = torch.from_numpy(texture_of(unfolded, faces[0], track[0]))
        assert networks.encoder is not None
        neural = networks.encoder(texture.prepared(seen, networks.encoder.pictures))
    mesh, triangles = mesh_of(unfolded, track[0])
    made = Draft(
        stages=_stages(),
        graphs={},
        parts={
            "triangles.npy": dump_array(triangles),
            "pose.npy": dump_array(pose_of(track)),
            "place.npy": dump_array(np.stack([face.place for face in faces])),
            "mask.npy": dump_array(feather(SIZE)),
        },
        frames=frames,
        lookahead_ms=WHOLE_MS,
        mouth=_mouth(landmarks(unfolded.model, track[0])),
        contains_licensed=unfolded.licensed,
        notices=NOTICES,
        made_by={
            "settings": {"motion": request.motion, "tuned": networks.tuned is not None},
        },
    )
    say("Exporting the networks.")
    put_graph(
        made,
        "mesh",
        mesh,
        {"coefficients": (len(unfolded.model.expression),), "pose": (6,)},
        ["vertices"],
        half=False,
    )
    face = FaceGraph(Picture(neural, networks.generator, networks.blender)).eval()
    put_graph(
        made,
        "face",
        face,
        {"planes": (PLANES, SIZE, SIZE)},
        ["y", "u", "v"],
        half=request.half,
        samples={"planes": _planes()},
    )
    if request.motion == "original":
        original_motion(made, networks, request, say)
    else:
        own_motion(made, unfolded, track, request, say)
    _heads(made, track, request)
    return made


def _footage(request: Request) -> tuple[list[U8], F32]:
    """The frames u8[H, W, 3] and their coefficients f32[T, 257]."""
    if (request.image is None) == (request.clip is None):
        raise ImportRefused(
            "style_avatar makes a person of a picture (--image) or, if they are tuned, of the clip "
            "that they were tuned to (--clip): give one of them."
        )
    if request.coefficients is None:
        raise ImportRefused(
            "style_avatar needs the coefficients of the picture, 257 numbers of "
            "Deep3DFaceReconstruction: give them with --coefficients."
        )
    most = MOST_FRAMES if request.frames is None else request.frames
    if most < 1:
        raise ImportRefused(f"At least 1 frame of a clip must be shown, not {most}.")
    most = most if request.image is None else 1
    track = read_track(request.coefficients, most).coefficients
    if request.image is not None:
        return [read_image(request.image)], track
    assert request.clip is not None
    frames = list(read_clip(request.clip, most))
    if len(frames) > len(track):
        raise ImportRefused(
            f"There are coefficients of {len(track)} frames and {len(frames)} frames of the clip."
        )
    return frames, track[: len(frames)]


def _faces(request: Request, unfolded: Unfolded, frames: Sequence[U8], track: F32) -> list[Face]:
    """Where the face lies in each frame."""
    points: Sequence[Any] = [()] * len(frames)
    if frames[0].shape[:2] != (SIZE, SIZE):  # otherwise they are crops already
        if request.image is not None:
            points = [landmarks_of(request, frames[0], str(request.image))]
        elif request.find_points is not None:
            found = request.find_points(np.stack(frames))
            points = [() if one is None else one for one in found]
    return [
        placed(frame, seen, landmarks(unfolded.model, row))
        for frame, seen, row in zip(frames, points, track, strict=True)
    ]


def _heads(made: Draft, track: F32, request: Request) -> None:
    """What the head may do: the clip's own poses, one of them, or those of another clip."""
    heads = ["own", "still"] if len(track) > 1 else ["still"]
    if request.drive:
        driven = [_driven(read_track(path).coefficients, track) for path in request.drive]
        made.parts["track.npy"] = dump_array(np.concatenate(driven))
        made.stages["background"]["parts"]["track"] = "track.npy"
        heads.append("driven")
    if len(heads) > 1:
        made.controls["heads"] = heads


def _driven(other: F32, own: F32) -> F32:
    """The poses of another clip, f32[U, 6], moved so that their mean is the person's own."""
    poses = pose_of(other)
    return np.asarray(poses - poses.mean(0) + pose_of(own).mean(0), np.float32)


def _mouth(points: F32) -> tuple[int, int, int, int]:
    low = np.floor(points[MOUTH].min(0)).astype(int) - MARGIN
    high = np.ceil(points[MOUTH].max(0)).astype(int) + MARGIN
    x0, y0 = (int(value) for value in low.clip(0, SIZE - 1))
    x1, y1 = (int(value) for value in high.clip(1, SIZE))
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _planes() -> F32:
    """Two drawings such as the renderer is shown, f32[2, 6, 224, 224]."""
    y, x = np.mgrid[:SIZE, :SIZE] / np.float32(SIZE - 1)
    outside = (x - 0.5) ** 2 + (y - 0.5) ** 2 > 0.16
    one = np.stack((x * ~outside, y * ~outside, outside, x, y, 1.0 - x))
    return np.stack((one, one[:, ::-1])).astype(np.float32)


def _stages() -> dict[str, Any]:
    """The stages that do not depend on what moves the face."""
    return {
        "geometry": {"op": "mesh@1", "params": {"graph": "mesh"}},
        "raster": {
            "op": "attributes@1",
            "params": {
                "size": SIZE,
                "attributes": 2,
                "over": "mask+frame",
                "scale": 1.0 / 255.0,
                "offset": 0.0,
                "flip": True,
                "diagonal": True,
            },
            "parts": {"triangles": "triangles.npy"},
        },
        "render": {"op": "graph@2", "params": {"graph": "face"}},
        "composite": {"op": "paste@1", "parts": {"mask": "mask.npy"}},
        "background": {
            "op": "footage@1",
            "parts": {"video": VIDEO, "pose": "pose.npy", "place": "place.npy"},
        },
    }
