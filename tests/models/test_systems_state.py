"""Strict loading: what is missing, extra or misshapen is named; what is declared is accepted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from visavis.models.systems.davs import decoder, identity, mouth, sound
from visavis.models.systems.headpose import generator as headpose_generator
from visavis.models.systems.headpose import memory
from visavis.models.systems.headpose import motion as headpose_motion
from visavis.models.systems.state import StateLayout, StateMismatch, build, load_strictly
from visavis.models.systems.style_avatar import generator as style_generator
from visavis.models.systems.style_avatar import motion as style_motion
from visavis.models.systems.style_avatar import texture

LAYOUT = StateLayout(
    renames={"front": "first", "front.special": "norm", "back": "second"},
    aliases={"body.0": "front"},
    unused=("*.dummy", "spare.*"),
)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(3)
        self.second = nn.Linear(3, 1)


def state() -> dict[str, Tensor]:
    shapes = {
        "front.weight": (3, 2),
        "front.bias": (3,),
        "front.special.weight": (3,),
        "front.special.bias": (3,),
        "front.special.running_mean": (3,),
        "front.special.running_var": (3,),
        "back.weight": (1, 3),
        "back.bias": (1,),
    }
    return {key: torch.randn(shape) for key, shape in shapes.items()}


def test_names_of_the_file_become_ours() -> None:
    given = state()
    network = build(Network, given, LAYOUT)
    assert torch.equal(network.first.weight, given["front.weight"])
    assert torch.equal(network.norm.weight, given["front.special.weight"])
    assert torch.equal(network.second.bias, given["back.bias"])
    assert network.norm.num_batches_tracked is not None
    assert not network.norm.num_batches_tracked.is_meta
    assert not network.training and not network.second.bias.requires_grad


def test_module_before_every_key_or_none() -> None:
    given = {f"module.{key}": value for key, value in state().items()}
    assert torch.equal(build(Network, given, LAYOUT).second.bias, given["module.back.bias"])
    given["back.bias"] = given.pop("module.back.bias")
    with pytest.raises(StateMismatch, match=r"missing .*front\.weight"):
        build(Network, given, LAYOUT)


def test_counters_may_be_there() -> None:
    given = state() | {"front.special.num_batches_tracked": torch.tensor(7)}
    assert build(Network, given, LAYOUT).norm.num_batches_tracked == 7


def test_unused_keys_may_be_there_others_not() -> None:
    build(Network, state() | {"spare.weight": torch.zeros(9), "a.dummy": torch.zeros(1)}, LAYOUT)
    with pytest.raises(StateMismatch, match=r"extra surprise\.weight$"):
        build(Network, state() | {"surprise.weight": torch.zeros(9)}, LAYOUT)
    # Our own name for a tensor is none of the file's.
    with pytest.raises(StateMismatch, match=r"extra first\.bias"):
        build(Network, state() | {"first.bias": torch.zeros(3)}, LAYOUT)


def test_either_name_of_a_tensor_or_both_if_equal() -> None:
    given = state()
    weight = given["front.weight"]
    both = given | {"body.0.weight": weight.clone()}
    assert torch.equal(build(Network, both, LAYOUT).first.weight, weight)
    given["body.0.weight"] = given.pop("front.weight")
    assert torch.equal(build(Network, given, LAYOUT).first.weight, weight)
    with pytest.raises(StateMismatch, match=r"different under two names body\.0\.weight"):
        build(Network, both | {"body.0.weight": weight + 1e-6}, LAYOUT)


def test_what_does_not_fit_is_named_as_the_file_calls_it() -> None:
    given = state()
    del given["back.weight"]
    given["front.bias"] = torch.zeros(4)
    given["front.special.running_var"] = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(StateMismatch) as caught:
        build(Network, given, LAYOUT)
    text = str(caught.value)
    assert "missing back.weight" in text
    assert "front.bias float32[4] instead of float32[3]" in text
    assert "front.special.running_var int64[3] instead of float32[3]" in text


def test_a_refused_state_changes_nothing() -> None:
    network = Network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    given = state()
    del given["back.bias"]
    with pytest.raises(StateMismatch):
        load_strictly(network, given, LAYOUT)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_foreign_file_is_told_briefly() -> None:
    with pytest.raises(StateMismatch) as caught:
        build(Network, {f"layer{n}.weight": torch.zeros(1) for n in range(500)}, LAYOUT)
    assert "and 492 more" in str(caught.value) and len(str(caught.value)) < 600


# Number of values, and the SHA-256 over "key shape" lines, sorted: the keys of the published files
# without second names, unused ones, counters and "module.".
PUBLISHED: dict[str, tuple[Callable[[], nn.Module], StateLayout, int, str]] = {
    "davs, identity": (
        identity.IdentityEncoder,
        identity.LAYOUT,
        15_630_720,
        "58bf3da58ea368d5",
    ),
    "davs, decoder": (decoder.Decoder, decoder.LAYOUT, 22_415_875, "b36ba05361be1140"),
    "davs, sound": (sound.SoundEncoder, sound.LAYOUT, 1_603_648, "6625b6b20bf6401f"),
    "davs, mouth": (mouth.MouthEncoder, mouth.LAYOUT, 6_527_929, "631fc484daf4c2fd"),
    "headpose, motion": (
        headpose_motion.Motion,
        headpose_motion.LAYOUT,
        29_432_966,
        "dbec402f9a626981",
    ),
    "headpose, generator": (
        headpose_generator.Generator,
        headpose_generator.LAYOUT,
        259_055_556,
        "c35ae137c2fcac73",
    ),
    "headpose, memory": (memory.MemoryNetwork, memory.LAYOUT, 11_448_768, "441d2c7bb7007e09"),
    "style_avatar, motion": (
        style_motion.Motion,
        style_motion.LAYOUT,
        9_234_688,
        "8c034355068980e0",
    ),
    "style_avatar, texture": (
        texture.TextureEncoder,
        texture.LAYOUT,
        13_223_824,
        "d4198ccb0fdc4527",
    ),
    "style_avatar, generator": (
        style_generator.Generator,
        style_generator.LAYOUT,
        183_470_019,
        "efb4c424e2d3b540",
    ),
}


def of_the_file(name: str, layout: StateLayout) -> str:
    """Our name of a tensor as the file calls it."""
    for theirs, ours in sorted(layout.renames.items(), key=lambda pair: -len(pair[1])):
        if name == ours or name.startswith(f"{ours}."):
            return theirs + name[len(ours) :]
    return name


@pytest.mark.parametrize("network", PUBLISHED)
def test_keys_and_shapes_are_those_of_the_published_file(network: str) -> None:
    make, layout, values, digest = PUBLISHED[network]
    with torch.device("meta"):
        ours = make().state_dict()
    tensors = {key: value for key, value in ours.items() if value.is_floating_point()}
    assert sum(value.numel() for value in tensors.values()) == values
    lines = sorted(f"{of_the_file(key, layout)} {list(v.shape)}" for key, v in tensors.items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == digest


@pytest.mark.parametrize("network", PUBLISHED)
def test_a_file_with_those_names_loads(network: str) -> None:
    """And one with a tensor less does not."""
    make, layout, _, _ = PUBLISHED[network]
    with torch.device("meta"):
        ours = make().state_dict()
    given = {
        f"module.{of_the_file(key, layout)}": torch.empty(value.shape, device="meta")
        for key, value in ours.items()
        if value.is_floating_point()
    }
    build(make, given, layout)
    lost, _ = given.popitem()
    with pytest.raises(StateMismatch, match=lost.removeprefix("module.")):
        build(make, given, layout)
