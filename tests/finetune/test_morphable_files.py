"""The readers of morphable models: both layouts, and every kind of file that is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import io

from tests.finetune import made_face
from visavis.engines.errors import ConfigError
from visavis.export import face_model_file as files
from visavis.export import mat_file as mat
from visavis.export.face_model_file import read_face_model
from visavis.models.face_model import FaceModel, normals

VERTICES = 1790


def same(a: FaceModel, b: FaceModel, tolerance: float) -> None:
    for name in ("mean", "identity", "expression", "colour", "colours"):
        one, other = getattr(a, name), getattr(b, name)
        assert one.shape == other.shape and one.dtype == torch.float32
        assert (one - other).abs().max() <= tolerance * other.abs().max(), name
    assert torch.equal(a.landmarks, b.landmarks)
    assert torch.equal(a.triangles.sort(dim=1).values, b.triangles.sort(dim=1).values)


def test_the_derived_layout_is_read(tmp_path: Path) -> None:
    path = made_face.mat(tmp_path / "front.mat")
    found = read_face_model(path)
    same(found.model, made_face.model(), 1e-6)
    assert found.kind.startswith("BFM 2009 front")
    assert list(found.sha256) == ["front.mat"] and len(found.sha256["front.mat"]) == 64


def test_triangles_that_go_the_other_way_are_turned(tmp_path: Path) -> None:
    model = made_face.model()
    tri = model.triangles.numpy() + 1
    for order in (tri, tri[:, ::-1]):
        found = read_face_model(made_face.mat(tmp_path / "f.mat", tri=order)).model
        assert normals(found.mean, found.triangles)[:, 2].mean() < -0.3


def test_a_packed_file_is_read_too(tmp_path: Path) -> None:
    plain = made_face.mat(tmp_path / "plain.mat")
    packed = tmp_path / "packed.mat"
    io.savemat(packed, made_face.arrays(), do_compression=True)
    assert packed.stat().st_size < 0.9 * plain.stat().st_size
    same(read_face_model(packed).model, read_face_model(plain).model, 0.0)


def test_damage_anywhere_ends_in_a_sentence_or_in_other_numbers(tmp_path: Path) -> None:
    """A few bytes of what is not numbers, mostly: tags, sizes, names; packed and not."""
    random = np.random.default_rng(0)
    path = tmp_path / "front.mat"
    refused = 0
    for packed in (False, True):
        io.savemat(path, made_face.arrays(), do_compression=packed)
        whole = path.read_bytes()
        places = [header.offset for header in mat.scan(path).values()]
        for _ in range(120):
            data = bytearray(whole)
            at = int(random.choice(places)) + int(random.integers(0, 80))
            for k in range(at, min(at + 4, len(data))):
                data[k] = random.integers(0, 256)
            path.write_bytes(data)
            try:
                read_face_model(path)
            except ConfigError:
                refused += 1
    assert refused > 150


def raw(folder: Path) -> tuple[Path, Path]:
    """The same model as Basel and Guo et al. give theirs: more vertices, in another order."""
    a = made_face.arrays()
    random = np.random.default_rng(0)
    moved, whole = VERTICES + 7, VERTICES + 20
    to_moved = random.permutation(moved)[:VERTICES]
    to_whole = random.permutation(whole)[:moved]

    def spread(array: object, rows: np.ndarray, count: int) -> np.ndarray:
        values = np.asarray(array, np.float64).reshape(VERTICES, 3, -1)
        out = random.normal(size=(count, 3, values.shape[2]))
        out[rows] = values
        return out.reshape(3 * count, -1)

    place = to_whole[to_moved]
    deviations = random.uniform(0.5, 2.0, 9)
    path = folder / "01_MorphableModel.mat"
    extra = random.normal(size=(3 * whole, 0))
    shape_pc = spread(a["idBase"], place, whole) * 1e5 / deviations[:6]
    tex_pc = spread(a["texBase"], place, whole) / deviations[:5]
    io.savemat(
        path,
        {
            "shapeMU": spread(np.asarray(a["meanshape"]).T, place, whole) * 1e5,
            "shapePC": np.concatenate([shape_pc, extra], axis=1),
            "shapeEV": deviations[:6, None],
            "texMU": spread(np.asarray(a["meantex"]).T, place, whole),
            "texPC": tex_pc,
            "texEV": deviations[:5, None],
            "tl": np.ones((3, 3)),
        },
    )
    parts = folder / "expressions"
    parts.mkdir()
    components = (spread(a["exBase"], to_moved, moved) * 1e5 / deviations[:5]).T
    with (parts / "Exp_Pca.bin").open("wb") as file:
        np.array([5], "<i4").tofile(file)
        random.normal(size=3 * moved).astype("<f4").tofile(file)
        components.astype("<f4").tofile(file)
    (parts / "std_exp.txt").write_text(" ".join(f"{d:.9g}" for d in deviations[:5]) + "\n")
    io.savemat(parts / "BFM_front_idx.mat", {"idx": to_moved[:, None] + 1.0})
    io.savemat(parts / "BFM_exp_idx.mat", {"trimIndex": to_whole[:, None] + 1.0})
    info = {"tri": a["tri"], "keypoints": a["keypoints"], "skinmask": 1.0}
    io.savemat(parts / "facemodel_info.mat", info)
    return path, parts


def test_the_layout_of_basel_is_cut_scaled_and_joined(tmp_path: Path) -> None:
    path, parts = raw(tmp_path)
    found = read_face_model(path, parts)
    same(found.model, made_face.model(), 1e-5)
    assert sorted(found.sha256) == sorted(
        ["01_MorphableModel.mat", *files.INDEX_FILES, *files.EXPRESSION_FILES]
    )


def _text(path: Path) -> None:
    path.write_bytes(b"not a face model, just words" * 100)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(share: float) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        data = made_face.mat(path).read_bytes()
        path.write_bytes(data[: int(share * len(data))])

    return spoil


def _header(path: Path) -> None:
    data = bytearray(made_face.mat(path).read_bytes())
    data[128:160] = b"\xff" * 32
    path.write_bytes(data)


def _array(path: Path) -> None:
    """The first array's numbers are of a type that there is not."""
    data = bytearray(made_face.mat(path).read_bytes())
    at = data.index(b"meanshape") + 16  # scipy ends the process over this
    data[at : at + 4] = b"\x63\0\0\0"
    path.write_bytes(data)


def _hdf5(path: Path) -> None:
    path.write_bytes(
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512, b" ") + b"\x89HDF\r\n\x1a\n"
    )


def _pickle(path: Path) -> None:
    path.write_bytes(b"\x80\x04\x95" + b"\0" * 200)


def _other(path: Path) -> None:
    io.savemat(path, {"x": np.ones((3, 3))})


def changed(**arrays: object) -> Callable[[Path], None]:
    return lambda path: (made_face.mat(path, **arrays), None)[1]


ARRAYS = made_face.arrays
BROKEN = np.full((1, 3 * VERTICES), np.nan)
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "text": (_text, r"is no face model: it is no \.mat file"),
    "empty": (_empty, r"is no face model: it is no \.mat file"),
    "cut off": (cut(0.3), "damaged or cut off"),
    "cut off at the end": (cut(0.999), "damaged or cut off"),
    "another header": (_header, "damaged or cut off"),
    "another array": (_array, "meanshape cannot be read: it is damaged"),
    "7.3": (_hdf5, "-v7"),
    "pickle": (_pickle, r"is no face model: it is no \.mat file"),
    "other arrays": (_other, "it lacks shapeEV, shapeMU"),
    "no triangles": (changed(tri=None), "it lacks tri"),
    "few vertices": (changed(meanshape=np.ones((1, 30))), "of 10 vertices"),
    "no thirds": (changed(meanshape=np.ones((1, 1000))), "of 333.333 vertices"),
    "too large or not finite": (changed(meanshape=BROKEN), "too large or not finite"),
    "words": (changed(meanshape="abc"), "meanshape holds text"),
    "objects": (changed(idBase=np.array([[1, "a"]], object)), "idBase holds cell"),
    "complex": (changed(meantex=np.ones((1, 3 * VERTICES)) * 1j), "meantex holds complex numbers"),
    "basis of another mesh": (changed(idBase=np.ones((300, 6))), "idBase has the wrong shape"),
    "too many components": (
        changed(exBase=np.ones((3 * VERTICES, 401), np.uint8)),
        "exBase has the wrong shape",
    ),
    "colour of another mesh": (changed(meantex=np.ones((1, 300))), "meantex has the wrong shape"),
    "triangles of four": (changed(tri=np.ones((10, 4))), "tri has the wrong shape"),
    "from 0": (changed(tri=np.zeros((10, 3))), "tri names vertices that do not exist"),
    "too high": (changed(tri=np.full((10, 3), VERTICES + 1)), "tri names vertices"),
    "between": (changed(keypoints=np.full((1, 68), 1.5)), "keypoints names vertices"),
    "five points": (changed(keypoints=np.ones((1, 5))), "keypoints has the wrong shape"),
    "no face": (changed(keypoints=np.arange(1, 69)[None]), "not those of an upright face"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_model_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    spoil, says = REFUSED[name]
    path = tmp_path / "model.mat"
    spoil(path)
    with pytest.raises(ConfigError, match=says) as caught:
        read_face_model(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_large_or_missing_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_face_model(tmp_path / "missing.mat")
    path = made_face.mat(tmp_path / "front.mat")
    monkeypatch.setattr(mat, "LARGEST", 1000)
    with pytest.raises(ConfigError, match="more than a face model"):
        read_face_model(path)


def test_expressions_belong_to_the_model_that_has_none(tmp_path: Path) -> None:
    front = made_face.mat(tmp_path / "front.mat")
    with pytest.raises(ConfigError, match="leave --expression-model out"):
        read_face_model(front, tmp_path)
    path, _ = raw(tmp_path)
    with pytest.raises(ConfigError, match="with --expression-model"):
        read_face_model(path)


def test_broken_expressions_are_refused(tmp_path: Path) -> None:
    path, parts = raw(tmp_path)
    whole = {file.name: file.read_bytes() for file in parts.iterdir()}

    def refused(name: str, data: bytes | None, says: str) -> None:
        target = parts / name
        if data is None:
            target.unlink()
        else:
            target.write_bytes(data)
        with pytest.raises(ConfigError, match=says):
            read_face_model(path, parts)
        target.write_bytes(whole[name])

    refused("Exp_Pca.bin", whole["Exp_Pca.bin"][:-8], "cut off")
    refused("Exp_Pca.bin", b"\x05", "cut off")
    refused("Exp_Pca.bin", np.array([-3], "<i4").tobytes() * 9000, "cut off")
    refused("Exp_Pca.bin", None, "holds no expression model")
    infinite = np.frombuffer(whole["Exp_Pca.bin"], "<f4").copy()
    infinite[-5] = np.inf
    refused("Exp_Pca.bin", infinite.tobytes(), "too large or not finite")
    refused("std_exp.txt", b"1 2 3", "3 deviations for 5")
    refused("std_exp.txt", b"1 2 3 4 five", "holds no expression model")
    refused("std_exp.txt", "1 2 3 4 \u00bd".encode(), "holds no expression model")
    refused("BFM_front_idx.mat", b"x", r"is no face model: it is no \.mat file")
    refused("BFM_exp_idx.mat", whole["BFM_front_idx.mat"], "lacks trimIndex")
    refused("facemodel_info.mat", whole["BFM_front_idx.mat"], "lacks tri")
    assert read_face_model(path, parts).kind == "BFM 2009 and Exp_Pca"
