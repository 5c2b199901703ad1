"""When a session begins, so that its frames become ready together with those of its group. Pure."""

from __future__ import annotations

import math

from visavis.engines.client import PHASES
from visavis.server.media.face import TICK_SECONDS

__all__ = ["next_in_phase"]


def next_in_phase(now: float, phase: int, lookahead_ms: int) -> float:
    """The first origin from `now` on whose frames become ready in the session's phase.

    With the origin *o* and the look-ahead *L*, the sound of frame *k* is complete at *o* + 40 *k* +
    *L* ms. That is to be 10 ms times the phase, modulo 40 ms, whatever the look-ahead: sessions of
    a group then share a batch, and the encoders get a quarter of all frames at a time. It costs at
    most one tick, once: the voice begins so much later, and is delayed no more than before.

    From then on the steps follow the microphone (:mod:`visavis.server.media.depth`), at first by up
    to one step and then by its drift: an engine may gain by the phase, and must not rely on it.

    Args:
        now: seconds of the monotonic clock, which all processes of a machine share.
        phase: 0 to PHASES - 1.
        lookahead_ms: of the session.
    """
    wanted = phase * TICK_SECONDS / PHASES - lookahead_ms / 1000
    ticks = math.ceil((now - wanted) / TICK_SECONDS - 1e-9)
    return wanted + ticks * TICK_SECONDS
