"""The exported motion graph: it computes what the network does, and may be packed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from visavis.engines.motion import Tract
from visavis.engines.onnx_check import check_model
from visavis.export.motion import export_motion, motion_graph, verify_motion, write_motion
from visavis.models.motion import Motion, MotionConfig


@pytest.fixture(scope="module")
def motion() -> Motion:
    torch.manual_seed(0)
    return Motion(MotionConfig(stem=16, width=24)).eval()


@pytest.fixture(scope="module")
def graph(motion: Motion) -> bytes:
    return export_motion(motion)


@pytest.mark.parametrize("batch", [1, 5])
def test_graph_and_network_agree(graph: bytes, motion: Motion, batch: int) -> None:
    assert verify_motion(graph, motion, batch=batch) < 1e-5


def test_verification_can_fail(graph: bytes) -> None:
    torch.manual_seed(1)
    assert verify_motion(graph, Motion(MotionConfig(stem=16, width=24))) > 1e-3


def test_a_person_file_may_hold_it(graph: bytes, motion: Motion) -> None:
    entry = motion_graph(motion)
    shapes = [
        {name: tuple(shape[1:]) for name, shape in entry[side].items()}
        for side in ("inputs", "outputs")
    ]
    check_model("motion.fp32.onnx", graph, *shapes)


def test_what_is_written_runs(tmp_path: Path, motion: Motion) -> None:
    rng = np.random.default_rng(0)
    parts = {name: rng.normal(size=7).astype(np.float32) for name in ("rest", "closed", "liptooth")}
    parts["map"] = rng.normal(size=(7, 6)).astype(np.float32)
    write_motion(motion, tmp_path, parts, params={"hang_ms": 80.0})
    entries = json.loads((tmp_path / "stage.json").read_text())
    stage = entries["stages"]["motion"]
    read = {role: np.load(tmp_path / Path(file).name) for role, file in stage["parts"].items()}
    session = onnxruntime.InferenceSession(tmp_path / "motion.fp32.onnx")
    names = [o.name for o in session.get_outputs()]

    class Graph:
        def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return dict(zip(names, session.run(names, feeds), strict=True))

    tract = Tract(stage["params"], read, Graph())
    states = [tract.initial_state(ms) for ms in (40, 120, 200)]
    quiet = [np.zeros(2, np.bool_)] * 3
    for _ in range(4):
        rows = rng.normal(size=(3, 4, 66)).astype(np.float32)
        coefficients, gate = tract.step(states, rows, quiet)
    assert coefficients.shape == (3, 7) and gate.shape == (3,)
    assert any(np.abs(s.graph[4]).sum() > 0 for s in states)
