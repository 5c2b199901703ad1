"""What moves the face of a person of `style_avatar`: the system's own networks, or ours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.cepstra import DEEPSPEECH
from visavis.engines.npy import dump_array
from visavis.export.imports.coefficients import read_track
from visavis.export.imports.draft import Draft
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.lip_map import face_lips
from visavis.export.imports.native_motion import native_motion
from visavis.export.imports.request import Request
from visavis.export.imports.style_avatar_codes import Styles, read_styles
from visavis.export.imports.style_avatar_face import EXPRESSIONS, Unfolded
from visavis.export.imports.style_avatar_networks import Networks, put_graph
from visavis.export.imports.voice import read_voice
from visavis.models.systems.headpose.face import shape
from visavis.models.systems.style_avatar.live import WHOLE_MS, WINDOW, LiveMotion, place_of
from visavis.models.systems.style_avatar.motion import STYLE

__all__ = ["original_motion", "own_motion"]

F32 = NDArray[np.float32]

FEATURES = DEEPSPEECH["coefficients"] + 1
AVERAGE = "average"  # what a style of zeros is: that of the training clips
RECOGNIZER_NOTICE = " Speech is heard by Mozilla DeepSpeech 0.9, under the MPL 2.0."


def original_motion(
    made: Draft, networks: Networks, request: Request, say: Callable[[str], None]
) -> None:
    """Let the system's own motion network move the face, in a style."""
    if networks.motion is None or networks.recognizer is None:
        raise ImportRefused(
            "The original motion takes the motion network (backbone.pkl) and DeepSpeech's "
            "checkpoint (best_dev-1466475.index and .data-00000-of-00001); give both, or take our "
            "own motion with --motion native."
        )
    lookahead_ms = WHOLE_MS if request.lookahead_ms is None else request.lookahead_ms
    try:
        place = place_of(lookahead_ms)
    except ValueError as error:
        raise ImportRefused(str(error)) from None
    if lookahead_ms < WHOLE_MS:
        say(f"Below {WHOLE_MS} ms the end of what the network hears is made up.")
    styles = Styles((AVERAGE,), np.zeros((1, STYLE), np.float32))
    if request.styles:
        styles = read_styles(request.styles, lambda path: read_track(path).coefficients)
    live = LiveMotion(networks.recognizer, networks.motion, place).eval()
    states = {f"state_{name}": size for name, size in live.state_shapes().items()}
    pairs = [(name, f"next_{name}") for name in states]
    put_graph(
        made,
        "motion",
        live,
        {"features": (WINDOW, FEATURES), "style": (STYLE,), **states},
        ["coefficients", *(after for _, after in pairs)],
        half=request.half,
        state=pairs,
    )
    made.stages["audio"] = {"op": "cepstra@1", "params": {**DEEPSPEECH, "energy": True}}
    made.stages["motion"] = {
        "op": "windowed@1",
        "params": {"graph": "motion", "lookaheads": [lookahead_ms], "preroll": "run"},
    }
    made.parts["styles.npy"] = dump_array(styles.codes)
    made.controls["styles"] = {"names": list(styles.names), "codes": "styles.npy", "default": 0}
    made.lookahead_ms = lookahead_ms
    made.notices += RECOGNIZER_NOTICE


def own_motion(
    made: Draft, unfolded: Unfolded, track: F32, request: Request, say: Callable[[str], None]
) -> None:
    """Let our own motion network move the face."""
    if request.styles:
        raise ImportRefused("Styles belong to the original motion; our own has none.")
    if request.lookahead_ms is not None:
        raise ImportRefused("A look-ahead is chosen for the original motion; our own has several.")
    model = unfolded.model
    identity = torch.from_numpy(track[0, :80])

    def points(expressions: F32) -> F32:
        rows = torch.from_numpy(np.asarray(expressions, np.float32))
        faces = [shape(model, identity, row)[model.landmarks] for row in rows]
        return torch.stack(faces).numpy()

    say("Finding out which expressions move the lips.")
    voice = None if request.speech is None else read_voice(request.speech)
    own = track[:, EXPRESSIONS]
    single = len(own) == 1
    lips = face_lips(
        points,
        len(model.expression),
        rest=own[0] if single else None,
        coefficients=None if single else own,
        voice=None if single else voice,
    )
    motion = native_motion(lips)
    made.stages.update(motion.stages)
    made.graphs.update(motion.graphs)
    made.parts.update(motion.parts)
    made.lookahead_ms = motion.lookahead_ms
    made.made_by["lips"] = lips.about
