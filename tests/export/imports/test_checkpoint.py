from __future__ import annotations

import contextlib
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.imports.old_torch import Scalar, Settings, legacy_checkpoint
from visavis.export.imports.checkpoint import read_checkpoint, unnest
from visavis.export.imports.errors import ImportRefused

OLD = {
    "epoch": 101,
    "note": "trained by Jos\xe9 at 90\xb0",
    "best": Scalar(0.5),
    "arguments": Settings(lr=0.1, name="M\xfcnchen"),
    "mfcc_encoder": {
        "module.fc.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "module.fc.bias": np.array([1.0, -1.0], np.float32),
    },
    "optimizer_G": {
        "state": {140_234_111_222: {"exp_avg": np.ones(3, np.float32)}},
        "param_groups": [{"lr": 0.1, "params": [140_234_111_222]}],
    },
}


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ImportRefused) as caught:
        read_checkpoint(path)
    words = str(caught.value)
    assert str(path) in words and words.endswith(".") and "\n" not in words
    return words


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {Path(__file__).with_name('ran')}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_nested_state_dicts_come_back_as_they_were_saved(tmp_path: Path, zipped: bool) -> None:
    weight = torch.randn(3, 2)
    content = {
        "mem_model": OrderedDict(a=weight, b=torch.arange(3)),
        "mem_key": torch.ones(2, 2, dtype=torch.float16),
        "epoch": 3,
    }
    path = saved(tmp_path / "x.pth", content, _use_new_zipfile_serialization=zipped)
    states = unnest(read_checkpoint(path))
    assert set(states) == {"", "mem_model"}
    assert torch.equal(states["mem_model"]["a"], weight)
    assert torch.equal(states["mem_model"]["b"], torch.arange(3))
    assert set(states[""]) == {"mem_key"}


def test_a_tensor_alone_is_a_checkpoint_without_its_gradient(tmp_path: Path) -> None:
    path = saved(tmp_path / "texture.pkl", torch.ones(1, 2, requires_grad=True))
    assert not read_checkpoint(path)[""].requires_grad


def test_an_old_file_of_python_2_with_an_optimizer_and_settings_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pth.tar"
    path.write_bytes(legacy_checkpoint(OLD))
    states = unnest(read_checkpoint(path))
    assert set(states) == {"mfcc_encoder"}
    weight = states["mfcc_encoder"]["module.fc.weight"]
    assert weight.device.type == "cpu"
    assert weight.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_safetensors_are_read(tmp_path: Path) -> None:
    head = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(head)) + head + struct.pack("<2f", 1, 2))
    assert read_checkpoint(path)["a"].tolist() == [1, 2]
    wrong = head.replace(b"[0,8]", b"[0,9]")
    path.write_bytes(struct.pack("<Q", len(wrong)) + wrong + bytes(8))
    assert "damaged" in refusal(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_what_a_pickle_wants_to_run_is_named_and_not_run(tmp_path: Path, zipped: bool) -> None:
    content = {"a": torch.zeros(2), "b": Evil()}
    path = saved(tmp_path / "evil.pth", content, _use_new_zipfile_serialization=zipped)
    assert f"'{os.system.__module__}.system'" in refusal(path)
    assert not Path(__file__).with_name("ran").exists()


def test_a_bare_pickle_that_runs_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"weights": Evil(), "padding": list(range(50))}, protocol=2))
    assert refusal(path)
    assert not Path(__file__).with_name("ran").exists()


def test_every_cut_of_a_checkpoint_is_refused_with_a_sentence(tmp_path: Path) -> None:
    for name, data in (
        ("zip", saved(tmp_path / "zip", {"a": torch.ones(50)}).read_bytes()),
        ("old", legacy_checkpoint(OLD)),
    ):
        for share in (0.02, 0.3, 0.6, 0.9, 0.999):
            path = tmp_path / f"{name}.cut"
            path.write_bytes(data[: int(len(data) * share)])
            refusal(path)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255), old=st.booleans())
def test_a_damaged_checkpoint_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, old: bool
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    whole = (
        legacy_checkpoint(OLD) if old else saved(folder / "x", {"a": torch.ones(9)}).read_bytes()
    )
    damaged = bytearray(whole)
    damaged[place % len(damaged)] = byte
    path = folder / "y"
    path.write_bytes(damaged)
    with contextlib.suppress(ImportRefused):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html><html><title>Google Drive - Virus scan warning", "web page"),
        (b"<html><head></head></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS"),
        (b"weights = 3\n" * 9, "text"),
        (b"\x1f\x8b" + bytes(50), "gzip"),
        (b"\xff\xd8\xff" + bytes(50), "picture"),
        (bytes(range(1, 200)), "nothing else that is known"),
    ],
)
def test_other_files_are_told_apart(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(data)
    assert words in refusal(path)


def test_folders_missing_files_and_person_files_are_told_apart(tmp_path: Path) -> None:
    assert "folder" in refusal(tmp_path)
    assert "no such file" in refusal(tmp_path / "missing")
    person = tmp_path / "x.person"
    with zipfile.ZipFile(person, "w") as archive:
        archive.writestr("person.json", "{}")
    assert "person file" in refusal(person)


def test_a_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/constants.pkl", b"")
        archive.writestr("x/data.pkl", b"")
    assert "TorchScript" in refusal(path)


def test_a_zip_that_grows_when_it_is_unpacked_is_refused(tmp_path: Path) -> None:
    source, bomb = saved(tmp_path / "a", {"a": torch.zeros(4)}), tmp_path / "b"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(member, old.read(member))
    assert "compressed" in refusal(bomb)


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "x", {"a": torch.zeros(1).expand(1 << 40)})
    assert "more than the file" in refusal(path)


def test_sparse_tensors_and_files_without_tensors_are_refused(tmp_path: Path) -> None:
    assert "no tensors" in refusal(saved(tmp_path / "a", {"epoch": 3}))
    assert "kind of tensor" in refusal(saved(tmp_path / "b", {"a": torch.eye(2).to_sparse()}))
    assert "no tensors by name" in refusal(saved(tmp_path / "c", [1, 2, 3]))
