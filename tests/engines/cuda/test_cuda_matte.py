"""Alpha beside pictures of a device: warped on the processor, the host's to the bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.engines.cuda.test_cuda_pipeline import Runner, play, runners, ticks
from tests.engines.matted import tiny_matted
from visavis.engines.controls import Controls
from visavis.engines.pipeline import Pipeline, SessionState, Work


def chosen(runner: Runner, seed: int, matte: bool) -> Callable[[], SessionState]:
    def begin() -> SessionState:
        state = runner.initial_state(seed)
        runner.control(state, Controls(matte=matte))
        return state

    return begin


def skip_one(tick: int, work: list[Work]) -> None:
    work[0].render = tick != 3


def test_alpha_is_the_hosts_for_whoever_chose_it() -> None:
    make, device, _ = runners(room=2)
    person = tiny_matted()
    ours, host = make(person, variant="fp32"), Pipeline(person, variant="fp32")
    host._edge = None  # the footage's own edge: the device does not follow a drawn one yet
    sounds = [ticks(person, 8, seed) for seed in range(3)]
    asked = (True, False, True)
    found, wanted = (
        play(
            [chosen(side, seed, matte) for seed, matte in enumerate(asked)],
            side.advance,
            sounds,
            skip_one,
        )
        for side in (ours, host)
    )
    for one, other in zip(found, wanted, strict=True):
        for a, b, matte in zip(one, other, asked, strict=True):
            assert a.error is None and b.error is None
            assert (a.alpha is not None) == (b.alpha is not None) == (matte and a.render)
            if b.alpha is not None:
                np.testing.assert_array_equal(a.alpha, b.alpha)
    device.check()


def test_on_a_device_too_nothing_is_decoded_for_who_did_not_ask() -> None:
    make, _, _ = runners()
    person = tiny_matted()
    ours = make(person, variant="fp32")
    stage = ours._host._stages.background._background  # type: ignore[union-attr, attr-defined]
    decoded = stage._matte._cache
    play([chosen(ours, 1, False)], ours.advance, [ticks(person, 4, 1)])
    assert not decoded
    play([chosen(ours, 1, True)], ours.advance, [ticks(person, 4, 1)])
    assert decoded and not stage._clip._cache
    ours.rest()
    assert not decoded
