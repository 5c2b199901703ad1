"""Weights that are made from names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from visavis.export.parity.weights import MAX_VALUES, digest, make_weights, wave_basis


def schema(**keys: Any) -> dict[str, Any]:
    return {"keys": {name.replace("__", "."): entry for name, entry in keys.items()}}


def test_the_published_numbers() -> None:
    """Two numbers that the cases' authors give to check with."""
    made = make_weights(
        schema(check__weight={"shape": [2, 3]}, check__bias={"shape": [3]}), "parity-a"
    )
    assert made["check.weight"].dtype == np.float32
    assert made["check.weight"][0, 0] == pytest.approx(-0.6516304, abs=1e-7)
    assert made["check.bias"][0] == pytest.approx(0.00933991, abs=1e-8)


def test_a_tensor_does_not_depend_on_the_others() -> None:
    one = {"shape": [4, 5]}
    alone = make_weights(schema(b__weight=one), "s")
    among = make_weights(schema(a__weight=one, b__weight=one, c__weight=one), "s")
    np.testing.assert_array_equal(alone["b.weight"], among["b.weight"])
    assert not np.array_equal(among["a.weight"], among["b.weight"])
    assert not np.array_equal(
        make_weights(schema(b__weight=one), "t")["b.weight"], alone["b.weight"]
    )


def test_rules() -> None:
    many = [20_000]
    made = make_weights(
        schema(
            n__weight={"shape": many},
            n__bias={"shape": many},
            n__running_mean={"shape": many},
            n__running_var={"shape": many},
            n__num_batches_tracked={"shape": []},
            w__weight={"shape": [200, 25, 4], "gain": 1.0},
            k__weight={"shape": [500, 7], "rule": "unit_rows"},
            i={"shape": many, "rule": "index"},
            p__weight={"shape": many, "rule": "prelu", "scale": 0.0},
        ),
        "s",
    )
    assert made["n.weight"].mean() == pytest.approx(1.0, abs=0.01)
    assert made["n.weight"].std() == pytest.approx(0.1, rel=0.05)
    assert made["n.bias"].std() == pytest.approx(0.05, rel=0.05)
    assert abs(made["n.running_mean"].mean()) < 0.01
    assert 0.5 <= made["n.running_var"].min() < 0.51 and 1.49 < made["n.running_var"].max() < 1.5
    assert made["n.num_batches_tracked"] == 0 and made["n.num_batches_tracked"].dtype == np.int64
    assert made["w.weight"].std() == pytest.approx(0.1, rel=0.05)
    np.testing.assert_allclose(np.linalg.norm(made["k.weight"], axis=1), 1.0, atol=1e-6)
    assert set(np.unique(made["i"])) <= set(range(300)) and len(np.unique(made["i"])) == 300
    assert (made["p.weight"] == np.float32(0.25)).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_spectral_vectors_are_those_of_the_largest_singular_value(axis: int) -> None:
    entry = {"shape": [6, 9, 3, 3]}
    vectors = [{"shape": [(6, 9)[axis]], "axis": axis}, {"shape": [1], "axis": axis}]
    made = make_weights(
        schema(c__weight_orig=entry, c__weight_u=vectors[0], c__weight_v=vectors[1])
        | {"power_steps": 60},
        "s",
    )
    matrix = np.moveaxis(made["c.weight_orig"], axis, 0).reshape((6, 9)[axis], -1)
    found = made["c.weight_u"] @ matrix @ made["c.weight_v"]
    assert found == pytest.approx(np.linalg.svd(matrix)[1][0], rel=1e-3)


def test_an_alias_is_the_same_tensor_and_counts_in_the_digest() -> None:
    made = make_weights(
        schema(a__weight={"shape": [2, 2]}, b__weight={"shape": [2, 2], "alias_of": "a.weight"}),
        "s",
    )
    assert made["b.weight"] is made["a.weight"]
    changed = dict(made)
    changed["b.weight"] = made["b.weight"] + np.float32(1e-6)
    assert digest(changed) != digest(made) == digest(dict(made))


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"keys": {}},
        {"keys": {"a.weight": {"shape": [2, -1]}}},
        {"keys": {"a.weight": {"shape": "2"}}},
        {"keys": {"a.weight": {"shape": [MAX_VALUES, 2]}}},
        {"keys": {"a.weight": {"shape": [2], "rule": "surprise"}}},
    ],
)
def test_a_bad_schema_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="schema"):
        make_weights(bad, "s")


def test_a_basis_is_smooth_and_of_the_size_asked_for() -> None:
    points = np.stack([np.linspace(0, 1, 50), np.zeros(50), np.zeros(50)], 1)
    basis = wave_basis("name", points, 4, 0.5, "s")
    assert basis.shape == (150, 4) and basis.dtype == np.float32
    for coordinate in range(3):
        wave = basis[coordinate::3]
        assert 0.0 < np.abs(np.diff(wave, axis=0)).max() < 0.4 * 0.5
