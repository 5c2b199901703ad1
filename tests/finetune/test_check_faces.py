"""What sampled faces say, on the presenter's own and on what is done to them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.finetune import presenter_clip
from tests.finetune.test_check_probe import GOOD
from visavis.finetune.check import look as looking
from visavis.finetune.check.faces import covered, face_findings, opening, yaw
from visavis.finetune.check.findings import Finding
from visavis.finetune.check.look import Sample, eye_distance
from visavis.finetune.check.plan import Plan, make_plan

FACTS = replace(GOOD, coded=(512, 512))


@functools.cache
def samples() -> tuple[Sample, ...]:
    """The presenter, four times a second; what `look` makes of a picture."""
    out = []
    for k in range(0, 102, 3):
        face = presenter_clip.track().landmarks[k]
        colours = looking._colours(presenter_clip.frames()[k], face)
        out.append(Sample(k * 0.12, (face,), colours, 0.65, 180.0))
    return tuple(out)


def plan_of(some: tuple[Sample, ...]) -> Plan | None:
    return make_plan(FACTS, some)


def kinds(some: tuple[Sample, ...], plan: Plan | None = None) -> dict[str, Finding]:
    return {f.kind: f for f in face_findings(some, plan or plan_of(some))}


def changed(count: int, change: Callable[[Sample], Sample]) -> tuple[Sample, ...]:
    """The presenter, with the first `count` samples changed."""
    return tuple(change(s) if i < count else s for i, s in enumerate(samples()))


def moved(face: np.ndarray, turn: Rotation, scale: float = 1.0) -> np.ndarray:
    middle = face.mean(axis=0)
    return ((turn.apply(face - middle)) * scale + middle).astype(np.float32)


def test_there_is_nothing_to_say_of_the_presenter() -> None:
    assert kinds(samples()) == {}


def test_the_presenter_is_taken_as_it_is() -> None:
    plan = plan_of(samples())
    assert plan is not None and plan.scale == 1.0
    view = plan.view
    assert (view.left, view.top, view.width, view.height) == (0, 0, 512, 512)
    assert plan.eyes == pytest.approx(131, abs=2) and plan.frames == 500


def test_the_window_lies_around_the_face_and_in_the_picture() -> None:
    far = tuple(replace(s, faces=(s.faces[0] * 1.5 + [1000, 200, 0],)) for s in samples())
    plan = make_plan(replace(GOOD, coded=(1920, 1080)), far)
    assert plan is not None and plan.eyes == pytest.approx(128)
    middle = np.median([s.faces[0][[33, 263], :2].mean(axis=0) for s in far], axis=0)
    assert (plan.left + plan.right) / 2 == pytest.approx(middle[0], abs=1)
    assert plan.top < middle[1] - 1.7 * 196 and plan.right - plan.left == pytest.approx(784, abs=3)
    assert (plan.view.out_width, plan.view.out_height) == (512, 512)
    side = tuple(replace(s, faces=(s.faces[0] * 0.5,)) for s in samples())
    plan = make_plan(replace(GOOD, coded=(360, 200)), side)
    assert plan is not None and plan.scale == 1.8
    assert (plan.left, plan.top, plan.bottom) == (0, 0, 200)
    assert (plan.view.out_width, plan.view.out_height) == (512, 360)


def test_no_face() -> None:
    none = changed(99, lambda s: replace(s, faces=(), colours=None))
    assert plan_of(none) is None
    found = kinds(none)
    assert set(found) == {"no-face"} and found["no-face"].level == "refused"
    dark = tuple(replace(s, brightest=30.0) for s in none)
    assert set(kinds(dark)) == {"no-face", "dark"}


@pytest.mark.parametrize(("count", "level"), [(3, "warning"), (10, "refused")])
def test_a_face_that_is_not_always_there(count: int, level: str) -> None:
    silent = samples()[-count:]
    found = kinds(samples()[:-count] + tuple(replace(s, faces=(), colours=None) for s in silent))
    assert set(found) == {"face-missing"} and found["face-missing"].level == level
    assert f"{count} of 34" in found["face-missing"].text


@pytest.mark.parametrize(("count", "level"), [(2, None), (3, "warning"), (10, "refused")])
def test_a_second_face(count: int, level: str | None) -> None:
    found = kinds(changed(count, lambda s: replace(s, faces=(*s.faces, s.faces[0] * 0.4))))
    assert {k: f.level for k, f in found.items()} == ({"several-faces": level} if level else {})


@pytest.mark.parametrize(("eyes", "level"), [(50, "refused"), (80, "warning"), (110, None)])
def test_a_small_face(eyes: float, level: str | None) -> None:
    small = tuple(replace(s, faces=(s.faces[0] * eyes / 131,)) for s in samples())
    found = kinds(small, make_plan(replace(GOOD, coded=(1280, 720)), small))
    assert {k: f.level for k, f in found.items()} == ({"small-face": level} if level else {})
    if level:
        assert f"{eyes} pixels" in found["small-face"].text


def test_a_face_that_leaves_the_window() -> None:
    away = changed(4, lambda s: replace(s, faces=(s.faces[0] - [200, 0, 0],)))
    found = kinds(away)
    assert set(found) == {"leaves"} and "4 of 34" in found["leaves"].text


def test_a_head_that_is_turned() -> None:
    for degrees in (-40, 25, 40):
        turn = Rotation.from_euler("y", degrees, degrees=True)
        face = moved(samples()[0].faces[0], turn)
        assert abs(yaw(face) + degrees) < 8 or abs(yaw(face) - degrees) < 8
        assert eye_distance(face) == pytest.approx(eye_distance(samples()[0].faces[0]), rel=1e-4)
    away = Rotation.from_euler("y", 40, degrees=True)
    found = kinds(changed(5, lambda s: replace(s, faces=(moved(s.faces[0], away),))))
    assert set(found) == {"turned"} and "15 %" in found["turned"].text


def test_a_mouth_that_does_not_open() -> None:
    def shut(sample: Sample) -> Sample:
        face = sample.faces[0].copy()
        face[14] = face[13] + [0, 2, 0]
        return replace(sample, faces=(face,))

    assert opening(shut(samples()[0]).faces[0]) == pytest.approx(2 / 131, abs=1e-3)
    found = kinds(changed(99, shut))
    assert set(found) == {"mouth-shut"} and "0.02" in found["mouth-shut"].text


def test_a_mouth_that_does_not_close() -> None:
    def open_(sample: Sample) -> Sample:
        face = sample.faces[0].copy()
        face[14, 1] = max(face[14, 1], face[13, 1] + 12)
        return replace(sample, faces=(face,))

    found = kinds(changed(99, open_))
    assert set(found) == {"mouth-open"} and "0.09" in found["mouth-open"].text


def painted(sample: Sample, luma: int, u: int, v: int) -> Sample:
    """Something before the mouth: the points under the nose have another colour."""
    face, colours = sample.faces[0], sample.colours
    assert colours is not None
    colours = colours.copy()
    colours[face[:, 1] > face[2, 1]] = (luma, u, v)
    return replace(sample, colours=colours)


def test_a_mouth_that_is_covered() -> None:
    excess, odd = covered(samples())
    assert excess.max() < 9 and odd < 10
    found = kinds(changed(4, lambda s: painted(s, 40, 128, 128)))
    assert set(found) == {"covered"} and "4 of 34" in found["covered"].text


def test_light_that_changes_covers_nothing() -> None:
    def darker(sample: Sample) -> Sample:
        assert sample.colours is not None
        colours = sample.colours.copy()
        colours[:, 0] -= 25
        return replace(sample, colours=colours)

    assert kinds(changed(12, darker)) == {}


def test_a_mask() -> None:
    found = kinds(changed(99, lambda s: painted(s, 150, 128, 108)))
    assert set(found) == {"masked"}


@pytest.mark.parametrize(("gain", "kind"), [(0.4, "dark"), (1.7, "overexposed")])
def test_light(gain: float, kind: str) -> None:
    def lit(sample: Sample) -> Sample:
        assert sample.colours is not None
        colours = sample.colours.copy()
        colours[:, 0] = np.clip(colours[:, 0] * gain, 16, 235)
        return replace(sample, colours=colours)

    assert kind in kinds(changed(99, lit))


def test_eyes_out_of_focus() -> None:
    import av
    from scipy import ndimage

    facts, found = replace(GOOD, coded=(512, 512)), []
    for sigma in (0.0, 2.0):
        picture = presenter_clip.frames()[0].copy()
        picture[:512] = ndimage.gaussian_filter(picture[:512].astype(np.float32), sigma)
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        eyes, _ = looking._eyes(facts, frame, presenter_clip.track().landmarks[0])
        found.append(looking._sharpness(eyes))
    assert found[0] > 0.5 and found[1] < 0.40
    assert set(kinds(changed(99, lambda s: replace(s, sharpness=found[1])))) == {"blurred"}
