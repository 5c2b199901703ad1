"""What a video says of itself, as findings. Nothing is decoded for it."""

from __future__ import annotations

import numpy as np

from visavis.finetune.check.cuts import LEAST_S
from visavis.finetune.check.findings import Finding
from visavis.finetune.check.source import MOST_S, Facts

__all__ = ["probe"]

_FPS = 25.0
_LEAST_RATE = 20.0
_UNEVEN = 0.2  # of the usual time between pictures
_UNEVEN_SHARE = 0.02
_LARGE = 2560  # pixels of the longer side


def probe(facts: Facts) -> list[Finding]:
    """Return what is to be said about length, rate, size and kind of the pictures."""
    return [*_length(facts), *_rate(facts), *_form(facts)]


def _length(facts: Facts) -> list[Finding]:
    if facts.used_s < LEAST_S:
        return [
            Finding(
                "short",
                "refused",
                f"The video is {facts.used_s:.1f} s long; it must be {LEAST_S:.0f} s at least, and "
                "one or two minutes are better.",
            )
        ]
    if facts.length_s > MOST_S:
        return [
            Finding(
                "long",
                "warning",
                f"The video is {facts.length_s / 60:.1f} minutes long; only its first "
                f"{MOST_S / 60:.0f} are used, so put the best part there.",
            )
        ]
    return []


def _rate(facts: Facts) -> list[Finding]:
    step = np.diff(facts.time)
    if len(step) < 2:
        return []
    rate = len(step) / float(step.sum())
    uneven = np.abs(step / facts.period - 1.0) > _UNEVEN
    found = []
    if uneven.mean() > _UNEVEN_SHARE:
        slow, fast = 1.0 / np.percentile(step, (95, 5))
        found.append(
            Finding(
                "variable-rate",
                "note",
                f"The pictures come at a rate that varies, {slow:.1f} to {fast:.1f} a second; for "
                "every 40 ms the nearest is taken.",
            )
        )
    elif abs(rate - _FPS) > 0.05:
        found.append(
            Finding(
                "other-rate",
                "note",
                f"The video has {rate:.2f} pictures a second; for every 40 ms the nearest is "
                "taken, 25 a second.",
            )
        )
    if rate < _LEAST_RATE:
        found.append(
            Finding(
                "slow-rate",
                "warning",
                f"{rate:.1f} pictures a second miss most of what lips do; record 25 or more.",
            )
        )
    return found


def _form(facts: Facts) -> list[Finding]:
    found = []
    width, height = facts.coded
    if facts.turns:
        found.append(
            Finding(
                "rotated",
                "note",
                "The pictures are stored lying or upside down; they are turned by "
                f"{90 * (4 - facts.turns)} degrees clockwise.",
            )
        )
    if max(width, height) > _LARGE:
        found.append(
            Finding(
                "large",
                "note",
                f"The pictures are {width} x {height}; they are scaled while they are decoded.",
            )
        )
    if facts.transfer:
        found.append(
            Finding(
                "hdr",
                "note",
                f"The video has a high dynamic range ({facts.transfer}); it is brought to the "
                "standard one, so its colours may differ a little.",
            )
        )
    elif facts.depth > 8:
        found.append(
            Finding(
                "deep",
                "note",
                f"The video has {facts.depth} bits a colour; 8 of them are kept.",
            )
        )
    if facts.interlaced:
        found.append(
            Finding(
                "interlaced",
                "warning",
                "The video is interlaced, so only every other line is used; record progressive "
                "pictures (25p, not 50i) for twice the detail.",
            )
        )
    return found
