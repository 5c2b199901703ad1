"""Operation `tract@1`: feature rows to the coefficients of a person's mouth.

A causal network (graph `motion`, state carried per session) says for every 20 ms how the mouth
moves and how sure it is that the lips are closed (P, B, M), that the lip is on the teeth (F, V),
and that somebody speaks. What follows is arithmetic, per session and tick:

* **gate**: opens with the first frame that speaks, closes 120 to 160 ms after the last one; a
  closed gate is the person's rest, to the last bit;
* **frame**: the mean of the two steps, but where a closure is sure the smaller aperture of both, so
  that a closure shorter than a frame is seen;
* **person map**: coefficients = rest + map @ tract, drawn towards the person's own closed lips and
  lip-on-teeth shapes by the probabilities.

Rows end where a tick's look-ahead L ends: tick k is given rows 4k + L/10 - 4 to 4k + L/10 - 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Graph

__all__ = ["CHANNELS", "MOVES", "Tract", "TractState"]

CHANNELS = (
    "aperture",
    "jaw",
    "width",
    "protrusion",
    "tuck",
    "tongue",
    "p_closed",
    "p_liptooth",
    "p_speech",
)
MOVES = 6
_CLOSED, _LIPTOOTH, _SPEECH = 6, 7, 8

F32 = NDArray[np.float32]
Parts = Mapping[str, NDArray[np.generic] | bytes]

_DEFAULTS: dict[str, Any] = {
    "graph": "motion",
    "state": [],  # shape of every state of the graph, without the batch
    "gain": [1.0] * MOVES,
    "low": [0.0, 0.0, -0.3, 0.0, 0.0, 0.0],  # bounds of the moves
    "high": [0.5, 0.35, 0.2, 1.0, 1.0, 1.0],
    "contact": [0.3, 0.6],  # a contact is drawn from the first probability, whole at the second
    "speech": [0.45, 0.6],  # the gate closes below the first probability, opens above the second
    "hang_ms": 60.0,
    "open_ms": 40.0,
    "close_ms": 80.0,
}


@dataclass(slots=True)
class TractState:
    """What one session carries between ticks.

    Attributes:
        graph: the states of the network, each f32[...] without the batch.
        gate: 0 rest, 1 open.
        quiet_ms: how long nobody has spoken.
    """

    graph: tuple[F32, ...]
    gate: float = 0.0
    quiet_ms: float = 1e9


def _ease(x: F32) -> F32:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _array(parts: Parts, name: str, *shape: int) -> F32:
    value = parts[name]
    if not isinstance(value, np.ndarray) or value.ndim != max(len(shape), 1):
        raise ValueError(f"tract@1: part {name} must be an array of {max(len(shape), 1)} axes.")
    if shape and value.shape != shape:
        raise ValueError(f"tract@1: part {name} has the shape {value.shape}, not {shape}.")
    return value.astype(np.float32)


class Tract:
    """The stage, for any number of sessions of one person.

    Args:
        params: of the person file; see `_DEFAULTS` for what is optional.
        parts: `rest` f32[C], `map` f32[C, 6], `closed` f32[C], `liptooth` f32[C].
        graph: inputs `features` f32[N, 4, F] and `state_i` f32[N, ...]; outputs `tract`
            f32[N, 2, 9] and `next_state_i`.

    Raises:
        ValueError: when a part has the wrong shape, or a parameter is not known.
    """

    def __init__(self, params: Mapping[str, Any], parts: Parts, graph: Graph) -> None:
        unknown = sorted(params.keys() - _DEFAULTS.keys())
        if unknown:
            raise ValueError(f"tract@1 has no parameter {', '.join(unknown)}.")
        p = {**_DEFAULTS, **params}
        self._graph = graph
        self._rest = _array(parts, "rest")
        self.size = len(self._rest)
        person = _array(parts, "map", self.size, MOVES)
        self._closed = _array(parts, "closed", self.size) - self._rest
        self._liptooth = _array(parts, "liptooth", self.size) - self._rest
        gain = np.asarray(p["gain"], np.float32)
        self._map = np.ascontiguousarray((person * gain).T)
        self._low = np.asarray(p["low"], np.float32)
        self._high = np.asarray(p["high"], np.float32)
        self._shapes = [tuple(int(n) for n in shape) for shape in p["state"]]
        self._contact = (float(p["contact"][0]), float(p["contact"][1]))
        self._quiet, self._loud = (float(v) for v in p["speech"])
        self._hang = float(p["hang_ms"])
        self._open, self._close = 40.0 / float(p["open_ms"]), 40.0 / float(p["close_ms"])

    def initial_state(self) -> TractState:
        """A session that has heard nothing, at rest."""
        return TractState(tuple(np.zeros(shape, np.float32) for shape in self._shapes))

    def step(self, states: Sequence[TractState], features: F32) -> tuple[F32, F32]:
        """One tick of N sessions.

        Args:
            states: one per session; changed in place.
            features: f32[N, 4, F], the rows since the session's last tick.

        Returns:
            coefficients f32[N, C] and how open the gate is, f32[N], 0 to 1.
        """
        tract = self.tract(states, features)
        speech = tract[:, :, _SPEECH].max(1).tolist()
        gate = np.array([self._gate(s, p) for s, p in zip(states, speech, strict=True)], np.float32)
        return self._shape(tract, gate), gate

    def tract(self, states: Sequence[TractState], features: F32) -> F32:
        """The network alone: f32[N, 2, 9], without the gate; states are changed in place."""
        feeds = {"features": np.ascontiguousarray(features, np.float32)}
        count = len(self._shapes)
        for k in range(count):
            feeds[f"state_{k}"] = np.stack([state.graph[k] for state in states])
        outputs = self._graph.run(feeds)
        new = [np.asarray(outputs[f"next_state_{k}"], np.float32) for k in range(count)]
        for n, state in enumerate(states):
            state.graph = tuple(value[n] for value in new)
        return np.asarray(outputs["tract"], np.float32)

    def _gate(self, state: TractState, speech: float) -> float:
        if speech >= self._loud or (state.quiet_ms == 0.0 and speech > self._quiet):
            state.quiet_ms = 0.0
            state.gate = min(1.0, state.gate + self._open)
        else:
            state.quiet_ms += 40.0
            if state.quiet_ms > self._hang:
                state.gate = max(0.0, state.gate - self._close)
        return state.gate

    def _shape(self, tract: F32, gate: F32) -> F32:
        low, high = self._contact
        contact = _ease((tract[:, :, _CLOSED:_SPEECH].max(1) - low) / (high - low))
        moves = tract[:, :, :MOVES].mean(1)
        sure = contact[:, 0]
        moves[:, 0] += sure * (tract[:, :, 0].min(1) - moves[:, 0])
        moves = np.clip(moves, self._low, self._high)
        closed = (gate * sure)[:, None]
        liptooth = (gate * contact[:, 1])[:, None] * (1.0 - closed)
        offset = gate[:, None] * (moves @ self._map)
        offset += liptooth * (self._liptooth - offset)
        offset += closed * (self._closed - offset)
        return np.asarray(self._rest + offset, np.float32)
