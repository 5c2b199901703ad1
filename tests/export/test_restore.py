"""Networks that were exported, restored: they compute what the graphs compute."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from visavis.benchmarks.live.persons import load
from visavis.engines.errors import PersonFileError
from visavis.engines.person import Person
from visavis.export.motion import verify_motion
from visavis.export.restore import restore_motion, restore_renderer
from visavis.models.renderer import PLANES, RendererGraph


@pytest.fixture(scope="module")
def presenter() -> Person:
    return load("presenter")


def test_the_motion_network_comes_back(presenter: Person) -> None:
    graph = presenter.parts[presenter.graphs["motion"].variants["fp32"]]
    motion = restore_motion(presenter)
    assert verify_motion(graph, motion) < 1e-5
    with torch.no_grad():
        motion.conv1.weight[0] += 0.1
    assert verify_motion(graph, motion) > 1e-3


def test_the_renderer_comes_back(presenter: Person) -> None:
    graph = presenter.parts[presenter.graphs["renderer"].variants["fp32"]]
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    planes = np.random.default_rng(0).normal(0.0, 0.5, (1, PLANES, 96, 96)).astype(np.float32)
    planes[:, 24] = 1.0
    want = session.run(None, {"planes": planes})
    with torch.no_grad():
        made = RendererGraph(restore_renderer(presenter))(torch.from_numpy(planes))
    for ours, theirs in zip(made, want, strict=True):
        # Sums of floats differ in their last bits; a level at the half may round either way.
        assert np.abs(ours.numpy().astype(int) - theirs.astype(int)).max() <= 1
        assert np.mean(ours.numpy() != theirs) < 1e-3


def test_a_foreign_network_is_refused(presenter: Person) -> None:
    swapped = {**presenter.graphs, "renderer": presenter.graphs["motion"]}
    foreign = type(presenter)(
        **{
            name: getattr(presenter, name)
            for name in presenter.__dataclass_fields__
            if name != "graphs"
        },
        graphs=swapped,
    )
    with pytest.raises(PersonFileError, match="foreign"):
        restore_renderer(foreign)
