"""Operation `tract@2`: feature rows to the coefficients of a person's mouth.

A causal network (graph `motion`, state carried per session) says for every 20 ms how the mouth
moves and how sure it is that the lips are closed (P, B, M), that the lip is on the teeth (F, V),
and that somebody speaks. It has a head for each of several look-aheads L: a tick whose rows end at
T ms says through head L what the frame that begins at T - L shows. A session is shown by one of
them. What follows is arithmetic, per session and tick:

* **blend**: heads of L - 40 n ms have predicted the same frame n ticks ago; the frame is the
  weighted mean of those predictions that have come;
* **gate** (`gate`): opens with the frame that speaks, or one before; closes 120 to 160 ms after the
  last speech. Then nothing moves: the lips stay parted for a second, as a person's do who pauses,
  and settle into the person's rest, which is met to the last bit;
* **frame**: the mean of the two steps, but where a closure is sure the smaller aperture of both, so
  that a closure shorter than a frame is seen; a curve undoes the shyness of a network that is
  unsure, so that the mouth opens as far and as often as real ones do;
* **person map**: coefficients = rest + map @ tract, drawn towards the person's own closed lips and
  lip-on-teeth shapes by the probabilities. A sure closure is the person's closed lips, to the last
  bit.

Rows end where a tick's look-ahead ends: tick k is given rows 4k + L/10 - 4 to 4k + L/10 - 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Graph
from visavis.engines.gate import SHUT, GateRule, GateState, move, parted
from visavis.engines.voice_activity import FRAME_MS, VoiceActivity

__all__ = ["CHANNELS", "MOVES", "STEPS", "Tract", "TractState"]

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
STEPS = 2
_CLOSED, _LIPTOOTH, _SPEECH = 6, 7, 8
_TICK_MS = 40
_MAX_BLEND = 8

F32 = NDArray[np.float32]
Bools = NDArray[np.bool_]
Parts = Mapping[str, NDArray[np.generic] | bytes]

_GATE: dict[str, Any] = {field.name: field.default for field in fields(GateRule)}
_DEFAULTS: dict[str, Any] = {
    "graph": "motion",
    "state": [],  # shape of every state of the graph, without the batch
    "blend": [1.0],  # weight of a frame's predictions, by how many ticks ago they were made
    "curve": [[0.0, 0.0], [1.0, 1.0]],  # aperture: what is heard, what is shown; rising
    "gain": [1.0] * MOVES,
    "low": [0.0, 0.0, -0.3, 0.0, 0.0, 0.0],  # bounds of the moves
    "high": [0.5, 0.35, 0.2, 1.0, 1.0, 1.0],
    "contact": [0.3, 0.6],  # a contact is drawn from the first probability, whole at the second
    **_GATE,  # see `gate.GateRule`
    "parted": 0.0,  # aperture of the lips in a pause
    "early_ms": 40,  # a frame opens for speech that begins so much later, where a head hears it
    "voice_mode": 3,  # of the second opinion, 0 to 3
    "voice_ms": 100,  # from a frame's start, how far the second opinion counts; L at most
    "voice_frames": 2,  # how many of its frames of 20 ms must agree
}


@dataclass(slots=True)
class TractState:
    """What one session carries between ticks.

    Attributes:
        lookahead_ms: L.
        graph: the states of the network, each f32[...] without the batch.
        past: f32[n, H, 2, 9], what the last ticks predicted; n grows to what `blend` needs.
        voiced: bool[L / 20], the second opinion from the start of the frame on, 20 ms each.
        gate: how open it is.
    """

    lookahead_ms: int
    graph: tuple[F32, ...]
    past: F32
    voiced: Bools
    gate: GateState = SHUT


@dataclass(frozen=True, slots=True)
class _View:
    """How a session of one look-ahead reads what the network says.

    Attributes:
        terms: (ticks ago, head, weight) of the predictions of the frame, newest first.
        heads: of the frame, and of the one after it where that may open the gate.
        keep: how many ticks are remembered.
    """

    terms: tuple[tuple[int, int, float], ...]
    heads: tuple[int, ...]
    keep: int


def _ease(x: F32) -> F32:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _array(parts: Parts, name: str, *shape: int) -> F32:
    value = parts[name]
    if not isinstance(value, np.ndarray) or value.ndim != max(len(shape), 1):
        raise ValueError(f"tract@2: part {name} must be an array of {max(len(shape), 1)} axes.")
    if shape and value.shape != shape:
        raise ValueError(f"tract@2: part {name} has the shape {value.shape}, not {shape}.")
    return value.astype(np.float32)


class Tract:
    """The stage, for any number of sessions of one person.

    Args:
        params: of the person file: `lookaheads`, the heads in ms, from 40; see `_DEFAULTS` for the
            rest.
        parts: `rest` f32[C], `map` f32[C, 6], `closed` f32[C], `liptooth` f32[C].
        graph: inputs `features` f32[N, 4, F] and `state_i` f32[N, ...]; outputs `tract`
            f32[N, H, 2, 9], one for each of `lookaheads`, and `next_state_i`.

    Attributes:
        lookaheads: in ms, as in `params`.
        voice_activity: the second opinion that `step` is to be given.

    Raises:
        ValueError: when a part has the wrong shape, or a parameter is not known or senseless.
    """

    def __init__(self, params: Mapping[str, Any], parts: Parts, graph: Graph) -> None:
        unknown = sorted(params.keys() - _DEFAULTS.keys() - {"lookaheads"})
        if unknown:
            raise ValueError(f"tract@2 has no parameter {', '.join(unknown)}.")
        p = {**_DEFAULTS, **params}
        self._graph = graph
        self._rest = _array(parts, "rest")
        self.size = len(self._rest)
        person = _array(parts, "map", self.size, MOVES)
        self._closed = _array(parts, "closed", self.size)
        self._liptooth = _array(parts, "liptooth", self.size) - self._rest
        curve = np.asarray(p["curve"], np.float32)
        if curve.ndim != 2 or curve.shape[1:] != (2,) or (np.diff(curve, axis=0) < 0.0).any():
            raise ValueError("tract@2: curve must be pairs of numbers that rise.")
        self._heard, self._seen = np.ascontiguousarray(curve.T)
        gain = np.asarray(p["gain"], np.float32)
        self._map = np.ascontiguousarray((person * gain).T)
        self._parted = person[:, 0] * np.float32(p["parted"])
        self._low = np.asarray(p["low"], np.float32)
        self._high = np.asarray(p["high"], np.float32)
        self._shapes = [tuple(int(n) for n in shape) for shape in p["state"]]
        self._contact = (float(p["contact"][0]), float(p["contact"][1]))
        self._rule = GateRule(**{name: float(p[name]) for name in _GATE})
        self.voice_activity = VoiceActivity(p["voice_mode"])
        self._voice_span = int(p["voice_ms"]) // FRAME_MS
        self._voice_frames = int(p["voice_frames"])
        if not 1 <= self._voice_frames <= self._voice_span:
            raise ValueError("tract@2: voice_frames must be from 1 to voice_ms / 20.")
        if p["early_ms"] not in (0, _TICK_MS):
            raise ValueError(f"tract@2: early_ms must be 0 or {_TICK_MS}.")
        self.lookaheads = tuple(int(ms) for ms in p["lookaheads"])
        blend = [float(weight) for weight in p["blend"]]
        if not 1 <= len(blend) <= _MAX_BLEND or blend[0] <= 0.0 or min(blend) < 0.0:
            raise ValueError(
                f"tract@2: blend must be 1 to {_MAX_BLEND} weights, none below 0, the first above."
            )
        self._views = {ms: self._view(ms, blend, int(p["early_ms"])) for ms in self.lookaheads}

    def _view(self, lookahead_ms: int, blend: Sequence[float], early_ms: int) -> _View:
        heads = {ms: head for head, ms in enumerate(self.lookaheads)}
        terms = tuple(
            (ago, heads[ms], weight)
            for ago, weight in enumerate(blend)
            if weight > 0.0 and (ms := lookahead_ms - _TICK_MS * ago) in heads
        )
        soon = [heads[ms] for ms in (lookahead_ms - _TICK_MS,) if ms in heads and early_ms]
        return _View(terms, (heads[lookahead_ms], *soon), max(ago for ago, _, _ in terms))

    def initial_state(self, lookahead_ms: int) -> TractState:
        """A session that has heard nothing, at rest.

        Raises:
            ValueError: there is no head for that look-ahead.
        """
        if lookahead_ms not in self._views:
            raise ValueError(f"tract@2 has no head for a look-ahead of {lookahead_ms} ms.")
        return TractState(
            lookahead_ms,
            tuple(np.zeros(shape, np.float32) for shape in self._shapes),
            np.zeros((0, len(self.lookaheads), STEPS, len(CHANNELS)), np.float32),
            np.zeros(lookahead_ms // FRAME_MS, np.bool_),
        )

    def restarted(self, state: TractState) -> TractState:
        """Return the state of a session whose sound was taken back."""
        return self.initial_state(state.lookahead_ms)

    def step(
        self, states: Sequence[TractState], features: F32, voiced: Sequence[Bools]
    ) -> tuple[F32, F32]:
        """One tick of N sessions, of any of the look-aheads.

        Args:
            states: one per session; changed in place, their arrays replaced.
            features: f32[N, 4, F], the rows since the session's last tick.
            voiced: per session bool[n], what `voice_activity` has said since the last tick.

        Returns:
            coefficients f32[N, C] and how open the gate is, f32[N], 0 to 1.
        """
        said = self._predict(states, features)
        gate = np.empty(len(states), np.float32)
        pause = np.empty(len(states), np.float32)
        frames = np.empty((len(states), STEPS, len(CHANNELS)), np.float32)
        for n, (state, heads) in enumerate(zip(states, said, strict=True)):
            frames[n] = self._merge(state, heads)
        now = frames[:, :, _SPEECH].max(axis=1).tolist()
        by_head = said[:, :, :, _SPEECH].max(axis=2).tolist()
        for n, (state, opinions) in enumerate(zip(states, voiced, strict=True)):
            soon = self._views[state.lookahead_ms].heads[1:]
            speech = [now[n], *(by_head[n][head] for head in soon)]
            gate[n] = self._gate(state, speech, opinions)
            pause[n] = parted(self._rule, state.gate)
        return self._shape(frames, gate, pause), gate

    def _predict(self, states: Sequence[TractState], features: F32) -> F32:
        """The network: f32[N, H, 2, 9]; its state goes on."""
        feeds = {"features": np.ascontiguousarray(features, np.float32)}
        count = len(self._shapes)
        for k in range(count):
            feeds[f"state_{k}"] = np.stack([state.graph[k] for state in states])
        outputs = self._graph.run(feeds)
        new = [np.asarray(outputs[f"next_state_{k}"], np.float32) for k in range(count)]
        for n, state in enumerate(states):
            state.graph = tuple(value[n] for value in new)
        return np.asarray(outputs["tract"], np.float32)

    def _merge(self, state: TractState, heads: F32) -> F32:
        """The frame's tract f32[2, 9] from all that was predicted of it; remembers the newest."""
        view = self._views[state.lookahead_ms]
        if not view.keep:
            frame: F32 = heads[view.heads[0]]
            return frame
        come = [
            (weight, heads[head] if ago == 0 else state.past[-ago, head])
            for ago, head, weight in view.terms
            if ago <= len(state.past)
        ]
        state.past = np.concatenate((state.past, heads[None]))[-view.keep :]
        whole = np.float32(sum(weight for weight, _ in come))
        total: F32 = sum(
            (np.float32(weight) * tract for weight, tract in come[1:]),
            np.float32(come[0][0]) * come[0][1],
        )
        return total / whole

    def _gate(self, state: TractState, speech: Sequence[float], opinions: Bools) -> float:
        """Move the gate by how likely speech is in the frame, and in the next where it may open."""
        state.voiced = np.concatenate((state.voiced, opinions))[-len(state.voiced) :]
        per_tick = _TICK_MS // FRAME_MS
        agrees = [
            int(np.count_nonzero(state.voiced[per_tick * n : per_tick * n + self._voice_span]))
            >= self._voice_frames
            for n in range(len(speech))
        ]
        state.gate = move(self._rule, state.gate, speech, agrees)
        return state.gate.open

    def _shape(self, tract: F32, gate: F32, pause: F32) -> F32:
        low, high = self._contact
        contact = _ease((tract[:, :, _CLOSED:_SPEECH].max(1) - low) / (high - low))
        moves = tract[:, :, :MOVES].mean(1)
        sure = contact[:, 0]
        moves[:, 0] += sure * (tract[:, :, 0].min(1) - moves[:, 0])
        moves[:, 0] = np.interp(moves[:, 0], self._heard, self._seen)
        moves = np.clip(moves, self._low, self._high)
        closed = (gate * sure)[:, None]
        liptooth = (gate * contact[:, 1])[:, None] * (1.0 - closed)
        # One product per session: a product of all would round differently with their number.
        offset = gate[:, None] * np.matmul(moves[:, None], self._map)[:, 0]
        offset += ((1.0 - gate) * pause)[:, None] * self._parted
        offset += liptooth * (self._liptooth - offset)
        offset += closed * (self._closed - self._rest - offset)
        # Rounding must neither part closed lips nor move a face at rest.
        moved = (gate + pause)[:, None] > 0.0
        shape = np.where(moved, self._rest + offset, self._rest)
        return np.asarray(np.where(closed >= 1.0, self._closed, shape), np.float32)
