"""How many steps fit into the time that somebody wants to spend. Pure."""

from __future__ import annotations

from visavis.finetune.renderer.train import START_RATE, Plan

__all__ = ["ALONE", "schedule"]

LEAST_STEPS, MOST_STEPS = 40, 40_000
ALONE = 0.35  # of the time, before the adversary comes in
WHOLE = 0.8  # of the steps, before the held-out frames come in


def schedule(
    seconds: float,
    *,
    step_seconds: float,
    adversarial_step_seconds: float | None,
    seed: int,
    alone: float = ALONE,
) -> Plan:
    """Plan a training.

    Args:
        seconds: to spend.
        step_seconds: of a step of the picture loss.
        adversarial_step_seconds: of a step with the adversary; None for none.
        seed: of the training.
        alone: share of the time before the adversary comes in.
    """
    if adversarial_step_seconds is None:
        steps = _bounded(seconds / step_seconds)
        return Plan(steps, whole_from=round(WHOLE * steps), rate=START_RATE, seed=seed)
    first = _bounded(alone * seconds / step_seconds) if alone else 0
    steps = first + _bounded((1.0 - alone) * seconds / adversarial_step_seconds)
    whole = max(first, round(WHOLE * steps))
    return Plan(steps, adversarial_from=first, whole_from=whole, rate=START_RATE, seed=seed)


def _bounded(steps: float) -> int:
    return min(MOST_STEPS, max(LEAST_STEPS, int(steps)))
