"""The mesh's network against the formulas of the systems, which compute one face at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.export.imports.style_avatar_sample import write_face
from visavis.engines.torch_graph import compile_model
from visavis.export.face_model_file import read_face_model
from visavis.export.imports.face_graph import FaceMesh, Light, surface_of
from visavis.export.imports.headpose import mesh_of
from visavis.export.imports.onnx_graph import exported
from visavis.export.imports.wide_linear import SplitLinear, split_wide
from visavis.models.face_model import FaceModel
from visavis.models.systems.audiodvp import face as audiodvp
from visavis.models.systems.bfm import turned
from visavis.models.systems.headpose import face as headpose


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FaceModel:
    folder = tmp_path_factory.mktemp("face")
    write_face(folder)
    return read_face_model(folder / "BFM_model_front.mat").model


def rows(count: int, scale: float, seed: int) -> Tensor:
    return scale * torch.randn(count, generator=torch.Generator().manual_seed(seed))


def test_headpose(model: FaceModel) -> None:
    """Three faces at once: who it is stays, expression and pose do not."""
    first = rows(257, 0.1, 0)
    first[224:227] = 0.0
    mesh, triangles = mesh_of(model, first.numpy())
    assert np.array_equal(triangles, model.triangles.numpy())
    others = torch.stack([rows(257, 0.3, seed) for seed in (1, 2, 3)])
    with torch.no_grad():
        pose = torch.cat((others[:, 224:227], others[:, 254:257]), 1)
        found = mesh(others[:, 80:144], pose)
    for row, given in zip(found, others, strict=True):
        mixed = first.clone()
        mixed[80:144], mixed[224:227] = given[80:144], given[224:227]
        mixed[254:257] = given[254:257]
        face = headpose.posed(model, mixed)
        torch.testing.assert_close(
            row[:, :4], headpose.clip_space(face.vertices), atol=2e-5, rtol=1e-5
        )
        torch.testing.assert_close(row[:, 4:], face.colours, atol=2e-3, rtol=1e-4)


def test_audiodvp_lower_face(model: FaceModel) -> None:
    """Moved before it is turned, lit by the pose's own numbers, and half of it left out."""
    alpha, beta = rows(80, 0.2, 0), rows(80, 0.2, 1)
    delta, gamma = rows(64, 0.3, 2), rows(27, 0.2, 3)
    rotation, translation = rows(3, 0.2, 4), rows(3, 0.1, 5)
    lower = audiodvp.lower_triangles(model)
    assert 0.2 < lower.float().mean() < 0.8
    still = turned(model.shape(alpha, torch.zeros(64)))
    surface = surface_of(still, turned(model.expression), model.triangles, lower)
    light = Light(
        albedo=model.albedo(beta)[surface.used],
        ambient=audiodvp.AMBIENT,
        harmonic_major=True,
    )
    camera = audiodvp.clip_space(torch.cat((torch.eye(3), torch.zeros(1, 3)))).T
    camera[:, :3] -= camera[:, 3:]  # what it makes of the axes, and of the origin
    mesh = FaceMesh(surface, camera, light, moved_first=True).eval()
    with torch.no_grad():
        found = mesh(delta[None], torch.cat((rotation, translation, gamma))[None])[0]
    face = audiodvp.posed(model, alpha, delta, beta, gamma, rotation, translation)
    # Of all vertices that a drawn triangle has, normals too: their other triangles count.
    shown = surface.triangles.unique()
    there = surface.used[shown]
    assert torch.equal(surface.used[surface.triangles], model.triangles[lower])
    assert len(surface.used) < len(model.mean)
    torch.testing.assert_close(
        found[shown, :4], audiodvp.clip_space(face.vertices)[there], atol=2e-5, rtol=1e-5
    )
    torch.testing.assert_close(found[shown, 4:], face.colours[there] * 255.0, atol=2e-3, rtol=1e-4)


def test_vertices_may_carry_what_never_changes(model: FaceModel) -> None:
    still = headpose.shape(model, torch.zeros(80), torch.zeros(64))
    surface = surface_of(still, turned(model.expression), model.triangles)
    uv = torch.rand(len(surface.used), 2, generator=torch.Generator().manual_seed(0)) * 255
    mesh = FaceMesh(surface, headpose.CAMERA, uv).eval()
    found = mesh(torch.zeros(2, 64), torch.zeros(2, 6))
    assert found.shape == (2, len(uv), 6) and torch.equal(found[1, :, 4:], uv)
    wanted = headpose.clip_space(still)
    torch.testing.assert_close(found[0, :, :4], wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("lit", [True, False])
def test_the_exported_mesh_runs_with_torch_too(model: FaceModel, lit: bool) -> None:
    """In a batch of another size than it was exported with."""
    surface = surface_of(turned(model.mean), turned(model.expression), model.triangles)
    albedo = model.colour[surface.used]
    carried = Light(albedo, ambient=0.7, harmonic_major=True) if lit else albedo[:, :2]
    mesh = FaceMesh(surface, audiodvp.CAMERA, carried, moved_first=True)
    inputs = {"coefficients": (64,), "pose": (33,)}
    entry, parts = exported("mesh", mesh, inputs=inputs, outputs=["vertices"])
    steps = compile_model("mesh", parts[entry["variants"]["fp32"]], torch.device("cpu"))
    feeds = {name: rows(5 * size, 0.1, size).reshape(5, size) for name, (size,) in inputs.items()}
    with torch.no_grad():
        torch.testing.assert_close(
            steps(feeds)["vertices"], mesh(**feeds), rtol=1e-4, atol=1e-4 if not lit else 1e-2
        )


def test_wide_layers_are_split() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(50, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3, bias=False)
    )
    split = split_wide(network, most_bytes=500)
    assert isinstance(split[0], SplitLinear) and isinstance(split[2], torch.nn.Linear)
    assert max(piece.numel() * 4 for piece in split.parameters()) <= 500
    assert isinstance(network[0], torch.nn.Linear), "the network itself stays"
    x = torch.randn(4, 50)
    torch.testing.assert_close(split(x), network(x))


def test_wide_layers_are_split_evenly_enough() -> None:
    """The part that is left over is not larger than the others."""
    for inputs in (101, 128, 333):
        split = split_wide(torch.nn.Sequential(torch.nn.Linear(inputs, 5)), most_bytes=640)
        assert isinstance(split, torch.nn.Sequential)
        assert max(piece.numel() * 4 for piece in split[0].pieces) <= 640
        assert sum(piece.shape[1] for piece in split[0].pieces) == inputs


def test_what_is_of_one_person_alone_is_not_licensed(tmp_path: Path) -> None:
    import scipy.io

    from visavis.export.imports.errors import ImportRefused
    from visavis.export.imports.face_model import read_face
    from visavis.export.imports.request import Request

    write_face(tmp_path)
    path = tmp_path / "BFM_model_front.mat"
    _, reason = read_face(Request("headpose", (), face_model=path))
    assert reason is not None and "licensed" in reason
    arrays = {k: v for k, v in scipy.io.loadmat(path).items() if not k.startswith("__")}
    for name in ("idBase", "texBase"):
        arrays[name] = 0.0 * arrays[name]
    scipy.io.savemat(path, arrays)
    assert read_face(Request("headpose", (), face_model=path))[1] is None
    (tmp_path / "Exp_Pca.bin").write_bytes(b"\x4f\x00\x00\x00" + bytes(4000))
    for wrong in (tmp_path / "Exp_Pca.bin", tmp_path / "none.mat"):
        with pytest.raises(ImportRefused):
            read_face(Request("headpose", (), face_model=wrong))
