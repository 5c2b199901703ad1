"""When a mouth may move: pure arithmetic on how sure two listeners are that somebody speaks.

A frame speaks when the network is `sure` of it alone, or finds it `likely` and the second opinion
(`voice_activity`) agrees. The gate opens in the frame that speaks, or one before the frame that is
known to: a mouth is open before its sound. It stays open while the network's probability is above
`stay`, and is shut 120 to 160 ms after the last speech: two frames more it is open, one it is half
open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["SHUT", "GateRule", "GateState", "move"]

TICK_MS = 40.0


@dataclass(frozen=True, slots=True)
class GateRule:
    """Thresholds are probabilities, 0 to 1; times in ms.

    Attributes:
        sure: from here the network is believed alone.
        likely: from here it is believed if the second opinion agrees.
        stay: above this an open gate stays open.
        hang_ms: how much silence passes before the gate begins to close.
        open_ms, close_ms: from shut to open, and back.

    Raises:
        ValueError: the thresholds are not in order, or a time is not positive.
    """

    sure: float = 0.85
    likely: float = 0.5
    stay: float = 0.45
    hang_ms: float = 80.0
    open_ms: float = 40.0
    close_ms: float = 80.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.stay <= self.likely <= self.sure:
            raise ValueError("A gate needs 0 <= stay <= likely <= sure.")
        if not (self.hang_ms >= 0.0 and self.open_ms > 0.0 and self.close_ms > 0.0):
            raise ValueError("A gate needs times above 0 to open and to close.")


@dataclass(frozen=True, slots=True)
class GateState:
    """Attributes:
    open: 0 shut, 1 open.
    quiet_ms: how long nobody has spoken.
    """

    open: float
    quiet_ms: float


SHUT = GateState(0.0, 1e9)


def move(
    rule: GateRule, state: GateState, speech: Sequence[float], voiced: Sequence[bool]
) -> GateState:
    """Return the gate's state after a frame of 40 ms.

    Args:
        rule: thresholds and times.
        state: after the frame before.
        speech: how sure the network is of this frame, and of those after it that may open it.
        voiced: what the second opinion says of each of them.
    """
    speaks = any(
        p >= rule.sure or (p >= rule.likely and agrees)
        for p, agrees in zip(speech, voiced, strict=True)
    )
    if speaks or (state.open > 0.0 and speech[0] > rule.stay):
        return GateState(min(1.0, state.open + TICK_MS / rule.open_ms), 0.0)
    quiet = state.quiet_ms + TICK_MS
    falls = TICK_MS / rule.close_ms if quiet > rule.hang_ms else 0.0
    return GateState(max(0.0, state.open - falls), quiet)
