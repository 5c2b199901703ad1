"""The differentiable rasterizer: against the engine's, and against finite differences."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from visavis.engines.raster import rasterize
from visavis.finetune.morphable import nvdiffrast
from visavis.finetune.morphable.raster import Fragments, draw, interpolate, seen_by_torch

HEIGHT, WIDTH = 40, 56


def mesh(count: int = 60, *, seed: int = 0, perspective: bool = True) -> tuple[Any, Any]:
    """Overlapping triangles in clip space, f32[2, V, 4] and int64[T, 3]."""
    random = np.random.default_rng(seed)
    w = random.uniform(0.7, 1.6, (2, count, 1)) if perspective else np.ones((2, count, 1))
    place = random.uniform(-1.1, 1.1, (2, count, 2)) * w
    depth = random.uniform(-0.9, 0.9, (2, count, 1)) * w
    clip = np.concatenate([place, depth, w], axis=2).astype(np.float32)
    corners = np.stack([random.permutation(count)[:3] for _ in range(count)])
    return torch.from_numpy(clip), torch.from_numpy(corners.astype(np.int64))


@pytest.mark.parametrize("perspective", [True, False])
def test_it_draws_what_the_engine_draws(perspective: bool) -> None:
    clip, triangles = mesh(perspective=perspective)
    fragments = draw(clip, triangles, HEIGHT, WIDTH)
    for n in range(2):
        listed = triangles.numpy().astype(np.int32)
        ids, shares, _ = rasterize(clip[n].numpy(), listed, WIDTH, HEIGHT)
        mine = np.full((HEIGHT, WIDTH), -1)
        at = fragments.picture == n
        row, column = fragments.row[at].numpy(), fragments.column[at].numpy()
        mine[row, column] = fragments.triangle[at].numpy()
        assert np.array_equal(mine, ids) and (ids >= 0).mean() > 0.3
        assert np.abs(fragments.barycentric[at].numpy() - shares[row, column]).max() < 2e-3


def test_without_the_engine_it_sees_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs on a GPU, here on the CPU, in parts as well."""
    clip, triangles = mesh(seed=3)
    wanted = np.stack(
        [rasterize(c.numpy(), triangles.numpy().astype(np.int32), WIDTH, HEIGHT)[0] for c in clip]
    )
    seen = seen_by_torch(clip, triangles, HEIGHT, WIDTH).numpy()
    assert (seen != wanted).mean() < 2e-3  # pixels whose middle is on a side
    monkeypatch.setattr("visavis.finetune.morphable.raster.CANDIDATES", 3000)
    assert np.array_equal(seen_by_torch(clip, triangles, HEIGHT, WIDTH).numpy(), seen)


def test_gradients_are_those_of_finite_differences() -> None:
    """Of vertices and attributes; visibility is held, as moving a vertex by a hair leaves it."""
    clip, triangles = mesh(14, seed=1)
    clip = clip.double()
    random = torch.Generator().manual_seed(0)
    values = torch.randn(2, 14, 3, generator=random, dtype=torch.float64)
    weight: list[torch.Tensor] = []

    def total(points: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
        fragments = draw(points, triangles, 12, 16)
        if not weight:
            # Away from sides, where visibility would change.
            inner = (fragments.barycentric > 0.02).all(dim=1)
            weight.append(inner.double() * torch.rand(len(inner), generator=random))
        return (interpolate(colours, triangles, fragments) * weight[0][:, None]).sum()

    points = clip.requires_grad_()
    colours = values.requires_grad_()
    assert torch.autograd.gradcheck(total, (points, colours), eps=1e-6, atol=1e-5)


def test_attributes_can_be_shared_by_all_pictures() -> None:
    clip, triangles = mesh(20)
    fragments = draw(clip, triangles, HEIGHT, WIDTH)
    values = torch.rand(20, 4)
    both = interpolate(values.expand(2, -1, -1), triangles, fragments)
    assert torch.equal(interpolate(values, triangles, fragments), both)


class FakeLibrary:
    """What we rely on of `nvdiffrast.torch`, drawn by the engine: u, v, z/w, triangle + 1."""

    def __init__(self) -> None:
        self.devices: list[Any] = []

    def RasterizeCudaContext(self, device: Any) -> str:  # noqa: N802 - the library's name
        self.devices.append(device)
        return "context"

    def rasterize(
        self, context: str, clip: torch.Tensor, triangles: torch.Tensor, size: tuple[int, int]
    ) -> tuple[torch.Tensor, None]:
        assert context == "context" and triangles.dtype == torch.int32
        rows = []
        for mesh_points in clip:
            ids, shares, z = rasterize(mesh_points.numpy(), triangles.numpy(), size[1], size[0])
            rows.append(np.dstack([shares[..., :2], z, ids + 1.0]))
        return torch.from_numpy(np.stack(rows).astype(np.float32)), None


def test_the_adapter_of_nvdiffrast_gives_the_same_fragments() -> None:
    clip, triangles = mesh(seed=5)
    library = FakeLibrary()
    theirs = nvdiffrast.Nvdiffrast(library, "cuda")(clip, triangles, HEIGHT, WIDTH)
    ours = draw(clip, triangles, HEIGHT, WIDTH)
    assert library.devices == ["cuda"]
    for name in ("picture", "row", "column", "triangle"):
        assert torch.equal(getattr(theirs, name), getattr(ours, name))
    assert isinstance(theirs, Fragments)
    assert (theirs.barycentric - ours.barycentric).abs().max() < 2e-3


def test_nvdiffrast_is_taken_on_a_gpu_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = FakeLibrary()

    def found(name: str) -> FakeLibrary:
        assert name == "nvdiffrast.torch"
        return library

    monkeypatch.setattr(nvdiffrast, "importlib", SimpleNamespace(import_module=found))
    assert nvdiffrast.best_rasterizer("cpu") is draw
    assert isinstance(nvdiffrast.best_rasterizer("cuda"), nvdiffrast.Nvdiffrast)

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(nvdiffrast, "importlib", SimpleNamespace(import_module=missing))
    assert nvdiffrast.best_rasterizer("cuda") is draw
