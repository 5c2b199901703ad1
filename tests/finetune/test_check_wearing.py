"""Glasses and beards: drawn onto the presenter, and what only looks like them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from tests.finetune import presenter_clip
from visavis.finetune.check import look as looking
from visavis.finetune.check.faces import face_findings
from visavis.finetune.check.findings import Finding
from visavis.finetune.check.look import Sample
from visavis.finetune.check.plan import Plan
from visavis.finetune.check.wearing import beard, bearded, bridge_line, wearing_findings

Change = Callable[[np.ndarray, np.ndarray], np.ndarray]

SIZE = 512
SHOWN = range(0, 96, 12)
FRAME = Plan((SIZE, SIZE), None, 1.0, 0, 0, SIZE, SIZE, 131.0, 500)  # type: ignore[arg-type]


def bare(picture: np.ndarray, face: np.ndarray) -> np.ndarray:
    return picture


def blended(picture: np.ndarray, share: np.ndarray, luma: np.ndarray | float) -> np.ndarray:
    """An I420 picture with something grey before it, float[512, 512] says how much."""
    out = picture.astype(np.float64)
    out[:SIZE] += share * (luma - out[:SIZE])
    chroma = out[SIZE:].reshape(2, SIZE // 2, SIZE // 2)
    chroma += share[::2, ::2] * (128.0 - chroma)
    return np.rint(out).clip(0, 255).astype(np.uint8)


def glasses(width: float, luma: float = 45.0, share: float = 0.85) -> Change:
    """Two rims and an arched bridge, `width` pixels thick where the eyes are 131 apart."""

    def draw(picture: np.ndarray, face: np.ndarray) -> np.ndarray:
        y, x = np.mgrid[:SIZE, :SIZE] + 0.5
        near = np.full((SIZE, SIZE), np.inf)
        middles = [face[[a, b], :2].mean(axis=0) for a, b in ((33, 133), (263, 362))]
        for middle in middles:
            # Rims are 54 by 42 pixels.
            ring = np.hypot((x - middle[0]) / 27, (y - middle[1] - 4) / 21)
            near = np.minimum(near, np.abs(ring - 1) * 24)
        inside = (x > middles[0][0] + 26) & (x < middles[1][0] - 26)
        nose = (middles[0] + middles[1]) / 2
        arch = nose[1] - 8 + 0.02 * (x - nose[0]) ** 2
        near = np.where(inside, np.minimum(near, np.abs(y - arch)), near)
        return blended(picture, share * (near < width / 2 + 0.5), luma)

    return draw


def hair(polygon: tuple[int, ...], down: float = 0.0, share: float = 0.7) -> Change:
    """Dark hair around some points of the face, with the lips left free."""

    def draw(picture: np.ndarray, face: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(3)
        where = np.zeros((SIZE, SIZE), bool)
        at = np.rint(face[list(polygon), :2] + (0, down)).astype(int)
        where[at[:, 1], at[:, 0]] = True
        where = ndimage.binary_dilation(where, iterations=10)
        lips = np.zeros((SIZE, SIZE), bool)
        red = np.rint(face[list(LIPS), :2]).astype(int)
        lips[red[:, 1], red[:, 0]] = True
        where &= ~ndimage.binary_dilation(lips, iterations=4)
        strands = share + 0.2 * ndimage.gaussian_filter(rng.standard_normal((SIZE, SIZE)), (2, 0.7))
        return blended(picture, (where * strands).clip(0, 1), 40.0)

    return draw


LIPS = (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 13, 14, 82, 312, 87, 317)
MOUSTACHE = (92, 165, 167, 164, 393, 391, 322)
CHIN = (18, 83, 313, 182, 406, 201, 421, 194, 418, 200, 199, 175, 208, 428)
FRINGE = (10, 109, 338, 151, 108, 337, 67, 297, 9, 107, 336)


@functools.cache
def seen(change: Change = bare) -> tuple[Sample, ...]:
    """The presenter, twice a second, with something drawn; what `look` makes of a picture."""
    out = []
    for k in SHOWN:
        face = presenter_clip.track().landmarks[k]
        picture = change(presenter_clip.frames()[k], face)
        line = bridge_line(picture[:SIZE].astype(np.float32), face)
        out.append(Sample(k / 25, (face,), looking._colours(picture, face), 0.65, 180.0, line))
    return tuple(out)


def found(samples: tuple[Sample, ...]) -> dict[str, Finding]:
    colours = [s.colours for s in samples if s.colours is not None]
    return {f.kind: f for f in wearing_findings([s.bridge for s in samples], colours)}


BEARD = hair(MOUSTACHE + CHIN)
THIN, THICK = glasses(2.5), glasses(8.0)


def test_the_presenter_wears_nothing() -> None:
    assert found(seen()) == {}
    assert max(s.bridge for s in seen()) < 0.035
    dark, grey, lips = beard([s.colours for s in seen() if s.colours is not None])
    assert dark > 0.9 and grey > 0.85 and lips > 0.9


@pytest.mark.parametrize("rims", [THIN, THICK, glasses(4.0, share=0.5), glasses(4.0, 90.0)])
def test_glasses_are_noted(rims: Change) -> None:
    (note,) = found(seen(rims)).values()
    assert note.kind == "glasses" and note.level == "note"
    assert "8 of 8 pictures" in note.text and "reflections stay as filmed" in note.text


def test_glasses_are_found_at_every_size_and_roll() -> None:
    k = SHOWN[0]
    face = presenter_clip.track().landmarks[k]
    picture = glasses(4.0)(presenter_clip.frames()[k], face)[:SIZE].astype(np.float32)
    small = ndimage.zoom(picture, 0.5, order=1, grid_mode=True, mode="nearest")
    assert bridge_line(small, face * 0.5) > 0.07
    turned = np.rot90(picture)
    points = np.stack([face[:, 1], SIZE - face[:, 0], face[:, 2]], axis=1)
    assert bridge_line(turned, points) == pytest.approx(bridge_line(picture, face), abs=0.02)


def test_a_beard_is_noted_and_no_mask() -> None:
    (note,) = found(seen(BEARD)).values()
    assert note.kind == "beard" and note.level == "note"
    assert "dark beard" in note.text and "hides jaw and lips from the tracker" in note.text
    assert {f.kind for f in face_findings(seen(BEARD), FRAME)} <= {"beard", "mouth-shut"}


@pytest.mark.parametrize("part", [MOUSTACHE, CHIN])
def test_half_a_beard_is_not_told(part: tuple[int, ...]) -> None:
    assert found(seen(hair(part))) == {}


def shadow(picture: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Light from above: from the nose down it is darker, with all of its colour."""
    out = picture.astype(np.float64)
    gain = np.where(np.arange(SIZE) > face[2, 1], 0.6, 1.0)[:, None]
    out[:SIZE] = 16 + (out[:SIZE] - 16) * gain
    chroma = out[SIZE:].reshape(2, SIZE // 2, SIZE // 2)
    chroma[:] = 128 + (chroma - 128) * gain[::2]
    return np.rint(out).astype(np.uint8)


def dark_room(picture: np.ndarray, face: np.ndarray) -> np.ndarray:
    """All that is not face is black."""
    y, x = np.mgrid[:SIZE, :SIZE]
    low, high = face[:, :2].min(axis=0), face[:, :2].max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2
    out = np.hypot((x - middle[0]) / half[0], (y - middle[1]) / half[1]) > 1.05
    return blended(picture, out.astype(np.float64), 20.0)


def mask(picture: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Dark cloth from the nose down, over the lips too."""
    below = (np.arange(SIZE) > face[2, 1]).astype(np.float64)[:, None]
    return blended(picture, np.broadcast_to(below, (SIZE, SIZE)), 50.0)


def test_what_only_looks_like_it() -> None:
    for change in (dark_room, shadow, mask, hair(FRINGE, -8.0)):
        assert found(seen(change)) == {}, change
    assert "masked" in {f.kind for f in face_findings(seen(mask), FRAME)}


def test_a_grey_picture_has_no_beard() -> None:
    grey = tuple(s.colours.copy() for s in seen(BEARD) if s.colours is not None)
    for colours in grey:
        colours[:, 1:] = 128
    assert np.isnan(beard(grey)).all() and not bearded(grey)


def test_one_bad_picture_does_not_decide() -> None:
    clear, both = seen(), seen(lambda p, f: THICK(BEARD(p, f), f))
    assert found(both[:1] + clear[1:]) == {} and found(both[:3] + clear[3:]) == {}
    assert set(found(clear[:1] + both[1:])) == {"glasses", "beard"}
    assert found(both[:4]) == {}  # too few to tell
    unknown = [float("nan")] * 8
    assert wearing_findings(unknown, []) == []
