"""Importing `rhythmic`: a face of a few reference pictures, drawn after a sketch of its landmarks.

The person file holds one network, the published generator with this person's references in it, and
how landmarks become a sketch; see `docs/systems/rhythmic.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.engines.npy import dump_array
from visavis.engines.sketch import LANDMARKS, posed
from visavis.export.imports.crops import feather
from visavis.export.imports.draft import VIDEO, Draft
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.lip_map import face_lips
from visavis.export.imports.native_motion import native_motion
from visavis.export.imports.onnx_graph import ToI420, exported
from visavis.export.imports.request import Request
from visavis.export.imports.rhythmic_footage import (
    PUBLISHED,
    Footage,
    read_footage,
    read_references,
    sketch_of,
)
from visavis.export.imports.rhythmic_head import followed, moved_head
from visavis.export.imports.rhythmic_networks import HeadNetworks, read_networks
from visavis.export.imports.rhythmic_track import read_poses
from visavis.export.imports.voice import read_voice
from visavis.models.systems.rhythmic.person import PersonGenerator

__all__ = ["OWN", "PersonGraph", "draft"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

# Landmarks that a voice says nothing of and that move: brows and eyes.
OWN = np.array([*range(17, 27), *range(36, 48)], np.int32)
LIPS = slice(48, 68)
MARGIN = 4.0 / PUBLISHED  # of the crop, around the mouth
LIP_PIXELS = 5.0 / PUBLISHED  # of the crop, by how much a landmark of a mouth usually moves
TAPS = 5  # frames over which the published loader smooths landmarks
NOTICES = (
    "The weights are those of Talking-head Generation with Rhythmic Head Motion by Lele Chen et "
    "al. (ECCV 2020), whose program is under NVIDIA's Source Code License (1-way commercial); they "
    "were trained on VoxCeleb2, whose own terms hold besides."
)


class PersonGraph(nn.Module):
    """From a sketch to the crop in Y, U and V.

    Args:
        person: the generator with the person's references.
    """

    def __init__(self, person: PersonGenerator) -> None:
        super().__init__()
        self.person = person
        self.bytes = ToI420()

    def forward(self, planes: Tensor, pose: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return y uint8[N, S, S], u and v uint8[N, S/2, S/2] of planes f32[N, 1, S, S]."""
        crop: tuple[Tensor, Tensor, Tensor] = self.bytes(self.person(planes, pose) * 0.5 + 0.5)
        return crop


@torch.no_grad()
def draft(request: Request, say: Callable[[str], None], *, size: int = PUBLISHED) -> Draft:
    """Make a person of a checkpoint and references.

    Args:
        request: `checkpoints`: *_net_G.pth, and perhaps RotateAudio's; `clip` with `coefficients`,
            or `image` with landmarks; `references`, pictures with landmarks beside them; `speech`,
            the sound of a clip that has none; `drive`, one *_rt.npy whose head is followed.
        say: called with a sentence before each step.
        size: S, of the crop in pixels.

    Raises:
        ImportRefused: something is missing or cannot be used.
    """
    if request.motion != "native":
        raise ImportRefused(
            "The network by which rhythmic makes landmarks of a voice was never published; its "
            "lips are moved by our own motion (--motion native)."
        )
    say("Reading the checkpoints.")
    networks = read_networks(request)
    footage = read_footage(request, size)
    say("Computing what the references say of the person.")
    references = read_references(request, networks.shots, footage, size, say)
    graph = PersonGraph(PersonGenerator(networks.generator, references)).eval()
    voice = _voice_of(request, say)
    track = _track(request, networks.head, footage, voice, size)
    own = OWN if len(footage.frames) > 1 else OWN[:0]
    pose = _poses(_calmed(footage.pose), footage.front, own)
    made = Draft(
        stages=_stages(size, drawn_own=bool(len(own)), tracked=track is not None),
        graphs={},
        parts={
            "pose.npy": dump_array(pose),
            "place.npy": dump_array(footage.place),
            "mask.npy": dump_array(
                np.full((size, size), 255, np.uint8) if footage.whole else feather(size)
            ),
        },
        frames=footage.frames,
        lookahead_ms=0,
        mouth=_mouth(footage, size),
        notices=NOTICES,
        made_by={
            "settings": {
                "motion": request.motion,
                "half": request.half,
                "references": len(references.images),
                "layout": "newer" if networks.shots else "older",
                "head": "made" if networks.head else "followed" if track is not None else "own",
            }
        },
    )
    if len(own):
        made.parts["own.npy"] = dump_array(own)
    if track is not None:
        made.parts["track.npy"] = dump_array(_poses(track, footage.front, own))
    _heads(made, footage, track)
    say("Exporting the network.")
    _render(made, graph, footage, pose, size, half=request.half)
    _lips(made, footage, voice, size, say)
    return made


def _voice_of(request: Request, say: Callable[[str], None]) -> F32 | None:
    """The sound of the clip, from a file of its own or from the clip."""
    if request.clip is None:
        return None
    if request.speech is not None:
        return read_voice(request.speech)
    try:
        return read_voice(request.clip)
    except ImportRefused:
        say("The clip has no sound: the lips follow the geometry of the face alone.")
        return None


def _track(
    request: Request,
    networks: HeadNetworks | None,
    footage: Footage,
    voice: F32 | None,
    size: int,
) -> F64 | None:
    """Poses f64[U, 6] of a head that is not the footage's own; None where there are none."""
    if networks is None and not request.drive:
        return None
    if networks is not None and request.drive:
        raise ImportRefused(
            "A head moves by RotateAudio's networks or after a clip's (--drive); give one of them."
        )
    scale = np.array([1.0, 1.0, 1.0, *[size / PUBLISHED] * 3])
    if networks is not None:
        if voice is None:
            raise ImportRefused(
                "RotateAudio's networks move a head by the clip's voice, and there is none: give "
                "it with --speech."
            )
        return np.asarray(moved_head(networks, footage.pose / scale, voice) * scale)
    if len(request.drive) > 1:
        raise ImportRefused(f"One head can be followed; {len(request.drive)} were given.")
    if not np.ptp(footage.front[..., 2]):
        raise ImportRefused(
            "A head can be turned only where its landmarks have a depth: give landmarks [68, 3]."
        )
    track = read_poses(request.drive[0]) * scale
    return followed(_calmed(track), np.median(footage.pose, axis=0))


def _calmed(pose: F64) -> F64:
    """The mean of five frames, as the published loader smooths landmarks."""
    if len(pose) < TAPS:
        return pose
    padded = np.pad(pose, ((TAPS // 2, TAPS // 2), (0, 0)), mode="edge")
    return np.asarray(sum(padded[k : k + len(pose)] for k in range(TAPS)) / TAPS)


def _poses(pose: F64, front: F64, own: NDArray[np.int32]) -> F32:
    """What `sketch@1` takes of a frame: the pose, and landmarks of the footage, forth and back."""
    forth = np.concatenate((np.arange(len(front)), np.arange(len(front))[::-1]))
    eyes = front[forth[np.arange(len(pose)) % len(forth)]][:, own].reshape(len(pose), -1)
    return np.concatenate((pose, eyes), axis=1).astype(np.float32)


def _mouth(footage: Footage, size: int) -> tuple[int, int, int, int]:
    lips = posed(footage.front[0], footage.pose[0])[LIPS, :2]
    margin = MARGIN * size
    low = np.clip(np.floor(lips.min(0) - margin), 0, size - 2).astype(int)
    high = np.clip(np.ceil(lips.max(0) + margin), low + 1, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _heads(made: Draft, footage: Footage, track: F64 | None) -> None:
    heads = ["own"] if len(footage.frames) > 1 else []
    if track is not None:
        heads.append("driven")
    if heads:
        made.controls["heads"] = [*heads, "still"]


def _render(
    made: Draft, graph: PersonGraph, footage: Footage, pose: F32, size: int, *, half: bool
) -> None:
    inputs: dict[str, tuple[int, ...]] = {"planes": (1, size, size)}
    frames = [0, len(footage.points) - 1]
    samples: dict[str, NDArray[np.floating[Any]]] = {
        "planes": np.stack([sketch_of(footage.points[k], size) for k in frames])
    }
    if graph.person.poses:
        inputs["pose"] = (pose.shape[1],)
        samples["pose"] = pose[frames]
    outputs = ["y", "u", "v"]
    made.graphs["face"], files = exported(
        "face", graph, inputs=inputs, outputs=outputs, half=half, samples=samples
    )
    made.parts.update(files)
    made.modules["face"] = (graph, list(inputs), outputs)


def _lips(
    made: Draft, footage: Footage, voice: F32 | None, size: int, say: Callable[[str], None]
) -> None:
    """Let our own motion network move the landmarks of the lips and the jaw."""
    say("Fitting our own motion to the person's landmarks.")
    tracked = footage.front.reshape(-1, 3 * LANDMARKS).astype(np.float32)
    moving = len(tracked) > 1
    lips = face_lips(
        lambda rows: rows.reshape(-1, LANDMARKS, 3),
        3 * LANDMARKS,
        rest=None if moving else tracked[0],
        scale=np.full(3 * LANDMARKS, LIP_PIXELS * size, np.float32),
        coefficients=tracked if moving else None,
        voice=voice,
    )
    motion = native_motion(lips)
    made.stages.update(motion.stages)
    made.graphs.update(motion.graphs)
    made.parts.update(motion.parts)
    made.lookahead_ms = motion.lookahead_ms
    made.made_by["lips"] = lips.about


def _stages(size: int, *, drawn_own: bool, tracked: bool) -> dict[str, Any]:
    """The stages that do not depend on what moves the mouth."""
    background = {"video": VIDEO, "pose": "pose.npy", "place": "place.npy"}
    return {
        "geometry": {"op": "none@1"},
        "raster": {
            "op": "sketch@1",
            "params": {"size": size},
            "parts": {"own": "own.npy"} if drawn_own else {},
        },
        "render": {"op": "graph@2", "params": {"graph": "face"}},
        "composite": {"op": "paste@1", "parts": {"mask": "mask.npy"}},
        "background": {
            "op": "footage@1",
            "parts": background | ({"track": "track.npy"} if tracked else {}),
        },
    }
