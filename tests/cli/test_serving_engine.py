"""Which engine serves: where frames are made, and what is refused."""

from __future__ import annotations

import logging

import pytest

from visavis.cli.serving_engine import draws_on_gpu, engine_settings, make_engine
from visavis.engines import backends
from visavis.engines.cuda import cupy_device
from visavis.engines.errors import BackendUnavailable
from visavis.engines.onnx_cpu import OnnxCpuBackend


class OnGpu(OnnxCpuBackend):
    """A backend that says it runs on a GPU."""

    name = "torch-cuda (a stand-in)"


def no_device() -> None:
    raise BackendUnavailable("cuda", "cupy is not installed", "pip install cupy-cuda13x.")


def settings(backend: str) -> dict[str, object]:
    return engine_settings(
        persons=["presenter"],
        folder=None,
        promised=False,
        backend=backend,
        sessions=2,
        memory_mib=None,
    )


def test_frames_are_made_where_networks_run() -> None:
    assert draws_on_gpu("onnx-cuda (ONNX Runtime 1.31.1)") and draws_on_gpu("tensorrt")
    assert not draws_on_gpu("onnx-cpu (ONNX Runtime 1.31.1)") and not draws_on_gpu("torch-cpu")


def test_a_gpu_that_was_asked_for_and_cannot_draw_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backends, "choose", lambda wanted: OnGpu())
    monkeypatch.setattr(cupy_device, "CupyDevice", no_device)
    with pytest.raises(BackendUnavailable, match="cupy is not installed"):
        make_engine(settings("torch-cuda"))


def test_a_gpu_that_was_found_and_cannot_draw_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backends, "choose", lambda wanted: OnGpu())
    monkeypatch.setattr(cupy_device, "CupyDevice", no_device)
    with caplog.at_level(logging.WARNING):
        engine = make_engine(settings("auto"))
    try:
        assert [info.name for info in engine.persons()] == ["presenter"]
        assert engine.load().shares_cores
    finally:
        engine.close()
    assert "cupy is not installed" in caplog.text and "networks only" in caplog.text
