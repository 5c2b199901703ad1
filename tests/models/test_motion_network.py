"""The motion network: its two forms agree, it is causal, and a tick hears all of its rows."""

from __future__ import annotations

import pytest
import torch

from visavis.models.motion import Motion, MotionConfig, MotionStep


@pytest.fixture(scope="module")
def motion() -> Motion:
    torch.manual_seed(0)
    return Motion(MotionConfig(stem=16, width=24)).eval()


def rows(ticks: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 4 * ticks, 66, generator=torch.Generator().manual_seed(1))


def test_steps_and_sequences_agree(motion: Motion) -> None:
    x = rows(12)
    with torch.no_grad():
        want, hidden, phones, _ = motion(x, motion.initial_state(2))
        step, state = MotionStep(motion), motion.initial_state(2)
        got = []
        for k in range(12):
            tract, *new = step(x[:, 4 * k : 4 * k + 4], *state)
            state = tuple(new)
            got.append(tract)
    joined = torch.cat(got, 2)
    assert joined.shape == want.shape == (2, 5, 24, 9)
    assert torch.allclose(joined[..., :6], want[..., :6], atol=1e-5)
    assert torch.allclose(joined[..., 6:], torch.sigmoid(want[..., 6:]), atol=1e-5)
    assert phones.shape == (2, 24, motion.config.phones)
    assert hidden.shape == (2, 24, motion.config.hidden)


def test_a_cut_changes_nothing(motion: Motion) -> None:
    x = rows(9)
    with torch.no_grad():
        want, _, _, end = motion(x, motion.initial_state(2))
        first, _, _, state = motion(x[:, :16], motion.initial_state(2))
        second, _, _, last = motion(x[:, 16:], state)
    assert torch.allclose(torch.cat((first, second), 2), want, atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(end, last, strict=True))


def test_later_rows_do_not_matter_and_all_rows_of_a_tick_do(motion: Motion) -> None:
    x = rows(8).requires_grad_()
    tract, _, _, _ = motion(x, motion.initial_state(2))
    for head in range(5):
        for step in (6, 7):  # both steps of tick 3, which is given rows 12 to 15
            (slope,) = torch.autograd.grad(tract[:, head, step].sum(), x, retain_graph=True)
            heard = slope.abs().sum((0, 2))
            assert (heard[16:] == 0).all()
            assert (heard[:16] > 0).all()


def test_whatever_it_hears_its_state_stays_bounded(motion: Motion) -> None:
    state = motion.initial_state(2)
    with torch.no_grad():
        for seed in range(40):
            loud = 30.0 * torch.randn(2, 400, 66, generator=torch.Generator().manual_seed(seed))
            _, _, _, state = motion(loud, state)
    units = [s for s in state if s.dim() == 2]
    assert len(units) == 2
    assert all(bool((s.abs() <= 1.0).all()) for s in units)


def test_state_shapes_are_those_of_the_state(motion: Motion) -> None:
    shapes = [tuple(s.shape[1:]) for s in motion.initial_state(3)]
    assert tuple(shapes) == motion.state_shapes()


def test_size() -> None:
    count = sum(p.numel() for p in Motion().parameters())
    assert 400_000 < count < 1_200_000


def test_config_survives_a_checkpoint() -> None:
    config = MotionConfig(width=32, dropout=0.3, lookaheads=(40, 120))
    assert MotionConfig.from_dict(config.as_dict()) == config
