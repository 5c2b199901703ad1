"""The fit of a morphable model, on an invented face in a made clip whose truth is known."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tests.finetune import made_face
from tests.finetune.made_face import Truth
from visavis.export.face_model_file import FaceModelFile
from visavis.finetune.geometry import fit_geometry
from visavis.finetune.morphable.correspond import places
from visavis.finetune.morphable.fit import Fit, fit_model
from visavis.finetune.morphable.landmarks import Faces, start_poses
from visavis.finetune.morphable.person import marked
from visavis.finetune.morphable.pictures import sampled, shrunk
from visavis.finetune.morphable.result import geometry_of
from visavis.finetune.morphable.surface import (
    Poses,
    on_surface,
    pose_jacobian,
    shape_jacobian,
)
from visavis.finetune.morphable.sweeps import near
from visavis.finetune.report.fitted import fit_strip, read_strip, write_strip
from visavis.models.face_model import harmonics, normals

F64 = NDArray[np.float64]


@functools.cache
def fit() -> Fit:
    frames, track, _ = made_face.clip()
    return fit_model(made_face.model(), frames, track)


def placed(identity: F64, expression: F64, poses: Poses) -> F64:
    """All vertices in pixels, f64[N, V, 2]."""
    shapes = made_face.model().shape(
        torch.from_numpy(identity).float(), torch.from_numpy(expression).float()
    )
    turned = [poses.turned(n, shape)[:, :2] for n, shape in enumerate(shapes.double().numpy())]
    return np.stack(turned) + poses.shift[:, None]


def recovered(found: Fit, truth: Truth) -> dict[str, float]:
    """Say how far a fit is from the truth."""
    motion = found.motion
    turns = (
        Rotation.from_matrix(motion.poses.rotation)
        * Rotation.from_matrix(truth.poses.rotation).inv()
    )
    missed = placed(found.identity, motion.expression, motion.poses) - placed(
        truth.identity, truth.expression, truth.poses
    )
    faces = zip(motion.expression.T, truth.expression.T, strict=True)
    # Light as the face gets it; how bright it is and how light the skin cannot be told apart.
    model = made_face.model()
    shares = harmonics(normals(model.mean, model.triangles)).double().numpy()
    got, wanted = shares @ motion.light.mean(axis=0), shares @ truth.light
    shading = got / got.mean(axis=0) - wanted / wanted.mean(axis=0)
    return {
        "degrees": float(np.degrees(np.sqrt(np.square(turns.magnitude()).mean()))),
        "pixels": float(np.sqrt(np.square(missed).sum(axis=2).mean())),
        "expression": min(
            float(np.corrcoef(a, b)[0, 1]) if a.std() > 0.0 else 0.0 for a, b in faces
        ),
        "light": float(np.sqrt(np.square(shading).mean())),
    }


def good(figures: dict[str, float]) -> bool:
    return (
        figures["degrees"] < 0.3
        and figures["pixels"] < 0.3
        and figures["expression"] > 0.98
        and figures["light"] < 0.05
    )


def test_it_finds_pose_expression_and_light() -> None:
    _, _, truth = made_face.clip()
    figures = recovered(fit(), truth)
    assert good(figures), figures
    # Who it is, within what eight frames tell: nearer than the mean face.
    assert np.linalg.norm(fit().identity - truth.identity) < 0.7 * np.linalg.norm(truth.identity)


def test_a_toy_that_keeps_the_mean_face_is_caught() -> None:
    """As rigid as a mask, laid onto the tracked points."""
    frames, track, truth = made_face.clip()
    model = made_face.model()
    poses = start_poses(model.mean[:468].double().numpy(), track.landmarks.astype(np.float64))
    motion = replace(fit().motion, expression=np.zeros_like(truth.expression), poses=poses)
    figures = recovered(replace(fit(), identity=0.0 * truth.identity, motion=motion), truth)
    assert figures["expression"] == 0.0 and figures["pixels"] > 0.3 and not good(figures)


def test_the_picture_makes_it_better_than_the_points_alone() -> None:
    """The tracker's points err by .3 pixels here, one by one; the fitted ones by less."""
    _, track, truth = made_face.clip()
    true = placed(truth.identity, truth.expression, truth.poses)[:, :468]
    motion = fit().motion
    points = np.stack(
        [
            motion.poses.turned(n, fit().points.mean + fit().points.expression @ face)[:, :2]
            for n, face in enumerate(motion.expression)
        ]
    ) + motion.poses.shift[:, None]  # fmt: skip
    error, noise = (
        np.sqrt(np.square(p - true).sum(axis=2).mean()) for p in (points, track.landmarks[..., :2])
    )
    assert error < 0.8 * noise
    figures = fit().figures
    assert figures["followed, share of frames"] == 1.0
    assert figures["photometric, levels"] < 2.0 and figures["synthesised, levels"] < 3.0


def test_the_same_comes_out_again() -> None:
    frames, track, _ = made_face.clip()
    short = replace(track, landmarks=track.landmarks[:4])
    one, two = (fit_model(made_face.model(), frames[:4], short, cuts=[2]) for _ in range(2))
    assert np.array_equal(one.motion.expression, two.motion.expression)
    assert np.array_equal(one.motion.poses.rotation, two.motion.poses.rotation)
    assert one.figures == two.figures


def test_a_frame_beside_a_cut_has_no_neighbours() -> None:
    joined = np.array([True, False, True, True])
    assert [list(near(joined, n)) for n in range(5)] == [[], [], [], [2, 4], []]


def test_a_fit_is_a_geometry_like_any_other() -> None:
    frames, track, truth = made_face.clip()
    geometry = geometry_of(fit(), track, components=5)
    plain = fit_geometry(track, components=5)
    for name in ("mean", "basis", "coefficients", "pose", "triangles", "lips"):
        assert getattr(geometry, name).shape == getattr(plain, name).shape, name
        assert getattr(geometry, name).dtype == getattr(plain, name).dtype, name
    # Head space: the outer corners of the eyes are one apart, the middle between them is 0.
    eyes = geometry.mean[[33, 263]]
    assert np.abs(eyes - [[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0]]).max() < 0.02
    shapes = geometry.mean + np.einsum("nc,cvd->nvd", geometry.coefficients, geometry.basis)
    posed = np.einsum("nij,nvj->nvi", geometry.pose[:, :2, :3], shapes[:, geometry.lips])
    posed += geometry.pose[:, None, :2, 3]
    true = placed(truth.identity, truth.expression, truth.poses)[:, geometry.lips]
    assert np.sqrt(np.square(posed - true).sum(axis=2).mean()) < 0.6
    assert np.corrcoef(geometry.aperture, plain.aperture)[0, 1] > 0.98


def test_closed_lips_are_laid_where_they_were_tracked() -> None:
    """A model whose lips meet elsewhere must not leave a slit."""
    _, track, _ = made_face.clip()
    points = fit().points
    parted = points.mean.copy()
    parted[13, 1] -= 0.04
    parted[14, 1] += 0.04
    wrong = replace(fit(), points=replace(points, mean=parted))
    slit, right = (geometry_of(f, track).aperture.min() for f in (wrong, fit()))
    assert abs(slit - right) < 0.005


def test_points_find_their_places_on_the_surface() -> None:
    """Over frames that differ; each is a vertex here, and no lip is taken for the other."""
    model = made_face.model()
    _, track, truth = made_face.clip()
    frames = np.arange(0, 24, 3)
    faces = Faces(truth.identity, truth.expression[frames], truth.poses.of(frames))
    tracked = placed(truth.identity, truth.expression, truth.poses)[frames, :468]
    triangle, share = places(model, faces, tracked)
    found = on_surface(model, triangle, share).mean
    error = np.linalg.norm(found - model.mean[:468].numpy(), axis=1)
    assert np.abs(share.sum(axis=1) - 1.0).max() < 1e-5 and share.min() >= 0.0
    assert np.quantile(error, 0.95) < 0.01 and np.median(error) < 1e-3


def test_jacobians_are_those_of_finite_differences() -> None:
    model = made_face.model()
    surface = on_surface(model, np.arange(0, 3000, 50), np.full((60, 3), 1 / 3))
    _, _, truth = made_face.clip()
    shape = surface.shape(truth.identity, truth.expression[3])
    turned = truth.poses.turned(3, shape)
    for k, column in enumerate(np.moveaxis(pose_jacobian(turned), 2, 0)):
        moved = truth.poses.copy()
        step = np.zeros(6)
        step[k] = 1e-6
        moved.step(3, step)
        change = moved.turned(3, shape)[:, :2] + moved.shift[3]
        change -= turned[:, :2] + truth.poses.shift[3]
        assert np.abs(change / 1e-6 - column).max() < 1e-3
    columns = shape_jacobian(surface.expression, truth.poses, 3)
    more = surface.shape(truth.identity, truth.expression[3] + [0.0, 1.0, 0.0, 0.0, 0.0])
    change = truth.poses.turned(3, more)[:, :2] - turned[:, :2]
    assert np.abs(change - columns[:, :, 1]).max() < 1e-4


def test_pictures_are_sampled_between_pixels() -> None:
    y, x = np.mgrid[:64, :96]
    frame = np.full((96, 96), 128, np.uint8)
    frame[:64] = np.rint(16 + x + 0.5 * y)
    picture = shrunk(frame, 4)
    assert picture.shape == (16, 24, 3) and np.abs(picture - picture[..., :1]).max() < 1e-3
    points = np.array([(20.0, 30.0), (41.3, 17.9), (70.2, 50.1)])
    colour, change = sampled(picture, points, 4)
    wanted = 1.164 * (points[:, 0] - 0.5 + 0.5 * (points[:, 1] - 0.5))
    assert np.abs(colour[:, 0] - wanted).max() < 0.6
    assert np.abs(change[:, 1] - 1.164 * np.array([1.0, 0.5])).max() < 0.05


def test_the_pictures_for_the_report_are_kept(tmp_path: Path) -> None:
    frames, track, _ = made_face.clip()
    geometry = geometry_of(fit(), track)
    strip = fit_strip(made_face.model(), fit(), frames, geometry, track.triangles)
    assert [name for name, _ in strip.rows] == ["filmed", "mesh", "synthesised"]
    assert len({data for _, data in strip.rows}) == 3
    write_strip(strip, tmp_path)
    again = read_strip(tmp_path)
    assert list(again.rows) == list(strip.rows)
    assert (again.title, again.width, again.height) == (strip.title, strip.width, strip.height)


def test_a_person_made_with_a_model_is_marked() -> None:
    file = FaceModelFile(made_face.model(), "BFM 2009", {"front.mat": "0" * 64})
    before = {"name": "a", "made_by": {"tool": "tests"}}
    about, notices = marked(before, "none", file)
    assert about["contains_licensed"] is True and about["name"] == "a"
    assert about["made_by"]["tool"] == "tests"
    assert about["made_by"]["face_model"]["sha256"] == {"front.mat": "0" * 64}
    assert notices.startswith("none\n") and "BFM 2009" in notices
    assert "contains_licensed" not in before and "face_model" not in before["made_by"]
