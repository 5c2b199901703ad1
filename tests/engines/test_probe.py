"""The voice that persons are tried with opens their mouths: else closed lips would be compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visavis.engines.person import Person, read_person
from visavis.engines.pipeline import _PROBE_TICKS, Pipeline, Work
from visavis.engines.probe import probe_voice

PRESENTER = Path(__file__).parents[2] / "persons/presenter/presenter.person"


@pytest.fixture(scope="module")
def presenter() -> Person:
    return read_person(PRESENTER.read_bytes())


def test_the_presenter_speaks_while_variants_are_chosen(presenter: Person) -> None:
    pipeline = Pipeline(presenter, variant="fp32")
    state, rest = pipeline.initial_state(0), presenter.arrays["motion/rest.npy"]
    moved = []
    for pcm in probe_voice(presenter.lookahead_ms, _PROBE_TICKS):
        work = Work(state, pcm, render=False)
        pipeline.advance([work])
        assert work.error is None and work.coefficients is not None
        moved.append(work.speech > 0.5 and float(np.abs(work.coefficients - rest).max()) > 0.5)
    # The rest is the pause before, with which every sentence begins.
    assert sum(moved) >= 7 and not moved[0]


@pytest.mark.parametrize("lookahead", [40, 120, 200])
def test_it_comes_as_ticks_and_is_the_same_again(lookahead: int) -> None:
    voice = probe_voice(lookahead, 6)
    assert [len(pcm) for pcm in voice] == [16 * lookahead, *[640] * 5]
    again = probe_voice(lookahead, 6)
    assert all(np.array_equal(a, b) for a, b in zip(voice, again, strict=True))
    assert np.abs(np.concatenate(voice)).max() < 1.0
    assert not np.array_equal(voice[-1], probe_voice(lookahead, 6, seed=1)[-1])
