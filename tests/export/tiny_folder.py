"""A trained folder of the tiny person: small torch networks; all else as the engine has it."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tests.engines import tiny_person
from visavis.engines.pipeline import Pipeline, Work
from visavis.export.motion import write_motion
from visavis.export.native import save_renderer
from visavis.models.motion import Motion, MotionConfig
from visavis.models.renderer import Renderer

ABOUT = {
    "name": "made",
    "display_name": "Made",
    "consent": {"subject": "synthetic person"},
    "licence": "Apache-2.0",
    "made_by": {"tool": "tests"},
}
LOOKAHEADS = (40, 80, 120)


def renderer(seed: int = 3) -> Renderer:
    """Weights that make a lively picture: an untrained network would add nothing."""
    torch.manual_seed(seed)
    made = Renderer((8, 16))
    torch.nn.init.normal_(made.leave.weight, std=0.05)
    for block in [made.middle, *made.after]:
        torch.nn.init.normal_(block.second.weight, std=0.03)
    return made.eval()


@functools.cache
def motion() -> Motion:
    torch.manual_seed(0)
    made = Motion(MotionConfig(stem=16, width=24, lookaheads=LOOKAHEADS)).eval()
    with torch.no_grad():
        # Sure of speech: behind a shut gate nothing would move.
        made.heads.bias.view(len(LOOKAHEADS), 2, 9)[..., 8] = 4.0
        made.heads.weight *= 4.0
    return made


def write_small_motion(folder: Path, coefficients: int) -> None:
    """Write `motion/` for a person of so many coefficients."""
    random = np.random.default_rng(1)
    parts = {
        name: random.normal(0, 0.1, coefficients).astype(np.float32)
        for name in ("rest", "closed", "liptooth")
    }
    parts["map"] = random.normal(0, 0.8, (coefficients, 6)).astype(np.float32)
    write_motion(motion(), folder, parts)


def write(place: Path) -> Path:
    """Write the folder."""
    tiny = tiny_person.tiny_person()
    for name, array in tiny.arrays.items():
        if not name.startswith("motion/"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            np.save(place / name, array, allow_pickle=False)
    for name in ("background.mp4", "poster.jpg"):
        (place / name).write_bytes(tiny.parts[name])
    (place / "preview.mp4").write_bytes(tiny.parts["background.mp4"])
    stages = tiny.manifest["stages"]
    picture = {"width": tiny.width, "height": tiny.height} | {
        stage: stages[stage]["params"] for stage in ("raster", "background")
    }
    (place / "picture.json").write_text(json.dumps(picture))
    (place / "about.json").write_text(json.dumps(ABOUT))
    (place / "notices.txt").write_text("none")
    write_small_motion(place / "motion", tiny_person.COEFFICIENTS)
    save_renderer(renderer(), place / "renderer.pt")
    np.save(place / "calibration.npy", planes().astype(np.float16), allow_pickle=False)
    return place


@functools.cache
def planes() -> NDArray[np.float32]:
    """What the tiny person's stages draw for a voice, f32[24, 38, 32, 32]."""
    kept: list[NDArray[np.float32]] = []
    pipeline = Pipeline(tiny_person.tiny_person(), variant="fp32")
    draw = pipeline._stages.render.draw

    def watch(planes: NDArray[np.float32], *rest: Any) -> object:
        kept.append(planes.copy())
        return draw(planes, *rest)

    pipeline._stages.render.draw = watch  # type: ignore[method-assign,assignment]
    state = pipeline.initial_state(1)
    for pcm in np.split(tiny_person.voice(2.0)[: 24 * 640], 24):
        work = Work(state, pcm)
        pipeline.advance([work])
        assert work.error is None
    return np.concatenate(kept)
