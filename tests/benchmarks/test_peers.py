"""Peers from clones: a stand-in clone is timed, and what cannot be run is said, not left out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engines.tiny_person import tiny_person
from visavis.benchmarks import peers
from visavis.benchmarks.peers import NETWORKS, one
from visavis.benchmarks.peers.plot import plot
from visavis.engines.errors import ConfigError
from visavis.models import network_timing

STAND_IN = """\
import torch

class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = (torch.nn.Conv2d(6, 3, 1, bias=False) for _ in "ab")
        self.merged = False

    def reparameterize(self):
        self.merged = True
        del self.two

    def forward(self, x):
        return self.one(x) if self.merged else self.one(x) + self.two(x)

class Model(torch.nn.Module):
    def __init__(self, n_channels, mode):
        super().__init__()
        assert (n_channels, mode) == (6, "hubert")
        self.block = Block()

    def forward(self, x, audio_feat):
        assert x.shape[1:] == (6, 160, 160) and audio_feat.shape[1:] == (16, 32, 32)
        return torch.sigmoid(self.block(x))

def reparameterize_model(model):
    for module in model.modules():
        if hasattr(module, "reparameterize"):
            module.reparameterize()
"""


@pytest.fixture
def clones(tmp_path: Path) -> Iterator[Path]:
    """Clones of which one is there, as a git repository."""
    clone = tmp_path / "FeatherTalk"
    clone.mkdir()
    (clone / "unet_mobileone.py").write_text(STAND_IN)
    git = ["git", "-C", str(clone), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    path, modules = sys.path.copy(), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name in ("unet_mobileone",):
            del sys.modules[name]


def feathertalk() -> Any:
    return next(network for network in NETWORKS if network.name == "feathertalk")


def test_ours_and_a_peer_in_one_run(clones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without processes of their own: one of those is started below.
    monkeypatch.setattr(peers, "_timed", one.measured)
    monkeypatch.setattr(peers, "load", lambda name: tiny_person(name))
    result = peers.run(
        clones,
        person="tiny",
        batches=(1, 2),
        seconds=0.01,
        networks=("feathertalk", "ultralight"),
    )
    json.dumps(result, allow_nan=False)
    ours, peer, missing = result["rows"]
    assert {run["way"] for run in ours["runs"]} >= {"eager float32", "ONNX Runtime fp32"}
    # One 1x1 convolution from 6 to 3 at 160x160, after both branches became one.
    assert peer["gflop"] == pytest.approx(2 * 18 * 160 * 160 / 1e9, rel=0.01)
    assert peer["parameters"] == 18 and len(peer["commit"]) == 40
    for run in peer["runs"]:
        assert run["mpixel_per_s"] == pytest.approx(160 * 160 * run["frames_per_s"] / 1e6, rel=0.02)
    assert missing["not_run"] == "there is no Ultralight-Digital-Human/unet.py among the clones"
    text = peers.table(result)
    assert "not run: there is no" in text and "VASA-1" in text and "2 GFLOP" not in text
    assert "FeatherTalk" in plot(result) and "not run" in plot(result)


def test_without_its_finish_a_network_would_cost_more(clones: Path) -> None:
    """The toy: the training form, with branches that nobody runs when it serves."""
    made = one.build(feathertalk(), clones)
    assert made.block.merged
    assert network_timing.measure(
        made, feathertalk().inputs, (1,), device="cpu", seconds=0.001
    )["parameters"] == 18  # fmt: skip


def test_what_a_clone_raises_is_the_reason(clones: Path) -> None:
    (clones / "FeatherTalk" / "unet_mobileone.py").write_text("import nothing_that_exists\n")
    row = peers._peer(feathertalk(), clones, {"batches": [1], "seconds": 0.1, "device": "cpu"})
    assert "nothing_that_exists" in row["not_run"]


def test_a_package_that_is_not_there_is_the_reason(
    clones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = clones / "MuseTalk" / "musetalk" / "models" / "unet.py"
    evidence.parent.mkdir(parents=True)
    evidence.write_text("")
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    network = next(network for network in NETWORKS if network.name == "musetalk-unet")
    row = peers._peer(network, clones, {})
    assert row["not_run"] == "diffusers is not installed" and row["commit"] is None


def test_threads_are_given_back_and_slow_batches_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(network_timing, "LONGEST_BATCH_S", 0.0)
    made = network_timing.measure(
        torch.nn.Conv2d(3, 3, 1), {"input": (3, 8, 8)}, (1, 4), device="cpu", seconds=0.001
    )
    assert torch.get_num_threads() == before
    assert "ms_a_frame" in made["runs"][0] and "over 0 s" in made["runs"][1]["not_run"]


def test_the_directions_name_every_clone_once() -> None:
    text = peers.directions()
    for network in NETWORKS:
        assert text.count(f"git clone {network.repository} DIR/{network.folder}\n") == 1
        assert network.commit in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_or_a_network_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no CUDA device"):
        peers.run(tmp_path, device="cuda")
    with pytest.raises(ConfigError, match="'wav2lip' is no network here"):
        peers.run(tmp_path, networks=("wav2lip",))
