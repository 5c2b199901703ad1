"""The discriminators: they tell blurred from sharp, and say when they teach nothing."""

from __future__ import annotations

import copy

import pytest
import torch

from visavis.finetune.renderer import adversary
from visavis.finetune.renderer.adversary import Adversary, Verdict
from visavis.models.renderer import PLANES

HALF = 24


def planes_and_picture(count: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    planes = torch.zeros(count, PLANES, HALF, HALF)
    planes[:, 24] = 1.0
    planes[:, 25:29] = -1.0
    planes[:, 25:29, 8:16, 6:18] = 0.5
    return planes, torch.rand(count, 6, HALF, HALF, generator=draw) - 0.5


def smooth(picture: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(picture, 5, 1, 2)


def looks(judge: Adversary, planes: torch.Tensor, picture: torch.Tensor) -> float:
    with torch.no_grad():
        return -float(judge.pull(planes, picture, None))


def test_they_learn_to_tell_blur_from_the_real_thing() -> None:
    torch.manual_seed(0)
    judge = Adversary()
    for step in range(60):
        planes, real = planes_and_picture(seed=step)
        judge.learn(planes, smooth(real), planes, real)
    planes, real = planes_and_picture(seed=1000)
    assert looks(judge, planes, real) > looks(judge, planes, smooth(real)) + 0.2
    assert judge.verdict.face < 1.9 and judge.verdict.steps == 60


def test_what_is_not_used_cannot_be_judged() -> None:
    judge = Adversary()
    planes, picture = planes_and_picture()
    planes[:, 24, :, :12] = 0.0
    other = picture.clone()
    other[..., :12] += 1.0
    torch.manual_seed(3)
    first = looks(judge, planes, picture)
    torch.manual_seed(3)
    assert looks(judge, planes, other) == first


def test_its_pull_is_a_share_of_the_picture_losses() -> None:
    judge = Adversary()
    last = torch.nn.Parameter(torch.ones(3))
    weight = judge.balance((2.0 * last).sum(), (0.5 * last).sum(), last)
    assert weight == pytest.approx(adversary.PULL * 4.0)
    judge.weight = 0.0
    assert judge.balance((2.0 * last).sum(), (1e-9 * last).sum(), last) == adversary.MOST


def test_it_goes_on_where_it_was() -> None:
    torch.manual_seed(1)
    planes, real = planes_and_picture()
    first = Adversary()
    first.learn(planes, smooth(real), planes, real)
    second = Adversary()
    second.restore(copy.deepcopy(first.state()))
    for judge in (first, second):
        torch.manual_seed(5)
        judge.learn(planes, smooth(real), planes, real)
    torch.manual_seed(6)
    one = looks(first, planes, real)
    torch.manual_seed(6)
    assert looks(second, planes, real) == one
    assert first.verdict == second.verdict


@pytest.mark.parametrize(
    ("verdict", "word"),
    [
        (Verdict(1.95, 1.0, 1000), "cannot tell"),
        (Verdict(1.0, 0.02, 1000), "never wrong"),
        (Verdict(1.0, 1.2, 1000), None),
        (Verdict(2.0, 2.0, 10), None),
    ],
)
def test_a_discriminator_that_teaches_nothing_raises_an_alarm(
    verdict: Verdict, word: str | None
) -> None:
    assert (verdict.alarm is None) if word is None else (word in str(verdict.alarm))
