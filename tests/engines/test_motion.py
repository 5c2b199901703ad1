"""`tract@2`: closures, the person map, look-aheads, and state per session."""

from __future__ import annotations

import copy
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
HEADS = (40, 80, 90, 120)
NOBODY = np.zeros(2, np.bool_)
SOMEBODY = np.ones(2, np.bool_)


class Script:
    """A graph with one head that says what it was told, tick by tick."""

    def __init__(self, ticks: Sequence[F32]) -> None:
        self.ticks = list(ticks)

    def run(self, feeds: Mapping[str, F32]) -> dict[str, NDArray[np.generic]]:
        return {"tract": self.ticks.pop(0)[None, None]}


class Counter:
    """A graph with a state: it counts ticks and remembers its input, in each head otherwise."""

    def run(self, feeds: Mapping[str, F32]) -> dict[str, NDArray[np.generic]]:
        count = feeds["state_0"] + 1.0
        memory = 0.5 * feeds["state_1"] + feeds["features"].mean(1)[:, :3]
        tract = np.zeros((len(count), len(HEADS), 2, 9), np.float32)
        heads = np.arange(len(HEADS))[None, :, None]
        tract[..., 0] = 0.01 * count[:, :, None] + (0.1 + 0.02 * heads) * memory[:, :1, None]
        tract[..., 8] = 1.0
        return {"tract": tract, "next_state_0": count, "next_state_1": memory}


def moves(
    aperture: Sequence[float] = (0.0, 0.0), *, closed: Any = 0, teeth: Any = 0, speech: Any = 0
) -> F32:
    out = np.zeros((2, 9), np.float32)
    out[:, 0], out[:, 6], out[:, 7], out[:, 8] = aperture, closed, teeth, speech
    return out


def show(
    ticks: Sequence[F32], voiced: Sequence[NDArray[np.bool_]] | None = None, **params: Any
) -> tuple[F32, F32, TractState]:
    stage = Tract({"lookaheads": [40], "voice_ms": 40, **params}, PARTS, Script(ticks))
    state = stage.initial_state(40)
    done = [stage.step([state], ROWS, [v]) for v in voiced or [NOBODY] * len(ticks)]
    return np.concatenate([c for c, _ in done]), np.concatenate([g for _, g in done]), state


def test_silence_is_the_rest_to_the_last_bit() -> None:
    # The network may dream: without speech nothing of it is shown.
    coefficients, gate, _ = show([moves((0.2, 0.1), closed=0.9, speech=0.3)] * 10)
    assert (coefficients == PARTS["rest"]).all() and (gate == 0.0).all()


def test_the_gate_opens_in_the_frame_that_speaks() -> None:
    quiet, loud = moves((0.1, 0.1)), moves((0.1, 0.1), speech=(0.1, 0.9))
    coefficients, gate, _ = show([quiet, loud, loud])
    assert gate[0] == 0.0 and gate[1] == 1.0
    assert np.allclose(coefficients[1], PARTS["rest"] + PARTS["map"][:, 0] * 0.1, atol=1e-6)


def test_the_gate_closes_within_120_to_160_ms_and_then_rests() -> None:
    loud, quiet = moves((0.1, 0.1), speech=0.9), moves((0.1, 0.1), speech=0.05)
    coefficients, gate, _ = show([loud] * 5 + [quiet] * 6)
    silent_ms = 40 * (1 + np.arange(6))
    assert (gate[5:][silent_ms <= 80] == 1.0).all()
    assert (gate[5:][silent_ms >= 160] == 0.0).all()
    assert (np.diff(gate[5:]) <= 0).all()
    assert (coefficients[-1] == PARTS["rest"]).all()


def test_lips_stay_parted_and_still_in_a_pause_and_then_rest_to_the_last_bit() -> None:
    loud, quiet = moves((0.2, 0.2), speech=0.9), moves((0.1, 0.1), speech=0.05)
    coefficients, gate, _ = show([quiet] * 5 + [loud] * 12 + [quiet] * 60, parted=0.06)
    assert (coefficients[:5] == PARTS["rest"]).all()
    pause = coefficients[17:][gate[17:] == 0.0]
    want = PARTS["rest"] + PARTS["map"][:, 0] * np.float32(0.06)
    assert np.allclose(pause[:20], want, atol=1e-6)
    assert (np.diff(pause[:20], axis=0) == 0.0).all()
    assert (pause[-10:] == PARTS["rest"]).all()


def test_the_second_opinion_decides_where_the_network_is_unsure() -> None:
    unsure = moves((0.1, 0.1), speech=0.6)
    _, alone, _ = show([unsure] * 6)
    _, agreed, _ = show([unsure] * 6, [NOBODY, NOBODY, *[SOMEBODY] * 4])
    _, denied, _ = show([moves(speech=0.9)] * 3)
    assert (alone == 0.0).all() and (denied == 1.0).all()
    assert agreed.tolist() == [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]


def test_the_second_opinion_counts_from_the_frame_on() -> None:
    """With a look-ahead of 120 ms, what is heard now belongs to a frame two ticks later."""
    ticks = [moves(speech=0.6)] * 8
    voiced = [NOBODY, NOBODY, SOMEBODY, *[NOBODY] * 5]

    def opened(voice_ms: int, frames: int) -> list[int]:
        params = {"lookaheads": [120], "voice_ms": voice_ms, "voice_frames": frames}
        stage = Tract(params, PARTS, Script(ticks))
        state = stage.initial_state(120)
        gates = [float(stage.step([state], ROWS, [v])[1][0]) for v in voiced]
        return [k for k, gate in enumerate(gates) if gate == 1.0]

    assert opened(40, 2)[0] == 4
    assert opened(80, 2)[0] == 3
    assert opened(120, 2)[0] == 2
    assert opened(120, 3) == []


def test_a_frame_opens_for_speech_that_begins_in_the_next() -> None:
    """The head of L - 40 has heard the frame after it."""

    class Two:
        """Speech at frame 5: the head of 80 ms says so in tick 5, that of 40 ms in tick 4."""

        tick = -1

        def run(self, feeds: Mapping[str, F32]) -> dict[str, NDArray[np.generic]]:
            self.tick += 1
            tract = np.zeros((1, 2, 2, 9), np.float32)
            tract[:, 0, :, 8] = self.tick >= 4
            tract[:, 1, :, 8] = self.tick >= 5
            return {"tract": tract}

    def first(lookahead_ms: int, **params: Any) -> int:
        stage = Tract({"lookaheads": [40, 80], **params}, PARTS, Two())
        state = stage.initial_state(lookahead_ms)
        gates = [float(stage.step([state], ROWS, [NOBODY])[1][0]) for _ in range(8)]
        return gates.index(1.0)

    assert (first(80), first(80, early_ms=0), first(40)) == (4, 5, 4)


@pytest.mark.parametrize("step", [0, 1])
def test_a_closure_of_20_ms_shows_the_persons_closed_lips(step: int) -> None:
    aperture = [0.15, 0.15]
    aperture[step] = 0.0
    sure = [0.0, 0.0]
    sure[step] = 0.9
    loud = moves((0.15, 0.15), speech=1.0)
    coefficients, _, _ = show([loud, moves(aperture, closed=sure, speech=1.0)])
    assert np.array_equal(coefficients[1], PARTS["closed"])


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
    assert np.array_equal(coefficients[1], PARTS["closed"])


def test_a_closure_that_is_sure_is_exact_whatever_else_is_said() -> None:
    random = np.random.default_rng(8)
    wild = [random.normal(0, 1, (2, 9)).astype(np.float32) for _ in range(50)]
    for tick in wild:
        tick[:, 6], tick[:, 8] = [[0.61, 0.0], [0.2, 1.0]][random.integers(2)], 1.0
    coefficients, _, _ = show([moves(speech=1.0), *wild], gain=[1.5] * 6)
    assert (coefficients[1:] == PARTS["closed"]).all()


def test_a_curve_opens_further_and_leaves_closures_shut() -> None:
    curve = [[0.0, 0.0], [0.04, 0.02], [0.08, 0.1], [0.16, 0.3]]
    said = [moves((a, a), speech=0.9) for a in (0.0, 0.02, 0.06, 0.12, 0.4)]
    coefficients, _, _ = show([*said, moves((0.1, 0.1), closed=0.95, speech=0.9)], curve=curve)
    want = [0.0, 0.01, 0.06, 0.2, 0.3]
    shown = PARTS["rest"] + np.array(want, np.float32)[:, None] * PARTS["map"][:, 0]
    assert np.allclose(coefficients[:5], shown, atol=1e-6)
    assert (coefficients[5] == PARTS["closed"]).all()


def test_gain_and_bounds() -> None:
    loud = moves((0.1, 0.1), speech=1.0)
    wild = moves((9.0, 9.0), speech=1.0)
    coefficients, _, _ = show([loud, wild], gain=[1.5, 1, 1, 1, 1, 1])
    assert np.allclose(coefficients[0], PARTS["rest"] + PARTS["map"][:, 0] * 0.15, atol=1e-6)
    assert np.allclose(coefficients[1], PARTS["rest"] + PARTS["map"][:, 0] * 0.75, atol=1e-6)


STATE = {"state": [[1], [3]], "lookaheads": list(HEADS), "gain": [1.0] * 6}


@pytest.mark.parametrize("blend", [[1.0], [1.0, 0.7, 0.2]])
def test_sessions_of_a_batch_do_not_meet(blend: list[float]) -> None:
    """Five sessions of several look-aheads give together what each gives alone, to the bit."""
    stage = Tract({**STATE, "blend": blend}, PARTS, Counter())
    lookaheads = (40, 80, 90, 120, 120)
    features = RNG.normal(size=(5, 6, 4, 66)).astype(np.float32)
    together = [stage.initial_state(ms) for ms in lookaheads]
    batched = [stage.step(together, features[:, k], [NOBODY] * 5)[0] for k in range(6)]
    for i, ms in enumerate(lookaheads):
        state = stage.initial_state(ms)
        for k in range(6):
            alone, _ = stage.step([state], features[i : i + 1, k], [NOBODY])
            assert np.array_equal(alone[0], batched[k][i])
    assert together[0].graph[0] == 6.0
    # Heads say different things, so a session that read another's would be seen.
    assert not np.array_equal(batched[-1][3], batched[-1][1])


def guess(values: Mapping[int, float]) -> F32:
    """What the heads say in a tick: an aperture each."""
    tract = np.zeros((1, len(HEADS), 2, 9), np.float32)
    for ms, value in values.items():
        tract[:, HEADS.index(ms), :, 0] = value
    tract[..., 8] = 1.0
    return tract


class Guesses:
    """The head of L says in tick t what it thinks of the frame t - L / 40: a hundredth of that
    frame's number, plus a thousandth of L / 40."""

    def __init__(self) -> None:
        self.tick = -1

    def run(self, feeds: Mapping[str, F32]) -> dict[str, NDArray[np.generic]]:
        self.tick += 1
        said = {ms: 0.01 * (self.tick - ms / 40) + 0.001 * ms / 40 for ms in HEADS}
        return {"tract": guess(said)}


@pytest.mark.parametrize(
    ("lookahead_ms", "terms"),
    [(40, {40: 1.0}), (80, {80: 1.0, 40: 0.5}), (90, {90: 1.0}), (120, {120: 1.0, 80: 0.5})],
)
def test_a_frame_is_the_mean_of_what_was_said_of_it(
    lookahead_ms: int, terms: dict[int, float]
) -> None:
    """All heads speak of the same frame, each in the tick that ends its look-ahead."""
    stage = Tract({"lookaheads": list(HEADS), "blend": [1.0, 0.5]}, PARTS, Guesses())
    state = stage.initial_state(lookahead_ms)
    shown = np.concatenate([stage.step([state], ROWS, [NOBODY])[0] for _ in range(20)])
    extra = sum(w * 0.001 * ms / 40 for ms, w in terms.items()) / sum(terms.values())
    for tick in range(8, 20):
        aperture = 0.01 * (tick - lookahead_ms / 40) + extra
        wanted = PARTS["rest"] + PARTS["map"][:, 0] * np.float32(aperture)
        assert np.allclose(shown[tick], wanted, atol=1e-6)
    assert len(state.past) == len(terms) - 1


def test_at_first_only_what_has_come_is_blended() -> None:
    stage = Tract({"lookaheads": list(HEADS), "blend": [1.0, 1.0, 1.0]}, PARTS, Guesses())
    state = stage.initial_state(120)
    for tick in range(4):
        coefficients, _ = stage.step([state], ROWS, [NOBODY])
        come = [120, 80, 40][: tick + 1]
        aperture = np.mean([0.01 * (tick - 3) + 0.001 * ms / 40 for ms in come])
        wanted = PARTS["rest"] + PARTS["map"][:, 0] * max(0.0, np.float32(aperture))
        assert np.allclose(coefficients[0], wanted, atol=1e-6)
        assert len(state.past) == min(tick + 1, 2)


def test_nothing_is_remembered_where_nothing_is_blended() -> None:
    stage = Tract({"lookaheads": list(HEADS)}, PARTS, Guesses())
    state = stage.initial_state(120)
    for _ in range(3):
        stage.step([state], ROWS, [NOBODY])
    assert state.past.shape == (0, len(HEADS), 2, 9)


def test_a_step_replaces_what_a_state_holds() -> None:
    """The pipeline undoes a step by a shallow copy."""
    stage = Tract({**STATE, "blend": [1.0, 1.0]}, PARTS, Counter())
    state, features = stage.initial_state(120), RNG.normal(size=(6, 1, 4, 66)).astype(np.float32)
    for rows in features[:4]:
        stage.step([state], rows, [SOMEBODY])
    before = copy.copy(state)
    first, _ = stage.step([state], features[4], [SOMEBODY])
    stage.step([state], features[5], [NOBODY])
    second, _ = stage.step([before], features[4], [SOMEBODY])
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", ["map", "closed", "liptooth"])
def test_parts_of_another_size_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Tract({"lookaheads": [40]}, {**PARTS, name: PARTS[name][:-1]}, Counter())


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"speed": 2}, "speed"),
        ({"blend": []}, "blend"),
        ({"blend": [0.0, 1.0]}, "blend"),
        ({"blend": [1.0, -0.5]}, "blend"),
        ({"early_ms": 80}, "early_ms"),
        ({"voice_mode": 4}, "modes"),
        ({"voice_frames": 0}, "voice_frames"),
        ({"voice_ms": 20, "voice_frames": 2}, "voice_frames"),
        ({"sure": 0.3}, "stay <= likely <= sure"),
        ({"close_ms": 0}, "times"),
        ({"curve": [[0.0, 0.0], [0.2, 0.1], [0.1, 0.2]]}, "curve"),
        ({"curve": [0.0, 1.0]}, "curve"),
    ],
)
def test_senseless_parameters_are_refused(params: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Tract({"lookaheads": [40], **params}, PARTS, Counter())


def test_a_look_ahead_without_a_head_is_refused() -> None:
    with pytest.raises(ValueError, match="160"):
        Tract({"lookaheads": list(HEADS)}, PARTS, Guesses()).initial_state(160)
