"""`tract@1`: the gate, closures, the person map, and state per session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.engines.motion import Tract, TractState

F32 = NDArray[np.float32]
C = 5
RNG = np.random.default_rng(3)
PARTS: dict[str, F32] = {
    "rest": RNG.normal(size=C).astype(np.float32),
    "map": RNG.normal(size=(C, 6)).astype(np.float32),
    "closed": RNG.normal(size=C).astype(np.float32),
    "liptooth": RNG.normal(size=C).astype(np.float32),
}
ROWS = np.zeros((1, 4, 66), np.float32)


class Script:
    """A graph that says what it was told, tick by tick."""

    def __init__(self, ticks: Sequence[F32]) -> None:
        self.ticks = list(ticks)

    def run(self, feeds: Mapping[str, F32]) -> dict[str, NDArray[np.generic]]:
        return {"tract": self.ticks.pop(0)[None]}


class Counter:
    """A graph with a state: it counts ticks and remembers its input."""

    def run(self, feeds: Mapping[str, F32]) -> dict[str, NDArray[np.generic]]:
        count = feeds["state_0"] + 1.0
        memory = 0.5 * feeds["state_1"] + feeds["features"].mean(1)[:, :3]
        tract = np.zeros((len(count), 2, 9), np.float32)
        tract[:, :, 0] = 0.01 * count + 0.1 * memory[:, :1]
        tract[:, :, 8] = 1.0
        return {"tract": tract, "next_state_0": count, "next_state_1": memory}


def moves(
    aperture: Sequence[float] = (0.0, 0.0), *, closed: Any = 0, teeth: Any = 0, speech: Any = 0
) -> F32:
    out = np.zeros((2, 9), np.float32)
    out[:, 0], out[:, 6], out[:, 7], out[:, 8] = aperture, closed, teeth, speech
    return out


def show(ticks: Sequence[F32], **params: Any) -> tuple[F32, F32, TractState]:
    stage = Tract(params, PARTS, Script(ticks))
    state = stage.initial_state()
    done = [stage.step([state], ROWS) for _ in ticks]
    return np.concatenate([c for c, _ in done]), np.concatenate([g for _, g in done]), state


def test_silence_is_the_rest_to_the_last_bit() -> None:
    # The network may dream: without speech nothing of it is shown.
    coefficients, gate, _ = show([moves((0.2, 0.1), closed=0.9, speech=0.3)] * 10)
    assert (coefficients == PARTS["rest"]).all() and (gate == 0.0).all()


def test_the_gate_opens_in_the_frame_that_speaks() -> None:
    quiet, loud = moves((0.1, 0.1)), moves((0.1, 0.1), speech=(0.1, 0.8))
    coefficients, gate, _ = show([quiet, loud, loud])
    assert gate[0] == 0.0 and gate[1] == 1.0
    assert np.allclose(coefficients[1], PARTS["rest"] + PARTS["map"][:, 0] * 0.1, atol=1e-6)


def test_the_gate_closes_within_120_to_160_ms_and_then_rests() -> None:
    loud, quiet = moves((0.1, 0.1), speech=0.9), moves((0.1, 0.1), speech=0.05)
    coefficients, gate, _ = show([loud] * 5 + [quiet] * 6)
    silent_ms = 40 * (1 + np.arange(6))
    assert (gate[5:][silent_ms <= 40] == 1.0).all()
    assert (gate[5:][silent_ms >= 160] == 0.0).all()
    assert (np.diff(gate[5:]) <= 0).all()
    assert (coefficients[-1] == PARTS["rest"]).all()


def test_the_gate_does_not_flutter_between_its_bounds() -> None:
    unsure = moves((0.1, 0.1), speech=0.52)
    _, opened, _ = show([moves(speech=0.9), *[unsure] * 20])
    _, closed, _ = show([unsure] * 20)
    assert (opened == 1.0).all() and (closed == 0.0).all()


@pytest.mark.parametrize("step", [0, 1])
def test_a_closure_of_20_ms_shows_the_persons_closed_lips(step: int) -> None:
    aperture = [0.15, 0.15]
    aperture[step] = 0.0
    sure = [0.0, 0.0]
    sure[step] = 0.9
    loud = moves((0.15, 0.15), speech=1.0)
    coefficients, _, _ = show([loud, moves(aperture, closed=sure, speech=1.0)])
    assert np.allclose(coefficients[1], PARTS["closed"], atol=1e-6)


def test_half_a_closure_narrows_the_mouth() -> None:
    loud = moves((0.2, 0.2), speech=1.0)
    coefficients, _, _ = show([loud, moves((0.2, 0.0), closed=0.45, speech=1.0)])
    open_ = PARTS["rest"] + PARTS["map"][:, 0] * 0.2
    whole = np.linalg.norm(PARTS["closed"] - open_)
    assert 0.1 * whole < np.linalg.norm(PARTS["closed"] - coefficients[1]) < 0.9 * whole


def test_teeth_on_the_lip_are_the_persons_own() -> None:
    loud = moves((0.1, 0.1), speech=1.0)
    coefficients, _, _ = show([loud, moves((0.03, 0.03), teeth=0.9, speech=1.0)])
    assert np.allclose(coefficients[1], PARTS["liptooth"], atol=1e-6)


def test_closed_lips_go_before_teeth() -> None:
    loud = moves((0.1, 0.1), speech=1.0)
    coefficients, _, _ = show([loud, moves(closed=0.9, teeth=0.9, speech=1.0)])
    assert np.allclose(coefficients[1], PARTS["closed"], atol=1e-6)


def test_gain_and_bounds() -> None:
    loud = moves((0.1, 0.1), speech=1.0)
    wild = moves((9.0, 9.0), speech=1.0)
    coefficients, _, _ = show([loud, wild], gain=[1.5, 1, 1, 1, 1, 1])
    assert np.allclose(coefficients[0], PARTS["rest"] + PARTS["map"][:, 0] * 0.15, atol=1e-6)
    assert np.allclose(coefficients[1], PARTS["rest"] + PARTS["map"][:, 0] * 0.75, atol=1e-6)


def test_sessions_of_a_batch_do_not_meet() -> None:
    stage = Tract({"state": [[1], [3]]}, PARTS, Counter())
    features = RNG.normal(size=(3, 6, 4, 66)).astype(np.float32)
    together = [stage.initial_state() for _ in range(3)]
    batched = [stage.step(together, features[:, k])[0] for k in range(6)]
    for i in range(3):
        state = stage.initial_state()
        for k in range(6):
            alone, _ = stage.step([state], features[i : i + 1, k])
            assert np.allclose(alone[0], batched[k][i], atol=1e-6)
    assert together[0].graph[0] == 6.0


@pytest.mark.parametrize("name", ["map", "closed", "liptooth"])
def test_parts_of_another_size_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Tract({}, {**PARTS, name: PARTS[name][:-1]}, Counter())


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="speed"):
        Tract({"speed": 2}, PARTS, Counter())
