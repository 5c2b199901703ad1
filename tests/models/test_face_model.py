"""The morphable model's arithmetic: what is linear is linear, normals point out, light is light."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from visavis.models.face_model import FaceModel, harmonics, normals, rotation, shade


def directions(count: int) -> torch.Tensor:
    """Evenly over the sphere (A. Gonzalez, Fibonacci lattice), float64[count, 3]."""
    k = np.arange(count) + 0.5
    z = 1.0 - 2.0 * k / count
    turn = np.pi * (1.0 + 5.0**0.5) * k
    ring = np.sqrt(1.0 - z * z)
    return torch.from_numpy(np.stack([ring * np.cos(turn), ring * np.sin(turn), z], axis=1))


def ball(count: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """A sphere's vertices, and its triangles seen from outside."""
    points = directions(count)
    hull = ConvexHull(points.numpy())
    triangles = hull.simplices.astype(np.int64)
    a, b, c = points.numpy()[triangles].transpose(1, 0, 2)
    inward = (np.cross(b - a, c - a) * a).sum(axis=1) < 0.0
    triangles[inward] = triangles[inward][:, ::-1]
    return points, torch.from_numpy(triangles)


def test_shape_and_albedo_are_linear() -> None:
    random = torch.Generator().manual_seed(0)

    def basis(count: int) -> torch.Tensor:
        return torch.randn(count, 30, 3, generator=random)

    model = FaceModel(
        basis(1)[0], basis(4), basis(3), basis(1)[0], basis(2),
        torch.zeros(1, 3, dtype=torch.int64), torch.zeros(68, dtype=torch.int64),
    )  # fmt: skip
    who, face = torch.randn(4, generator=random), torch.randn(5, 3, generator=random)
    shapes = model.shape(who, face)
    assert shapes.shape == (5, 30, 3)
    one = model.mean + sum(w * m for w, m in zip(who, model.identity, strict=True))
    one = one + sum(e * m for e, m in zip(face[2], model.expression, strict=True))
    assert torch.allclose(shapes[2], one, atol=1e-5)
    assert torch.allclose(model.albedo(torch.tensor([1.0, 0.0])), model.colour + model.colours[0])
    assert torch.equal(model.to("cpu").mean, model.mean)


def test_normals_of_a_ball_are_its_points() -> None:
    points, triangles = ball()
    assert torch.allclose(normals(points, triangles), points, atol=0.05)
    two = torch.stack([points, 2.0 * points + 1.0])
    assert torch.allclose(normals(two, triangles)[1], normals(points, triangles), atol=1e-9)


def test_light_is_blurred_by_a_matt_surface_as_by_a_clamped_cosine() -> None:
    """Every harmonic is dimmed by its band's factor, pi, 2 pi / 3 and pi / 4, and nothing else."""
    over = directions(40_000)
    facing = directions(50)
    cosine = torch.clamp(facing @ over.T, min=0.0)
    blurred = cosine @ harmonics(over) * (4.0 * np.pi / len(over))
    factor = torch.tensor([np.pi] + [2.0 * np.pi / 3.0] * 3 + [np.pi / 4.0] * 5)
    assert torch.allclose(blurred, harmonics(facing) * factor, atol=2e-3)
    products = harmonics(over).T @ harmonics(over) / len(over)
    assert (products - torch.diag(products.diag())).abs().max() < 1e-3


def test_the_signs_are_those_of_deng() -> None:
    up, near, right = torch.eye(3, dtype=torch.float64)[[1, 2, 0]] * torch.tensor(
        [[-1.0], [-1.0], [1.0]], dtype=torch.float64
    )
    assert harmonics(up)[1] < 0.0 < harmonics(near)[2] and harmonics(right)[3] < 0.0
    light = torch.zeros(9, 3, dtype=torch.float64)
    light[0] = 1.0 / harmonics(up)[0]
    grey = torch.full((1, 3), 100.0, dtype=torch.float64)
    assert torch.allclose(shade(grey, near[None], light), grey)


def test_rotations_are_those_of_scipy() -> None:
    vectors = np.array([(0.0, 0.0, 0.0), (0.3, -0.2, 0.1), (0.0, 2.0, 0.0)])
    wanted = Rotation.from_rotvec(vectors).as_matrix()
    assert np.allclose(rotation(torch.from_numpy(vectors)).numpy(), wanted, atol=1e-12)
