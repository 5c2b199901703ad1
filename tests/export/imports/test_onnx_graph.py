from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from visavis.engines.errors import PersonFileError
from visavis.export.imports import onnx_graph
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.lstm_step import LstmStep
from visavis.export.imports.onnx_graph import ToI420, exported, rounded
from visavis.export.imports.pictures import to_i420
from visavis.export.plain_backend import PlainBackend


class Remembering(nn.Module):
    """One row of an LSTM of two layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lstm = nn.LSTM(3, 4, 2, batch_first=True)
        self.step = LstmStep(self.lstm)

    def forward(self, features: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        return self.step(features[:, -1], *states)


SHAPES = {"features": (5, 3), "state_0": (2, 4), "state_1": (2, 4)}
PAIRS = [("state_0", "next_state_0"), ("state_1", "next_state_1")]


def test_states_carry_what_torch_remembers() -> None:
    module = Remembering()
    outputs = ["coefficients", "next_state_0", "next_state_1"]
    entry, parts = exported("motion", module, inputs=SHAPES, outputs=outputs, state=PAIRS)
    assert entry["state"] == [list(pair) for pair in PAIRS]
    assert entry["inputs"]["features"] == ["N", 5, 3]
    assert entry["outputs"]["coefficients"] == ["N", 4]
    graph = PlainBackend().load("motion", parts[entry["variants"]["fp32"]])
    rows = np.random.default_rng(0).standard_normal((3, 6, 3)).astype(np.float32)
    state = {name: np.zeros((3, 2, 4), np.float32) for name in ("state_0", "state_1")}
    for k in range(6):
        window = np.zeros((3, 5, 3), np.float32)
        window[:, -1] = rows[:, k]
        given = graph.run({"features": window, **state})
        state = {before: np.asarray(given[after], np.float32) for before, after in PAIRS}
    with torch.no_grad():
        wanted = module.lstm(torch.from_numpy(rows))[0][:, -1].numpy()
    np.testing.assert_allclose(given["coefficients"], wanted, atol=1e-6)


def test_colours_are_those_of_the_codec() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    picture = picture.repeat(4, 0).repeat(4, 1)
    rgb = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]
    made = np.concatenate([plane.numpy().ravel() for plane in ToI420()(rgb)])
    assert np.abs(made.astype(int) - to_i420(picture).ravel()).max() <= 1


def test_levels_outside_are_cut_and_not_turned_around() -> None:
    y, u, v = ToI420()(torch.stack([torch.full((3, 4, 4), 9.0), torch.full((3, 4, 4), -9.0)]))
    assert y[0].unique().tolist() == [235] and y[1].unique().tolist() == [16]
    assert u.unique().tolist() == v.unique().tolist() == [128]


class Wide(nn.Module):
    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(32, 32)
        with torch.no_grad():
            self.layer.weight[0, 0] = weight

    def forward(self, coefficients: Tensor) -> Tensor:
        return self.layer(coefficients)


def test_half_a_file_is_what_rounded_weights_give() -> None:
    module = Wide()
    sizes = []
    for half in (False, True):
        _, parts = exported(
            "render", module, inputs={"coefficients": (32,)}, outputs=["vertices"], half=half
        )
        sizes.append(len(parts["render.fp32.onnx"]))
    assert sizes[1] < 0.7 * sizes[0]
    x = np.random.default_rng(0).standard_normal((4, 32)).astype(np.float32)
    given = PlainBackend().load("render", parts["render.fp32.onnx"]).run({"coefficients": x})
    with torch.no_grad():
        wanted = rounded(module)(torch.from_numpy(x)).numpy()
        exact = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(given["vertices"], wanted, atol=1e-5)
    assert np.abs(exact - wanted).max() > 1e-5  # the module itself was left as it was


def test_weights_that_16_bits_cannot_hold_are_named() -> None:
    with pytest.raises(ImportRefused, match=r"layer\.weight"):
        exported(
            "render", Wide(1e5), inputs={"coefficients": (32,)}, outputs=["vertices"], half=True
        )


def test_a_network_that_gives_no_numbers_is_refused() -> None:
    with pytest.raises(ImportRefused, match="not finite"):
        exported("render", Wide(float("nan")), inputs={"coefficients": (32,)}, outputs=["vertices"])


def test_a_file_that_is_not_what_torch_computes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The toy that exports something else of the same shape."""
    write = onnx_graph.export_module

    def wrong(module: nn.Module, *given: object, **named: object) -> bytes:
        return write(Wide(1.5), *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(onnx_graph, "export_module", wrong)
    with pytest.raises(ImportRefused, match="not what torch computes"):
        exported("render", Wide(), inputs={"coefficients": (32,)}, outputs=["vertices"])


def test_a_network_that_cannot_be_exported_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object, **named: object) -> bytes:
        raise PersonFileError("The network 'render' cannot be exported: no.")

    monkeypatch.setattr(onnx_graph, "export_module", fails)
    with pytest.raises(ImportRefused, match=r"cannot be exported: no\."):
        exported("render", Wide(), inputs={"coefficients": (32,)}, outputs=["vertices"])


class Odd(nn.Module):
    def forward(self, coefficients: Tensor) -> Tensor:
        return torch.erfinv(torch.tanh(coefficients))


def test_what_a_person_file_may_not_hold_is_refused() -> None:
    with pytest.raises(ImportRefused, match="render"):
        exported("render", Odd(), inputs={"coefficients": (3,)}, outputs=["vertices"])
