"""Texture, teeth and mask of the presenter."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.finetune import presenter_clip
from visavis.engines.geometry import LinearGeometry
from visavis.engines.i420 import planes_of
from visavis.engines.planes import Planes
from visavis.engines.walk import FrameChoice
from visavis.finetune.parts import ANCHOR, SIZE, PictureParts, picture_parts
from visavis.finetune.texture import crop_mask, neutral_frame
from visavis.models.renderer import PLANES


@pytest.fixture(scope="module")
def parts() -> PictureParts:
    appearance = presenter_clip.appearance()
    return picture_parts(presenter_clip.frames(), presenter_clip.geometry(), appearance)


def test_the_neutral_frame_is_silent() -> None:
    geometry = presenter_clip.geometry()
    assert geometry.aperture[neutral_frame(geometry)] < 0.01 < geometry.aperture.max()


def test_the_mask_does_not_depend_on_the_mouth() -> None:
    geometry = presenter_clip.geometry()
    random = np.random.default_rng(0)
    other = dataclasses.replace(
        geometry,
        coefficients=random.normal(0, 3, geometry.coefficients.shape).astype(np.float32),
        aperture=random.random(len(geometry.aperture)).astype(np.float32),
    )
    assert np.array_equal(crop_mask(geometry, ANCHOR, SIZE), crop_mask(other, ANCHOR, SIZE))


def test_the_mask_covers_lips_and_jaw_in_every_frame(parts: PictureParts) -> None:
    geometry = presenter_clip.geometry()
    stage = LinearGeometry({}, parts.geometry)
    mask = np.asarray(parts.raster["mask"])
    chin = [152, 148, 377]
    for index in range(0, len(geometry.pose), 7):
        points = stage.vertices(geometry.coefficients[index][None], [choice(index)])[0]
        for vertex in [*geometry.lips.tolist(), *chin]:
            x, y = points[vertex, :2].astype(int)
            assert mask[y, x] == 255
    edge = np.abs(np.diff(mask.astype(int), axis=0)).max()
    assert 0 < edge < 60  # feathered: no step that could be seen


def choice(index: int) -> FrameChoice:
    pose = presenter_clip.geometry().pose[index]
    x, y = (pose[:2] @ np.array([*ANCHOR, 1.0], np.float32)).tolist()
    left, top = (2 * round((value - SIZE / 2) / 2) for value in (x, y))
    return FrameChoice((index,), 0.0, pose, (left, top))


def draw(parts: PictureParts, index: int) -> np.ndarray:
    geometry = presenter_clip.geometry()
    out = np.zeros((1, PLANES, SIZE // 2, SIZE // 2), np.float32)
    asked = geometry.coefficients[index][None]
    points = LinearGeometry({}, parts.geometry).vertices(asked, [choice(index)])
    frame = presenter_clip.frames()[index]
    Planes(parts.raster_params, parts.raster).draw(points, asked, [choice(index)], [frame], out)
    return out[0]


def test_in_its_own_frame_the_texture_is_the_frame(parts: PictureParts) -> None:
    index = neutral_frame(presenter_clip.geometry())
    made = draw(parts, index)
    left, top = choice(index).origin
    luma = planes_of(presenter_clip.frames()[index])[0][top : top + SIZE, left : left + SIZE]
    hidden = made[24] > 0
    difference = made[0] * 128 + 128 - luma[::2, ::2]
    assert (made[31][hidden] == 1).mean() > 0.99  # the mesh and its rings fill what is hidden
    assert np.abs(difference[hidden & (made[31] == 1)]).mean() < 1.0


def test_teeth_are_where_the_mouth_is_open(parts: PictureParts) -> None:
    """In the widest open frame, the chart is like what that frame shows between the lips."""
    index = int(presenter_clip.geometry().aperture.argmax())
    made = draw(parts, index)
    left, top = choice(index).origin
    luma = planes_of(presenter_clip.frames()[index])[0][top : top + SIZE, left : left + SIZE]
    inside = made[25] * 12 > 3
    assert inside.sum() > 20
    real = luma[::2, ::2][inside].astype(float)
    chart, texture = (np.abs(made[i][inside] * 128 + 128 - real).mean() for i in (6, 0))
    assert chart < 0.5 * texture  # the texture has no teeth
