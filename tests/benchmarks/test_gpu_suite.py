"""The parts of the GPU suite that a processor can rehearse, and what they say where it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.engines.tiny_person import tiny_person
from visavis.benchmarks import device_frames, floor
from visavis.engines.errors import BackendUnavailable, ConfigError
from visavis.engines.pipeline import Pipeline, Work
from visavis.models.layer_floor import layers_of
from visavis.models.network_timing import our_renderer

ROOT = Path(__file__).resolve().parents[2]


def test_the_traffic_of_a_layer_is_counted_once_each_way() -> None:
    layers = {layer.name: layer for layer in layers_of(our_renderer(), torch.zeros(2, 38, 16, 16))}
    enter = layers["enter"]
    assert (enter.reads, enter.writes) == ((38, 16, 16), (32, 16, 16))
    weights = 38 * 32 * 9 + 32
    assert enter.traffic(2, 2) == 2 * (2 * (38 + 32) * 16 * 16 + weights)
    # Every convolution of the network, none twice.
    convolutions = [m for m in our_renderer().modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(layers) == len(convolutions)


def test_the_floor_is_a_table_of_all_layers() -> None:
    result = floor.run(batches=(1,), size=32)
    json.dumps(result, allow_nan=False)
    (batch,) = result["batches"]
    assert batch["ratio"] > 1 and result["bytes_per_s"] > 1e8
    total = sum(row["floor_us"] for row in batch["layers"]) / 1000
    assert batch["floor_ms"] == pytest.approx(total, rel=0.05, abs=0.002)
    text = floor.table(result)
    assert all(row["name"] in text for row in batch["layers"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said() -> None:
    with pytest.raises(ConfigError, match="no CUDA device"):
        floor.run(device="cuda")
    with pytest.raises(BackendUnavailable, match="cuda"):
        device_frames.runner_maker("cuda")
    with pytest.raises(ConfigError, match="not by 'onnx-cpu'"):
        device_frames.runner_maker("cuda", "onnx-cpu")


class _Other(Pipeline):
    """A device that gets something wrong, in the frames of one session."""

    mistake = 0

    def advance(self, work: Any) -> None:
        super().advance(work)
        item: Work = work[-1]
        assert item.i420 is not None
        item.i420 = np.roll(item.i420, self.mistake, axis=1)


@pytest.mark.parametrize(("mistake", "agrees"), [(0, True), (3, False)])
def test_frames_are_held_against_each_other(mistake: int, agrees: bool) -> None:
    """The toy: a device that draws one session of several in the wrong place."""
    person = tiny_person()
    ours, theirs = _Other(person, variant="fp32"), Pipeline(person, variant="fp32")
    ours.mistake = mistake
    result = device_frames.compare([person], [ours], [theirs], ticks=4, sessions=2)
    assert result["frames"] == 8 and result["agrees"] is agrees
    assert (result["largest"] == 0) is agrees


def run(script: str, *, out: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`gpu.sh` with a stand-in for the Python that runs its steps."""
    stand_in = out / "python"
    stand_in.write_text(f'#!/bin/sh\n[ "$1" = - ] && exec {sys.executable} "$@"\n{script}\n')
    stand_in.chmod(0o755)
    return subprocess.run(
        [str(ROOT / "benchmarks" / "gpu.sh"), "--device", "cpu"],
        env={**os.environ, "PYTHON": str(stand_in), "OUT": str(out), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_step_that_fails_or_hangs_is_noted_and_the_next_one_runs(tmp_path: Path) -> None:
    script = """case "$*" in
*doctor*) echo '{"ok": true}' ;;
*verify*) echo half a result; echo the reason >&2; exit 3 ;;
*device_frames*) echo "no GPU here" >&2; exit 77 ;;
*"bench engine"*) exec sleep 30 ;;
*) echo '{}' ;;
esac"""
    done = run(script, out=tmp_path, TOTAL_SECONDS="4")
    assert done.returncode == 0, done.stderr
    steps = json.loads((tmp_path / "gpu.json").read_text())["steps"]
    assert steps["doctor"]["state"] == "done" and steps["doctor"]["result"] == {"ok": True}
    assert steps["verify"]["state"] == "failed" and steps["verify"]["exit"] == 3
    assert steps["verify"]["errors"] == ["the reason"]
    assert steps["verify"]["said"] == ["half a result"]
    assert steps["frames"]["state"] == "not run" and "no GPU" in steps["frames"]["errors"][0]
    assert steps["engine"]["state"] == "took too long"
    assert steps["floor"]["errors"] == ["no time was left"] and "sessions" in steps


def test_what_it_does_not_know_it_refuses() -> None:
    for words in (["--device", "tpu"], ["--fast"], ["pack"]):
        done = subprocess.run(
            [str(ROOT / "benchmarks" / "gpu.sh"), *words],
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert done.returncode == 2 and "gpu.sh --device cpu" in done.stdout
