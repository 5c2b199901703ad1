"""How the head is held beyond what the clip shows: sway, nods, breath.

All of it is slow and small, and noise is band-limited, so nothing of it trembles. Sway never comes
again, which is what keeps a short clip from being recognised. Angles are about a point in the neck.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError

__all__ = ["Bearing", "BearingState", "Hold", "held"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

TICKS = 25.0  # a second
PIVOT = (0.0, 1.2, 0.6)  # head space: where the skull sits on the neck
# RMS of yaw, pitch, roll in degrees and of x, y in IOD, each limited to `WIDEST` times that.
SWAY = np.array([0.8, 0.55, 0.45, 0.016, 0.009])
WIDEST = 2.0
SWAY_HZ = 0.22  # of each of three filters in a row: together they end at half of it
CALM = 0.75  # of the sway, while listening
EASE = 0.03  # a tick, from calm to lively and back
# Ticks until a nod is deepest; stressed syllables closer than `NOD_APART` get one nod.
NOD_RISE, SLOW_NOD_RISE = 5, 14
NOD_APART, NOD_SHARE = 20, 0.6
SLOW_NOD_S = 16.0  # mean time between nods of who listens
BREATH_HZ = (0.2, 0.3)
INHALE = 0.42  # of a breath
HEAD_SHARE = 0.4  # of the shoulders' rise
# Bounds of the parameters: degrees, degrees, IOD.
_DEFAULTS = {"sway": 1.0, "nod": 1.4, "breath": 0.011}
_MOST = {"sway": 2.0, "nod": 3.0, "breath": 0.03}


@dataclass(frozen=True, slots=True)
class Hold:
    """What is added to a frame's own pose.

    Attributes:
        yaw, pitch, roll: degrees; pitch is down.
        x, y: IOD, right and down.
        breath: IOD, how far the shoulders are raised.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    y: float = 0.0
    breath: float = 0.0


@dataclass(slots=True)
class BearingState:
    """What one session carries.

    Attributes:
        sway: float64[3, 5], what is in the three filters of each of `SWAY`.
        nod, slow_nod: float64[3], the same of a nod.
        since_nod: ticks.
        lively: 0 listening, 1 speaking, eased.
        breath: 0 to 1, how far a breath has come; rate: breaths a tick; depth: of this one.
    """

    sway: F64 = field(default_factory=lambda: np.zeros((3, len(SWAY))))
    nod: F64 = field(default_factory=lambda: np.zeros(3))
    slow_nod: F64 = field(default_factory=lambda: np.zeros(3))
    since_nod: int = 0
    lively: float = 0.0
    breath: float = 0.0
    rate: float = BREATH_HZ[0] / TICKS
    depth: float = 1.0


class Bearing:
    """The rules; they hold nothing of a session.

    Args:
        params: "sway", how much of `SWAY` there is, 0 to 2; "nod", degrees of the deepest, 0 to 3;
            "breath", IOD that the shoulders rise, 0 to 0.03. Each may be left out.

    Raises:
        PersonFileError: a number is out of its range.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        values = {}
        for name, default in _DEFAULTS.items():
            values[name] = float(params.get(name, default))
            if not 0.0 <= values[name] <= _MOST[name]:
                raise PersonFileError(
                    f"The person's {name} must be from 0 to {_MOST[name]}, not {values[name]}."
                )
        self._keep = 1.0 - math.exp(-2.0 * math.pi * SWAY_HZ / TICKS)
        response = _impulse(self._keep)
        self._sway = values["sway"] * SWAY
        self._gain = 1.0 / math.sqrt(float(np.square(response).sum()))
        self._nod, self._breath = values["nod"], values["breath"]
        # Three filters in a row answer t^2 exp(-t / tau), which is deepest at 2 tau.
        self._quick, self._slow = (
            1.0 - math.exp(-2.0 / rise) for rise in (NOD_RISE, SLOW_NOD_RISE)
        )
        self._quick_gain = values["nod"] / float(_impulse(self._quick).max())
        self._slow_gain = values["nod"] / float(_impulse(self._slow).max())

    def initial_state(self, random: np.random.Generator) -> BearingState:
        """Return a state without sway, somewhere in a breath."""
        return BearingState(
            breath=float(random.random()), rate=float(random.uniform(*BREATH_HZ)) / TICKS
        )

    def step(
        self, state: BearingState, random: np.random.Generator, speaking: bool, stress: float
    ) -> Hold:
        """Return how the head is held in the next tick; `state` changes in place.

        Args:
            random: of the session.
            speaking: whether somebody does.
            stress: see `stress.listen`.
        """
        state.lively += EASE * (float(speaking) - state.lively)
        _filter(state.sway, random.standard_normal(len(SWAY)), self._keep)
        size = CALM + (1.0 - CALM) * state.lively
        limit = WIDEST * self._sway
        wide = size * self._gain * self._sway * state.sway[2]
        sway = limit * np.tanh(wide / np.maximum(limit, 1e-12))
        yaw, pitch, roll, x, y = sway.tolist()
        pitch += self._nods(state, random, speaking, stress)
        raised = self._breathe(state, random)
        return Hold(yaw, pitch, roll, x, y - HEAD_SHARE * raised, raised)

    def _nods(
        self, state: BearingState, random: np.random.Generator, speaking: bool, stress: float
    ) -> float:
        quick = slow = 0.0
        state.since_nod += 1
        # The same number of draws in every tick, so that a nod does not change the sway.
        chance, depth = random.random(2).tolist()
        if state.since_nod > NOD_APART:
            if speaking and stress > 0.0 and chance < NOD_SHARE:
                quick = (0.3 + 0.7 * stress) * (0.5 + 0.5 * depth)
            elif not speaking and chance < 1.0 / (SLOW_NOD_S * TICKS):
                slow = 0.5 + 0.5 * depth
            if quick or slow:
                state.since_nod = 0
        _filter(state.nod, quick, self._quick)
        _filter(state.slow_nod, slow, self._slow)
        deep = self._quick_gain * float(state.nod[2]) + self._slow_gain * float(state.slow_nod[2])
        return min(self._nod, deep)

    def _breathe(self, state: BearingState, random: np.random.Generator) -> float:
        state.breath += state.rate
        if state.breath >= 1.0:
            # Between two breaths the chest is at rest, so rate and depth may change.
            state.breath -= 1.0
            state.rate = float(random.uniform(*BREATH_HZ)) / TICKS
            state.depth = float(random.uniform(0.8, 1.0))
        part = state.breath
        up = part / INHALE if part < INHALE else (1.0 - part) / (1.0 - INHALE)
        return self._breath * state.depth * 0.5 * (1.0 - math.cos(math.pi * up))


def held(pose: F32, hold: Hold) -> F32:
    """Return a pose f32[3, 4] with what `hold` adds."""
    # Plain numbers: for matrices so small, calls of numpy would take five times as long.
    angles = (math.radians(angle) for angle in (hold.yaw, hold.pitch, hold.roll))
    (cy, sy), (cp, sp), (cr, sr) = ((math.cos(angle), math.sin(angle)) for angle in angles)
    # Pitch first, then yaw, then roll.
    turn = (
        (cr * cy, -sr * cp - cr * sy * sp, sr * sp - cr * sy * cp),
        (sr * cy, cr * cp - sr * sy * sp, -cr * sp - sr * sy * cp),
        (sy, cy * sp, cy * cp),
    )
    rows = pose.tolist()
    px, py, pz = PIVOT
    pivot = [a * px + b * py + c * pz + d for a, b, c, d in rows]
    # The columns that are turned: three axes, and the way from the pivot to the origin.
    columns = [[row[k] for row in rows] for k in range(3)]
    columns.append([row[3] - at for row, at in zip(rows, pivot, strict=True)])
    out = [[a * x + b * y + c * z for x, y, z in columns] for a, b, c in turn]
    iod = math.sqrt(sum(value * value for value in rows[0][:3]))
    for row, at, moved in zip(out, pivot, (hold.x, hold.y, 0.0), strict=True):
        row[3] += at + iod * moved
    return np.array(out, np.float32)


def _filter(stages: F64, value: F64 | float, keep: float) -> None:
    """Three one-pole filters in a row, in place."""
    stages[0] += keep * (value - stages[0])
    stages[1] += keep * (stages[0] - stages[1])
    stages[2] += keep * (stages[1] - stages[2])


def _impulse(keep: float) -> F64:
    """What a filter answers to a single 1, until it has died away."""
    stages, out = np.zeros(3), np.zeros(round(20.0 / keep))
    for index in range(len(out)):
        _filter(stages, float(index == 0), keep)
        out[index] = stages[2]
    return out
