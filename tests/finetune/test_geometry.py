"""Geometry from the tracked mesh: against the presenter's ground truth, and made-up motion."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from tests.finetune import presenter_clip
from visavis.finetune.geometry import fit_geometry
from visavis.finetune.mesh import loops
from visavis.finetune.track import Track

UPPER, LOWER = 13, 14


def test_a_mesh_has_an_outline_and_three_holes() -> None:
    track = presenter_clip.track()
    assert track.triangles.shape == (852, 3)
    found = loops(track.triangles)
    assert sorted(len(loop) for loop in found) == [16, 16, 20, 36]
    lips = next(loop for loop in found if UPPER in loop)
    assert LOWER in lips and len(set(lips)) == 20
    shape = track.landmarks[0, lips, 0]  # in order, it goes once from corner to corner and back
    assert (np.diff(np.sign(np.diff(np.append(shape, shape[:2])))) != 0).sum() <= 3


def test_two_triangles_have_one_outline() -> None:
    assert loops(np.array([(0, 1, 2), (2, 1, 3)], np.int32)) == [[0, 1, 3, 2]]


def test_opening_follows_the_ground_truth() -> None:
    geometry = presenter_clip.geometry()
    with np.load(presenter_clip.TRUTH) as truth:
        points = truth["landmarks68_px"][presenter_clip.FRAMES]
    eyes = np.linalg.norm(points[:, 36] - points[:, 45], axis=1)
    wanted = np.linalg.norm(points[:, 62] - points[:, 66], axis=1) / eyes
    assert np.corrcoef(geometry.aperture, wanted)[0, 1] > 0.95
    shapes = geometry.mean + np.einsum("nc,cvd->nvd", geometry.coefficients, geometry.basis)
    fitted = np.linalg.norm(shapes[:, UPPER, :2] - shapes[:, LOWER, :2], axis=1)
    assert np.corrcoef(fitted, wanted)[0, 1] > 0.95


def test_the_fitted_mesh_lies_on_the_tracked_one() -> None:
    geometry, track = presenter_clip.geometry(12), presenter_clip.track()
    shapes = geometry.mean + np.einsum("nc,cvd->nvd", geometry.coefficients, geometry.basis)
    posed = np.einsum("nij,nvj->nvi", geometry.pose[:, :, :3], shapes)
    posed += geometry.pose[:, None, :, 3]
    error = np.linalg.norm((posed[:, geometry.lips] - track.landmarks[:, geometry.lips])[..., :2],
                           axis=-1)  # fmt: skip
    assert np.sqrt((error**2).mean()) < 0.8  # pixels; the eyes are 131 apart


def moved(track: Track, rotation: Rotation, scale: float, shift: tuple[float, ...]) -> Track:
    points = track.landmarks.astype(np.float64)
    middle = points.mean(axis=(0, 1))
    turned = (points - middle) @ rotation.as_matrix().T * scale + middle + shift
    return Track(turned.astype(np.float32), track.triangles)


def test_shape_and_mouth_do_not_depend_on_pose() -> None:
    """A camera that stands elsewhere sees the same person say the same."""
    track, geometry = presenter_clip.track(), presenter_clip.geometry()
    other = fit_geometry(
        moved(track, Rotation.from_euler("z", 8, degrees=True), 1.3, (30.0, -12.0, 5.0)),
        components=6,
    )
    # Depth is as the tracker gave it, so only turns in the picture's plane leave it alone.
    assert np.abs(other.mean - geometry.mean).max() < 0.02
    assert np.abs(other.aperture - geometry.aperture).max() < 1e-3
    assert np.abs(other.coefficients - geometry.coefficients).max() < 0.05
    scale = np.linalg.norm(other.pose[:, 0, :3], axis=1)
    assert np.allclose(scale / np.linalg.norm(geometry.pose[:, 0, :3], axis=1), 1.3, atol=1e-3)


def test_the_mouth_moves_nothing_above_the_nose() -> None:
    geometry = presenter_clip.geometry()
    above = geometry.mean[:468, 1] < 0.25
    assert above.sum() > 200
    assert np.abs(geometry.basis[:, :468][:, above]).max() == 0.0
    assert np.abs(geometry.basis[:, geometry.lips]).max() > 0.01


def test_the_pose_is_smooth_and_not_late() -> None:
    """Noise is taken off the pose; a turn of the head is where it was."""
    track = presenter_clip.track()
    clean = presenter_clip.geometry().pose[:, :2, 3].astype(np.float64)
    random = np.random.default_rng(0)
    noise = random.normal(0, 1.0, (len(clean), 1, 3))
    noisy = fit_geometry(
        Track((track.landmarks + noise).astype(np.float32), track.triangles), components=6
    ).pose[:, :2, 3].astype(np.float64)  # fmt: skip
    assert (noisy - clean).std() < 0.75
    speed, reference = np.diff(noisy[:, 0]), np.diff(clean[:, 0])
    fits = [np.corrcoef(np.roll(speed, k)[6:-6], reference[6:-6])[0, 1] for k in range(-3, 4)]
    assert int(np.argmax(fits)) == 3
