"""The gate alone: opens at once, shuts in time, never flutters, whatever two listeners say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.engines.gate import SHUT, GateRule, GateState, move, parted

RULE = GateRule()
PROBABILITY = st.floats(0.0, 1.0)
FRAMES = st.lists(st.tuples(PROBABILITY, st.booleans()), max_size=80)


def run(frames: Sequence[tuple[float, bool]], rule: GateRule = RULE) -> list[float]:
    """How open the gate is in each frame."""
    state, path = SHUT, []
    for speech, voiced in frames:
        state = move(rule, state, [speech], [voiced])
        path.append(state.open)
    return path


@given(before=st.integers(0, 9), speech=st.floats(RULE.sure, 1.0))
def test_it_opens_wholly_in_the_frame_that_surely_speaks(before: int, speech: float) -> None:
    assert run([(0.0, False)] * before + [(speech, False)])[-1] == 1.0


@given(speech=st.floats(RULE.likely, RULE.sure, exclude_max=True))
def test_what_is_only_likely_needs_a_second_opinion(speech: float) -> None:
    assert run([(speech, True)]) == [1.0]
    assert max(run([(speech, False)] * 20)) == 0.0


@given(frames=st.lists(st.tuples(st.floats(0, RULE.likely, exclude_max=True), st.booleans())))
def test_the_second_opinion_alone_opens_nothing(frames: list[tuple[float, bool]]) -> None:
    assert not any(run(frames))


@given(speech=st.lists(st.floats(0.0, RULE.likely, exclude_max=True), max_size=20))
def test_a_single_click_opens_nothing(speech: list[float]) -> None:
    """The network half believes it, once, and the second opinion does not."""
    quiet = [(p, False) for p in speech]
    assert not any(run([*quiet, (0.8, False), *quiet]))


@given(talk=st.lists(st.floats(RULE.sure, 1.0), min_size=1, max_size=20), voiced=st.booleans())
def test_it_is_shut_between_120_and_160_ms_after_the_last_speech(
    talk: list[float], voiced: bool
) -> None:
    after = run([(p, False) for p in talk] + [(RULE.stay, voiced)] * 6)[len(talk) :]
    # Speech ended within the frame before, so frame n begins 40 n to 40 n + 40 ms after it.
    assert after[:2] == [1.0, 1.0] and 0.0 < after[2] < 1.0
    assert after[3:] == [0.0, 0.0, 0.0]


@given(frames=FRAMES)
def test_it_never_opens_shuts_and_opens_within_120_ms(frames: list[tuple[float, bool]]) -> None:
    path = run(frames)
    for start, level in enumerate(path[:-1]):
        if level == 1.0:
            assert path[start + 1] > 0.0  # so it takes three frames to be open once more
    # And no frame stands open alone.
    for start in range(1, len(path) - 1):
        if path[start - 1] == 0.0 and path[start] == 1.0:
            assert path[start + 1] == 1.0


@given(frames=FRAMES)
def test_what_is_open_stays_open_above_the_lower_bound(frames: list[tuple[float, bool]]) -> None:
    path = [0.0, *run(frames)]
    for (speech, _), before, after in zip(frames, path, path[1:], strict=False):
        if before > 0.0 and speech > RULE.stay:
            assert after == 1.0
        if after < before:
            assert speech <= RULE.stay


@given(frames=FRAMES, times=st.tuples(*[st.floats(10.0, 500.0)] * 3))
def test_any_times_keep_it_between_shut_and_open(
    frames: list[tuple[float, bool]], times: tuple[float, float, float]
) -> None:
    hang, opening, closing = times
    path = [0.0, *run(frames, GateRule(hang_ms=hang, open_ms=opening, close_ms=closing))]
    for before, after in zip(path, path[1:], strict=False):
        assert 0.0 <= after <= 1.0
        assert -40 / closing - 1e-9 <= after - before <= 40 / opening + 1e-9


def test_it_opens_for_the_frame_after_and_stays_for_its_own() -> None:
    soon = move(RULE, SHUT, [0.0, 0.9], [False, False])
    assert soon.open == 1.0
    assert move(RULE, SHUT, [0.0, 0.6], [False, True]).open == 1.0
    assert move(RULE, SHUT, [0.0, 0.6], [True, False]).open == 0.0
    # Being likely in the frame after does not hold what has ended.
    assert move(RULE, soon, [0.4, 0.6], [False, False]).quiet_ms == 40.0


@pytest.mark.parametrize(
    "wrong", [{"sure": 0.4}, {"likely": 0.4}, {"stay": -0.1}, {"open_ms": 0.0}, {"hang_ms": -1.0}]
)
def test_rules_without_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="gate needs"):
        GateRule(**wrong)


@given(talk=st.integers(10, 200), pause=st.integers(0, 24))
def test_lips_stay_parted_in_a_pause_and_settle_after_it(talk: int, pause: int) -> None:
    state = SHUT
    for _ in range(talk):
        state = move(RULE, state, [1.0], [True])
    for _ in range(pause):
        state = move(RULE, state, [0.0], [False])
    assert parted(RULE, state) == 1.0
    path = []
    for _ in range(40):
        state = move(RULE, state, [0.0], [False])
        path.append(parted(RULE, state))
    assert path == sorted(path, reverse=True)
    assert max(a - b for a, b in zip(path, path[1:], strict=False)) < 0.2  # no jump
    assert path[-1] == 0.0 and state.spoken_ms == 0.0


def test_before_speech_and_after_a_moments_noise_lips_are_closed() -> None:
    assert parted(RULE, SHUT) == 0.0
    moment = move(RULE, SHUT, [1.0], [True])
    assert 0.0 < parted(RULE, moment) <= 0.1
    assert parted(RULE, GateState(0.0, 80.0, 4000.0)) == 1.0
