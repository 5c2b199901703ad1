"""Importing `davs`: one picture that talks, from a voice or from another's mouth.

The person file holds one network that makes the face, the published decoder with this person
folded in, and what moves it; see `docs/systems/davs.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from visavis.engines.cepstra import SYNCNET
from visavis.engines.npy import dump_array
from visavis.export.imports.crops import feather
from visavis.export.imports.davs_networks import (
    FaceGraph,
    MotionGraph,
    Networks,
    fold,
    read_networks,
)
from visavis.export.imports.davs_picture import SIZE, Aligned, align, as_input, is_aligned, seen
from visavis.export.imports.davs_voice import LOOKAHEAD_MS, heard, performance
from visavis.export.imports.draft import VIDEO, Draft
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.landmarks import landmarks_of
from visavis.export.imports.lip_map import LipMap, heard_lips
from visavis.export.imports.native_motion import native_motion
from visavis.export.imports.onnx_graph import exported
from visavis.export.imports.pictures import read_image
from visavis.export.imports.request import Request
from visavis.export.imports.voice import read_voice
from visavis.models.systems.davs import tune

__all__ = ["draft"]

F32 = NDArray[np.float32]
MOST_STEPS = 100  # of tuning
NOTICES = (
    "The weights are those of Talking-Face-Generation-DAVS by Hang Zhou et al. (AAAI 2019), whose "
    "program is under the MIT licence; they were trained on the LRW data set, whose own terms "
    "allow research only. They may have been tuned to the person's picture since."
)


@torch.no_grad()
def draft(request: Request, say: Callable[[str], None]) -> Draft:
    """Make a person of a checkpoint and a picture.

    Args:
        request: `checkpoints` is the published file; `image` the picture, with `points` unless it
            is aligned. `motion` "native" needs `speech`; `drive` are clips whose mouths can be
            played; `tune` steps of fitting, 5 where None.
        say: called with a sentence before each step.

    Raises:
        ImportRefused: something is missing or cannot be used.
    """
    image, steps = request.image, tune.STEPS if request.tune is None else request.tune
    if image is None:
        raise ImportRefused("davs makes a person of a picture: give one with --image.")
    if not 0 <= steps <= MOST_STEPS:
        raise ImportRefused(f"The steps of tuning must be 0 to {MOST_STEPS}, not {steps}.")
    if request.motion == "native" and request.speech is None:
        raise ImportRefused(
            "davs shows no lips by which to know what its numbers do; they are learnt from how it "
            "hears speech: give a minute or more of anybody's with --speech, or take its own "
            "motion with --motion original."
        )
    say("Reading the checkpoint.")
    networks = read_networks(request)
    aligned = _face(request, read_image(image), image.name, say)
    # What can be refused comes before what takes long.
    lips = _heard_lips(networks, request, say) if request.motion == "native" else None
    performances = _performances(networks, request, say)
    losses = _tuned(networks, aligned, steps, say)
    say("Folding the person into the decoder.")
    face = FaceGraph(fold(networks, as_input(aligned.face)))
    made = Draft(
        stages=_stages(),
        graphs={},
        parts={
            "pose.npy": dump_array(np.zeros((1, 1), np.float32)),
            "place.npy": dump_array(aligned.place[None]),
            "mask.npy": dump_array(feather(SIZE)),
        },
        frames=[aligned.frame],
        lookahead_ms=LOOKAHEAD_MS,
        mouth=tune.MOUTH,
        notices=NOTICES,
        made_by={"settings": {"motion": request.motion, "tune": steps}},
    )
    if losses:
        made.made_by["metrics"] = {"tuning": {"first": losses[0], "last": losses[-1]}}
    _put(made, request, "face", face, {"coefficients": (networks.feature,)}, ["y", "u", "v"])
    if lips is not None:
        native = native_motion(lips)
        made.stages.update(native.stages)
        made.graphs.update(native.graphs)
        made.parts.update(native.parts)
        made.lookahead_ms = native.lookahead_ms
        made.made_by["settings"]["lips"] = lips.about
    else:
        motion = MotionGraph(networks.sound)
        _put(made, request, "motion", motion, {"features": (20, 12)}, ["coefficients"])
        made.stages["audio"] = {"op": "cepstra@1", "params": dict(SYNCNET)}
        made.stages["motion"] = {
            "op": "windowed@1",
            "params": {"graph": "motion", "lookaheads": [LOOKAHEAD_MS]},
        }
    if performances:
        files = [f"performance{place}.npy" for place in range(len(performances))]
        for file, mouths in zip(files, performances.values(), strict=True):
            made.parts[file] = dump_array(mouths)
        made.controls["performances"] = {"names": list(performances), "parts": files}
    return made


def _face(
    request: Request, picture: NDArray[np.uint8], what: str, say: Callable[[str], None]
) -> Aligned:
    """Cut the face out; a picture that the original's program made is one already."""
    if is_aligned(picture) and not request.points and seen(request, [picture]) is None:
        say(f"There is no tracker: {what} is taken as davs's own program aligned it.")
        return align(picture, ())
    return align(picture, landmarks_of(request, picture, what))


def _tuned(
    networks: Networks, aligned: Aligned, steps: int, say: Callable[[str], None]
) -> list[float]:
    """Fit the networks to the picture, in place; the losses on the way."""
    if not steps:
        return []
    say(f"Tuning to the picture, {steps} steps.")
    picture = as_input(aligned.face)
    mouth = networks.mouth(picture)
    with torch.enable_grad():
        losses = tune.tune(networks.identity, networks.decoder, picture, mouth, steps=steps)
    if not np.isfinite(losses).all():
        raise ImportRefused("Tuning to the picture does not converge: the loss is not finite.")
    return losses


def _heard_lips(networks: Networks, request: Request, say: Callable[[str], None]) -> LipMap:
    """How our motion network is to move the mouth."""
    assert request.speech is not None
    say("Learning what the system's numbers do from how it hears speech.")
    voice = read_voice(request.speech)
    return heard_lips(heard(networks, voice), voice)


def _performances(
    networks: Networks, request: Request, say: Callable[[str], None]
) -> dict[str, F32]:
    """The mouths of clips, by name, to be played instead of the voice's."""
    names = [clip.stem for clip in request.drive]
    if len(set(names)) != len(names):
        raise ImportRefused("Two clips to be played have the same name; rename one.")
    return {clip.stem: performance(networks, clip, request, say) for clip in request.drive}


def _put(
    made: Draft,
    request: Request,
    name: str,
    module: nn.Module,
    inputs: dict[str, tuple[int, ...]],
    outputs: list[str],
) -> None:
    entry, parts = exported(name, module, inputs=inputs, outputs=outputs, half=request.half)
    made.graphs[name] = entry
    made.parts.update(parts)
    made.modules[name] = (module, list(inputs), outputs)


def _stages() -> dict[str, Any]:
    """The stages that do not depend on what moves the mouth."""
    return {
        "geometry": {"op": "none@1"},
        "raster": {"op": "none@1"},
        "render": {"op": "graph@2", "params": {"graph": "face"}},
        "composite": {"op": "paste@1", "parts": {"mask": "mask.npy"}},
        "background": {
            "op": "footage@1",
            "parts": {"video": VIDEO, "pose": "pose.npy", "place": "place.npy"},
        },
    }
