from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.export.imports import samples
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.networks import NETWORKS, collect, recognise

# Some keys of the published files, each with the shape that tells where there is one.
KEYS = {
    ("davs", "sound"): {"model1.conv1.weight": (64, 1, 3, 3), "model2.conv3.weight": (2,)},
    ("davs", "decoder"): {"deconv1_1_new.weight": (2,), "conv7_2.weight": (2,)},
    ("headpose", "motion"): {"audio_eocder.0.0.weight": (2,), "lstm_fc.0.weight": (70, 256)},
    ("audiodvp", "audio"): {
        "audio_eocder.0.0.weight": (2,),
        "lmark_encoder.0.weight": (256, 6),
        "lstm_fc.0.weight": (6, 256),
    },
    ("style_avatar", "generator"): {
        "model1_1.1.weight": (64, 16, 7, 7),
        "model1_2.9.weight": (3, 64, 7, 7),
    },
    ("style_avatar", "blender"): {
        "model1_1.1.weight": (64, 3, 7, 7),
        "model1_2.9.weight": (3, 64, 7, 7),
    },
    ("style_avatar", "texture"): {"": (1, 16, 64, 64)},
}


def state(which: tuple[str, str], prefix: str = "") -> dict[str, torch.Tensor]:
    return {prefix + key: torch.zeros(shape) for key, shape in KEYS[which].items()}


@pytest.mark.parametrize(
    ("which", "prefix"),
    [(which, prefix) for which in KEYS for prefix in ("", "module.") if "" not in KEYS[which]]
    + [(("style_avatar", "texture"), "")],
)
def test_a_network_is_known_by_its_keys(which: tuple[str, str], prefix: str) -> None:
    found = recognise(state(which, prefix))
    assert found is not None
    assert (found.system, found.name) == which


def test_what_nobody_published_is_not_known() -> None:
    assert recognise({"fc1.weight": torch.zeros(2, 2)}) is None
    assert len({(network.system, network.name) for network in NETWORKS}) == len(NETWORKS)


def files(tmp_path: Path, *contents: object) -> tuple[Path, ...]:
    paths = tuple(tmp_path / f"{k}.pth" for k in range(len(contents)))
    for path, content in zip(paths, contents, strict=True):
        torch.save(content, path)
    return paths


def refusal(paths: tuple[Path, ...], system: str, *needed: str) -> str:
    request = samples.request(paths[0], system=system, checkpoints=paths)
    with pytest.raises(ImportRefused) as caught:
        collect(request, needed)
    return str(caught.value)


def test_networks_come_by_name_whatever_the_order_of_files(tmp_path: Path) -> None:
    one = {"mfcc_encoder": state(("davs", "sound"), "module."), "epoch": 3}
    paths = files(tmp_path, {"Decoder": state(("davs", "decoder"))}, one)
    for order in (paths, paths[::-1]):
        got = collect(samples.request(paths[0], checkpoints=order), ("sound", "decoder"))
        assert {name: set(state) for name, state in got.items()} == {
            "sound": {"module.model1.conv1.weight", "module.model2.conv3.weight"},
            "decoder": set(KEYS["davs", "decoder"]),
        }


def test_a_network_of_another_system_is_named(tmp_path: Path) -> None:
    words = refusal(files(tmp_path, state(("headpose", "motion"))), "audiodvp", "audio")
    assert "looks like the audio network (ATC_net) of headpose" in words


def test_two_of_a_kind_are_refused(tmp_path: Path) -> None:
    twice = [state(("davs", "decoder"))] * 2
    words = refusal(files(tmp_path, *twice), "davs", "decoder")
    assert "Both" in words and "the decoder" in words


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    paths = files(tmp_path, state(("davs", "decoder")))
    words = refusal(paths, "davs", "decoder", "sound", "identity")
    assert "the audio encoder, the identity encoder" in words and "the decoder" not in words


def test_an_unknown_network_is_refused_with_one_of_its_names(tmp_path: Path) -> None:
    words = refusal(files(tmp_path, {"fc1.weight": torch.zeros(2)}), "davs", "decoder")
    assert "'fc1.weight'" in words
