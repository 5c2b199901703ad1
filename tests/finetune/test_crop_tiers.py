"""Larger crops: how a video is read in for them, and a person of 256 from clip to frame."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from tests.engines import tiny_person
from tests.finetune import presenter_clip
from tests.finetune.test_check_faces import samples
from tests.finetune.test_check_probe import GOOD
from visavis.engines.person import read_person
from visavis.engines.pipeline import Pipeline, Work
from visavis.export.native import person_bytes
from visavis.finetune.appearance.layout import open_layout
from visavis.finetune.appearance.model import fit_appearance
from visavis.finetune.check.faces import face_findings
from visavis.finetune.check.plan import make_plan
from visavis.finetune.geometry import Geometry
from visavis.finetune.parts import ANCHOR, PictureParts, picture_parts
from visavis.finetune.person import write_folder
from visavis.finetune.renderer import train as training
from visavis.finetune.renderer.adversary import _around_lips
from visavis.finetune.renderer.dataset import NONE, Examples, calibration
from visavis.finetune.renderer.evaluate import luma
from visavis.finetune.texture import posed, visible_triangles
from visavis.models.renderer import PLANES, Renderer

SIDE = 680  # of 512, as 256 is of 192, a multiple of 8
LARGER = SIDE / 512


@pytest.mark.parametrize(
    ("crop", "side", "wanted"), [(192, 512, 128.0), (256, 680, 128 * 4 / 3), (384, 1024, 256.0)]
)
@pytest.mark.parametrize(("coded", "eyes"), [((1920, 1080), 220), ((3840, 2160), 420)])
def test_face_and_frame_grow_with_the_crop(
    crop: int, side: int, wanted: float, coded: tuple[int, int], eyes: float
) -> None:
    faces = [s.faces[0] * eyes / 131 + [coded[0] / 2 - 1.9 * eyes, 20, 0] for s in samples()]
    seen = tuple(
        replace(s, faces=(face.astype(np.float32),))
        for s, face in zip(samples(), faces, strict=True)
    )
    plan = make_plan(replace(GOOD, coded=coded), seen, crop)
    assert plan is not None and plan.eyes == pytest.approx(wanted, rel=1e-3)
    assert (plan.view.out_width, plan.view.out_height) == (side, side)
    assert face_findings(seen, plan, crop) == []


@pytest.mark.parametrize(
    ("crop", "eyes", "level", "said"),
    [
        (256, 70, "refused", "80 are needed and 140 are good for a crop of 256"),
        (256, 120, "warning", "times and stays soft; 140 are good for a crop of 256"),
        (256, 150, None, ""),
        (384, 110, "refused", "120 are needed"),
        (384, 200, "warning", "or take a crop of 192"),
    ],
)
def test_a_face_too_small_for_the_crop_is_said(
    crop: int, eyes: float, level: str | None, said: str
) -> None:
    seen = tuple(replace(s, faces=(s.faces[0] * eyes / 131,)) for s in samples())
    plan = make_plan(replace(GOOD, coded=(1920, 1080)), seen, crop)
    assert plan is not None and plan.scale <= 1.8
    found = [f for f in face_findings(seen, plan, crop) if f.kind == "small-face"]
    assert [f.level for f in found] == ([level] if level else [])
    assert all(said in f.text for f in found)


def enlarged(frame: np.ndarray) -> np.ndarray:
    picture = av.VideoFrame.from_ndarray(frame, "yuv420p")
    return np.asarray(picture.reformat(SIDE, SIDE, threads=1).to_ndarray(), np.uint8)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.stack([enlarged(frame) for frame in presenter_clip.frames()])


@pytest.fixture(scope="module")
def geometry() -> Geometry:
    own = presenter_clip.geometry()
    return replace(own, pose=own.pose * np.float32(LARGER))


@pytest.fixture(scope="module")
def parts(frames: np.ndarray, geometry: Geometry) -> PictureParts:
    rows = slice(None, None, 3)
    layout = open_layout(geometry, visible_triangles(geometry), ANCHOR, 256)
    points = [posed(geometry, i)[:, :2].astype(np.float32) for i in range(0, len(frames), 3)]
    made = fit_appearance(frames[rows], points, geometry.coefficients[rows], layout)
    return picture_parts(frames, geometry, made)


@pytest.fixture(scope="module")
def examples(frames: np.ndarray, geometry: Geometry, parts: PictureParts) -> Examples:
    rows = np.arange(0, len(frames), 3)
    return Examples(frames[rows], geometry.of(rows), parts, whole=geometry)


def test_the_parts_are_those_of_a_larger_picture(parts: PictureParts) -> None:
    small = picture_parts(
        presenter_clip.frames(), presenter_clip.geometry(), presenter_clip.appearance()
    )
    assert small.raster_params == {"lip_reach": 12.0}  # as ever
    assert parts.raster_params == {"lip_reach": 16.0} and parts.walk_params["size"] == 256
    for name in ("upper", "texture"):
        larger, usual = (np.asarray(p.raster[name]).shape for p in (parts, small))
        assert larger[1] / usual[1] == pytest.approx(LARGER, rel=0.03)
    # The mask is the same one, its feather wider: resampled, it differs by little.
    mask, usual = (np.asarray(p.raster["mask"], np.float64) for p in (parts, small))
    at = ((np.arange(192) + 0.5) * 256 / 192).astype(int)
    assert np.abs(mask[np.ix_(at, at)] - usual).mean() < 3.0


def test_a_step_of_training(examples: Examples, tmp_path: Path) -> None:
    planes, pictures = examples.batch(np.array([3]), np.random.default_rng(0), NONE)
    assert planes.shape == (1, PLANES, 128, 128) and luma(pictures).shape == (1, 256, 256)
    told: list[float] = []
    plan = training.Plan(2, adversarial_from=1)
    training.train(
        examples, tmp_path, plan, widths=(4, 8), tell=lambda progress: told.append(progress.loss)
    )
    assert len(told) == 2 and np.isfinite(told).all()


@pytest.mark.parametrize(("half", "side"), [(96, 48), (128, 64), (192, 96), (24, 24)])
def test_the_discriminator_s_window_grows_with_the_crop(half: int, side: int) -> None:
    planes = torch.full((1, PLANES, half, half), -1.0)
    planes[:, 25:29, half // 2, half // 2] = 1.0
    cut = _around_lips(planes, planes)
    assert cut.shape == (1, PLANES, side, side)
    assert cut[0, 25].max() == 1.0


def test_a_person_of_256_makes_frames(
    frames: np.ndarray,
    geometry: Geometry,
    parts: PictureParts,
    examples: Examples,
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    about = {
        "name": "large",
        "display_name": "Large",
        "consent": {"subject": "synthetic person"},
        "licence": "Apache-2.0",
        "made_by": {"tool": "tests"},
    }
    planes = calibration(examples, 3)
    folder = tmp_path / "person"
    write_folder(
        folder, frames, geometry, parts, planes, Renderer((4, 8)), about=about, notices="none"
    )
    tiny = tiny_person.tiny_person()
    (folder / "motion").mkdir()
    stages = {stage: tiny.manifest["stages"][stage] for stage in ("audio", "motion")}
    graph = tiny.manifest["graphs"]["motion"]
    document = {"stages": stages, "graphs": {"motion": graph}}
    (folder / "motion" / "stage.json").write_text(json.dumps(document))
    for name, part in tiny.parts.items():
        if name.startswith("motion"):
            (folder / "motion" / Path(name).name).write_bytes(part)
    person = read_person(person_bytes(folder, compared=False))
    assert (person.width, person.height) == (SIDE, SIDE)
    pipeline = Pipeline(person, variant="fp32")
    work = Work(pipeline.initial_state(0), np.zeros(1600, np.float32))
    pipeline.advance([work])
    assert work.error is None and work.crop is not None and work.i420 is not None
    assert work.crop[0].shape == (256, 256) and work.i420.shape == (SIDE * 3 // 2, SIDE)
