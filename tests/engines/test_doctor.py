"""`visavis doctor`: what is missing is said, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from visavis.engines import doctor


def find(name: str) -> doctor.Check:
    return next(check for check in doctor.checks() if check.name == name)


def test_a_machine_that_runs_the_tests_can_serve() -> None:
    found = doctor.checks()
    assert len({check.name for check in found}) == len(found) == 6
    assert all(check.ok for check in found), found
    assert "CPUExecutionProvider" in find("ONNX Runtime").detail


def test_a_missing_runtime_comes_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    check = find("ONNX Runtime")
    assert not check.ok and "pip install 'visavis[cpu]'" in check.advice


def test_a_missing_codec_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import av.codec

    left = {name for name in av.codec.codecs_available if name != "libvpx"}
    monkeypatch.setattr(av.codec, "codecs_available", left)
    check = find("codecs")
    assert not check.ok and check.detail == "no libvpx (VP8 in live sessions)"


@pytest.mark.parametrize(
    ("flags", "ok", "words", "advised"),
    [
        ({"avx2", "avx512_vnni"}, True, "8-bit products (avx512_vnni)", False),
        ({"avx2"}, True, "AVX2, no VNNI", True),
        ({"sse2"}, False, "no AVX2", True),
    ],
)
def test_what_the_processor_lacks_is_said(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], ok: bool, words: str, advised: bool
) -> None:
    monkeypatch.setattr(doctor, "_features", lambda: flags)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    check = find("processor")
    assert (check.ok, bool(check.advice)) == (ok, advised)
    assert words in check.detail


def test_flags_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu avx2 avx_vnni\nbugs\t: x\n")
    assert {"fpu", "avx2", "avx_vnni"} <= doctor._features(tmp_path / "cpuinfo")
    assert doctor._features(tmp_path / "none") == set()


def test_half_a_core_is_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "available_cores", lambda: 0.5)
    check = find("cores")
    assert not check.ok and "at least one whole core" in check.advice


def test_nowhere_to_keep_kernels_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    check = find("compiled kernels")
    assert not check.ok and "NUMBA_CACHE_DIR" in check.advice


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> float:
        raise OSError("no such device")

    monkeypatch.setattr(doctor, "available_cores", broken)
    check = find("cores")
    assert not check.ok and "no such device" in check.detail
