"""Parity cases: what a folder may hold, what passes, what fails and why; the command."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.command import visavis
from visavis.cli.exit_codes import ExitCode
from visavis.cli.main import main
from visavis.engines.errors import ConfigError
from visavis.export.parity.case import Case, CaseError, ParityFolder
from visavis.export.parity.check import Check, agree, exact, largest, share
from visavis.export.parity.runner import Part, Row, as_json, line, run_folder
from visavis.export.parity.systems import SYSTEMS

CASES = Path(__file__).parent / "parity"


def write(folder: Path, name: str, about: dict[str, Any], **arrays: Any) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.with_name(f"{path.name}.case.json").write_text(json.dumps(about))
    np.savez(path.with_name(f"{path.name}.case.npz"), **arrays)


def double(case: Case) -> Iterable[Check]:
    return agree("twice", 2.0 * case.array("x"), case.array("y"), case.tolerance)


def rows(folder: Path, part: Part = double) -> list[Row]:
    return list(run_folder(folder, {"toy": {"double": part}}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "toy/double", {"tolerance": {"max_abs": 0.1}}, x=np.ones(3), y=np.full(3, 2.0))
    return tmp_path


def test_what_agrees_passes(folder: Path) -> None:
    (row,) = rows(folder)
    assert (row.system, row.part, row.check.passed) == ("toy", "double", True)
    assert line(row).endswith("ok")


@pytest.mark.parametrize("wrong", [1.0, np.nan, np.inf])
def test_what_is_off_fails(folder: Path, wrong: float) -> None:
    about = {"tolerance": {"max_abs": 0.1, "rel_l2": 0.1}}
    write(folder, "toy/double", about, x=np.ones(3), y=np.array([2.0, 2.0, wrong]))
    found = rows(folder)
    assert [row.check.measure for row in found] == ["max abs", "rel l2"]
    assert not any(row.check.passed for row in found)
    assert all("FAIL" in line(row) for row in found)
    json.dumps(as_json(found), allow_nan=False)


def test_another_shape_fails_where_broadcasting_would_pass() -> None:
    (check,) = largest("x", np.zeros((1, 3)), np.zeros(3), 1.0)
    assert not check.passed and "[1, 3] instead of [3]" in check.reason
    (check,) = share("x", np.zeros(0, bool), 0.5)
    assert not check.passed
    (check,) = exact("x", [], [])
    assert not check.passed
    (check,) = agree("x", [1.0], [1.0], {"vertices": 1.0})
    assert not check.passed and "no tolerance" in check.reason


def test_an_array_that_nobody_compared_fails(folder: Path) -> None:
    def lazy(case: Case) -> Iterable[Check]:
        case.array("x")
        return exact("one", [1], [1])

    assert [(row.check.what, row.check.passed) for row in rows(folder, lazy)] == [
        ("one", True),
        ("y", False),
    ]


def test_nothing_is_skipped(folder: Path) -> None:
    write(folder, "toy/other", {}, x=np.ones(1))
    write(folder, "unheard/of", {}, x=np.ones(1))
    (folder / "toy" / "half.case.npz").write_bytes(b"")

    def broken(case: Case) -> Iterable[Check]:
        raise RuntimeError("the roof is on fire\nand more")

    found = {(row.system, row.part): row.check for row in rows(folder, broken)}
    assert set(found) == {
        ("toy", "double"),
        ("toy", "half"),
        ("toy", "other"),
        ("unheard", "of"),
    }
    assert not any(check.passed for check in found.values())
    assert found["toy", "double"].reason == "RuntimeError: the roof is on fire"
    assert "nothing here runs" in found["unheard", "of"].reason
    assert not rows(folder, lambda case: [])[0].check.passed


def test_one_file_of_a_case_is_missing(folder: Path) -> None:
    (folder / "toy" / "double.case.npz").unlink()
    (row,) = rows(folder)
    assert not row.check.passed and "double.case.npz cannot be read" in row.check.reason


def packed(path: Path, data: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", data)


def header(text: str) -> bytes:
    padded = text.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }") + b"x" * 8, "object"),
        (
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (900000000000,), }"),
            "not as large",
        ),
        (b"not an array", "cannot be read"),
    ],
)
def test_a_bad_array_is_refused(folder: Path, data: bytes, said: str) -> None:
    packed(folder / "toy" / "double.case.npz", data)
    (row,) = rows(folder)
    assert not row.check.passed and said in row.check.reason


def test_what_unpacks_to_too_much_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visavis.export.parity.case.MAX_ARRAYS_BYTES", 1 << 20)
    packed(folder / "toy" / "double.case.npz", b"\x00" * (2 << 20))
    assert (folder / "toy" / "double.case.npz").stat().st_size < 1 << 14
    (row,) = rows(folder)
    assert not row.check.passed and "more than a case may" in row.check.reason


def test_columns_first_is_read_as_it_was_written(folder: Path) -> None:
    wanted = np.arange(6.0).reshape(2, 3)
    np.savez(folder / "toy" / "double.case.npz", x=np.asfortranarray(wanted), y=2 * wanted)
    (row,) = rows(folder)
    assert row.check.error == 0.0


@pytest.mark.parametrize("name", ["../../etc/passwd:x", "/etc/passwd:x", "a/b/c:x", "toy/../x:y"])
def test_a_case_cannot_reach_out_of_its_folder(folder: Path, name: str) -> None:
    case = ParityFolder(folder).case("toy", "double")
    with pytest.raises(CaseError, match="no name of a file"):
        case.array(name)
    with pytest.raises(CaseError, match="no name of a file"):
        case.weights("../secret.schema.json", "salt", "0")


def test_weights_must_be_those_of_the_case(tmp_path: Path) -> None:
    shutil.copytree(CASES, tmp_path / "cases")
    path = tmp_path / "cases" / "davs" / "mfcc_encoder.case.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps(about | {"salt": "another"}))
    by_part = {row.part: row.check for row in run_folder(tmp_path / "cases", SYSTEMS)}
    assert "not those of the case" in by_part["mfcc_encoder"].reason


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        ParityFolder(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no parity case"):
        ParityFolder(tmp_path)


def test_every_system_runs_what_the_notes_name() -> None:
    assert {name: sorted(parts) for name, parts in SYSTEMS.items()} == {
        "davs": [
            "decoder_align_false",
            "decoder_align_true",
            "id_encoder",
            "lip_encoder",
            "mfcc13",
            "mfcc_encoder",
        ],
        "headpose": ["atc_net", "generator", "geometry", "memory", "mfcc", "raster"],
        "audiodvp": [
            "audio2expression",
            "audio_features",
            "composite",
            "geometry",
            "neural_renderer",
            "raster",
        ],
        "style_avatar": ["audio2motion", "face_unet", "style_code", "tex_encoder", "uv_raster"],
        "rhythmic": ["generator_n1", "generator_n1_old", "generator_n8", "rotate_audio"],
    }


def test_the_command_runs_the_originals_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--parity", str(CASES), "--json"]) == ExitCode.OK
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert {(check["system"], check["part"]) for check in checks} == {
        ("davs", "mfcc_encoder"),
        ("style_avatar", "audio2motion"),
    }
    assert len(checks) >= 6 and all(check["passed"] for check in checks)


def test_the_command_says_what_is_off(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--parity", str(folder)]) == ExitCode.CHECK_FAILED
    out = capsys.readouterr().out.splitlines()
    assert "FAIL" in out[0] and "nothing here runs" in out[0]
    assert out[-1] == "0 of 1 cases passed (1 checks)."


def test_the_command_without_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--parity", str(tmp_path / "none")]) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == "" and "is not a folder" in captured.err


def test_a_person_or_a_folder_not_both() -> None:
    done = visavis("verify", "presenter", "--parity", ".")
    assert done.returncode == ExitCode.USAGE and "not allowed with" in done.stderr
