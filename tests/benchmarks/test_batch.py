"""The benchmark of batches across persons: what is compared, and what it says."""

from __future__ import annotations

import pytest
import torch

from visavis.benchmarks import batch
from visavis.engines.errors import ConfigError
from visavis.models.batch_timing import EACH, FLOOR, TOGETHER, gflop, measure


def test_three_ways_are_measured_on_the_same_frames() -> None:
    made = measure(3, 2, size=32, repeats=1)
    assert (made["persons"], made["frames"]) == (3, 3)  # one frame each at least
    assert list(made["ways"]) == [EACH, TOGETHER, FLOOR]
    assert made["ways"][FLOOR]["ratio"] == 1.0 and not made["graphs"]
    assert all(way["ms_a_frame"] > 0 for way in made["ways"].values())
    one = made["ways"][FLOOR]["weight_bytes"]
    assert made["ways"][EACH]["weight_bytes"] == made["ways"][TOGETHER]["weight_bytes"] == 3 * one
    assert made["deviation"] < 0.01  # levels: the two honest ways show the same


def test_the_table_says_it() -> None:
    result = batch.run(persons=(1, 2), frames=2, repeats=1)
    text = batch.table(result)
    assert "one thread, float32" in text and text.count("weights as inputs") == 2
    assert len(result["batches"]) == 2
    assert gflop(384) == pytest.approx(4 * gflop(192), rel=0.01) and "GFLOP a frame" in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said() -> None:
    with pytest.raises(ConfigError, match="no CUDA device"):
        batch.run(device="cuda")
