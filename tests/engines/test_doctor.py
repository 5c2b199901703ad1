"""`visavis doctor`: what is missing is said, with what to do."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from tests.engines.fake_cuda import FakeCuda, without_driver
from visavis.engines import doctor, gpu_check
from visavis.engines.backends import NAMES
from visavis.engines.processor import features


def find(name: str) -> doctor.Check:
    return next(check for check in doctor.checks() if check.name == name)


def test_a_machine_that_runs_the_tests_can_serve() -> None:
    found = doctor.checks()
    assert len({check.name for check in found}) == len(found) == 9 + len(NAMES)
    assert all(check.ok for check in found if check.needed), found
    assert len([check for check in found if check.needed]) == 6
    assert "CPUExecutionProvider" in find("ONNX Runtime").detail


def test_backends_that_work_say_what_they_run() -> None:
    """Found by running a network: torch is here, and does not come with serving."""
    assert find("backend onnx-cpu").detail == "works, runs fp16, fp32, int8"
    assert find("backend torch-cpu").detail == "works, runs fp16, fp32"


@pytest.mark.parametrize("name", ["tensorrt", "onnx-cuda", "torch-cuda"])
def test_what_we_have_not_run_is_marked(name: str) -> None:
    check = find(f"backend {name}")
    assert check.detail.endswith("(not run by us yet)") and not check.needed
    assert check.ok or check.advice


def test_a_machine_without_a_gpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    original = gpu_check.find_gpu
    monkeypatch.setattr(gpu_check, "find_gpu", lambda n: original(n, load=without_driver))
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert "no NVIDIA driver" in find("GPU").detail
    check = find("cupy")
    assert check.detail == "cupy is not installed" and "pip install" in check.advice
    assert not check.ok and not check.needed


def test_a_gpu_is_told_as_the_driver_and_nvidia_smi_tell_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    original = gpu_check.find_gpu
    monkeypatch.setattr(gpu_check, "find_gpu", lambda n: original(n, load=FakeCuda().load))
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200, 580.65.06, 143771 MiB, 143000 MiB'\n")
    tool.chmod(0o755)
    monkeypatch.setattr(gpu_check, "NVIDIA_SMI", str(tool))
    detail = find("GPU").detail
    assert "NVIDIA H200, 144384 MiB, compute capability 9.0, CUDA 13.0; " in detail
    assert "580.65.06" in detail
    tool.write_text("#!/bin/sh\necho 'Driver/library version mismatch'; exit 18\n")
    assert "mismatch" not in find("GPU").detail and find("GPU").ok


class Cupy(types.ModuleType):
    __version__ = "14.2.0"

    def __init__(self, total: int | Exception) -> None:
        super().__init__("cupy")
        self._total = total

    def arange(self, count: int) -> Cupy:
        return self

    def sum(self) -> int:
        if isinstance(self._total, Exception):
            raise self._total
        return self._total


@pytest.mark.parametrize(
    ("total", "words"),
    [
        (6, "cupy 14.2.0"),
        (0, "computes wrongly"),
        (
            RuntimeError("cudaErrorInsufficientDriver: driver is insufficient"),
            "no GPU .cudaErrorIn",
        ),
    ],
)
def test_cupy_works_when_it_has_computed(
    monkeypatch: pytest.MonkeyPatch, total: int | Exception, words: str
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", Cupy(total))
    check = find("cupy")
    assert check.ok == (total == 6) and re.search(words, check.detail)


def test_an_encoder_is_there_when_it_has_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one that every FFmpeg has; that of the card is refused where there is no card."""
    monkeypatch.setattr(gpu_check, "ENCODER", "libx264")
    assert find("encoder on the GPU").detail == "libx264, opened"
    monkeypatch.setattr(gpu_check, "ENCODER", "h264_none")
    assert "is built without it" in find("encoder on the GPU").detail
    # Opened like one, and gives no pictures: for sound.
    monkeypatch.setattr(gpu_check, "ENCODER", "aac")
    assert not find("encoder on the GPU").ok


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
    monkeypatch.setattr(doctor, "features", lambda: flags)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    check = find("processor")
    assert (check.ok, bool(check.advice)) == (ok, advised)
    assert words in check.detail


def test_flags_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu avx2 avx_vnni\nbugs\t: x\n")
    assert {"fpu", "avx2", "avx_vnni"} <= features(tmp_path / "cpuinfo")
    assert features(tmp_path / "none") == set()


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
