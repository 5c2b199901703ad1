"""Operation `windowed@1`: a system's own motion network, on a window of feature rows.

The network sees the newest W rows; what it remembers besides, a recurrent state or features of
earlier windows, is state that is carried from tick to tick. Its look-ahead is the one that it was
trained with: a frame k is given rows that end at 40 k + L ms, and there is one L.

Rows that come before the first frame are heard, not run, unless `preroll` is "run": a recurrent
network of one step a frame began at frame 0 when it was trained, one of a step a row did not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Graph
from visavis.engines.controls import Controls
from visavis.engines.person_manifest import GraphSpec
from visavis.engines.voice_activity import FRAME_MS, VoiceActivity

__all__ = ["Windowed", "WindowedState"]

F32 = NDArray[np.float32]
Bools = NDArray[np.bool_]

_TICK_MS = 40
_SPEECH_MS = 100  # from a frame's start, what counts for whether it speaks
_STRICTNESS = 3
_PARAMS = {"graph", "lookaheads", "hold", "preroll"}


@dataclass(slots=True)
class WindowedState:
    """What one session carries.

    Attributes:
        rows: f32[W, F], the newest rows; None before the first.
        graph: the states of the network, each without the batch.
        early: steps that come before the first frame.
        voiced: bool[L / 20], whether somebody speaks, from the frame's start on.
        style: f32[K] or None.
    """

    rows: F32 | None
    graph: tuple[F32, ...]
    early: int
    voiced: Bools
    style: F32 | None


class Windowed:
    """The stage, for any number of sessions of one person.

    Args:
        params: `graph`; `lookaheads`, one of them; `hold`, what stands before the first row:
            "zeros", the default, or "edge", that row itself; `preroll`, "hear" or "run".
        spec: of the graph: inputs `features` f32[N, W, F], states, and perhaps `style` f32[N, K];
            outputs `coefficients` f32[N, C] and the next states.
        graph: the network, ready to run.
        rows: feature rows in a tick.

    Attributes:
        size: C. features: F.
        voice_activity: the opinions that `step` is to be given.

    Raises:
        ValueError: the graph is not of that form, or a parameter is not known or senseless.
    """

    def __init__(self, params: Mapping[str, Any], spec: GraphSpec, graph: Graph, rows: int) -> None:
        if unknown := sorted(params.keys() - _PARAMS):
            raise ValueError(f"windowed@1 has no parameter {', '.join(unknown)}")
        self._hold, preroll = params.get("hold", "zeros"), params.get("preroll", "hear")
        if self._hold not in ("zeros", "edge") or preroll not in ("hear", "run"):
            raise ValueError("windowed@1: hold must be zeros or edge, preroll hear or run")
        states = [given for given, _ in spec.state]
        plain = spec.inputs.keys() - set(states)
        window = spec.inputs.get("features", ())
        made = spec.outputs.get("coefficients", ())
        if not {"features"} <= plain <= {"features", "style"} or len(window) != 2 or len(made) != 1:
            raise ValueError(
                "windowed@1: its graph must take features [N, W, F], may take style [N, K], and "
                "gives coefficients [N, C]"
            )
        if len(params["lookaheads"]) != 1:
            raise ValueError("windowed@1 has one look-ahead")
        self.lookahead_ms = int(params["lookaheads"][0])
        self.window, self.features = window
        self.size = made[0]
        self.voice_activity = VoiceActivity(_STRICTNESS)
        self._graph = graph
        self._pairs = spec.state
        self._shapes = [spec.inputs[name] for name in states]
        self.style = spec.inputs["style"][0] if "style" in plain else None
        heard = -(-self.lookahead_ms * rows // _TICK_MS)
        self._early = 0 if preroll == "run" else -(-heard // rows) - 1

    def initial_state(self, lookahead_ms: int) -> WindowedState:
        """Return a session that has heard nothing.

        Raises:
            ValueError: it is not the look-ahead of this network.
        """
        if lookahead_ms != self.lookahead_ms:
            raise ValueError(f"This motion has one look-ahead, {self.lookahead_ms} ms.")
        return WindowedState(
            None,
            tuple(np.zeros(shape, np.float32) for shape in self._shapes),
            self._early,
            np.zeros(lookahead_ms // FRAME_MS, np.bool_),
            None if self.style is None else np.zeros(self.style, np.float32),
        )

    def restarted(self, state: WindowedState) -> WindowedState:
        """Return the state of a session whose sound was taken back; its style stays."""
        return replace(self.initial_state(self.lookahead_ms), early=0, style=state.style)

    def apply(self, state: WindowedState, controls: Controls) -> None:
        """Speak in the style that was chosen.

        Raises:
            ValueError: the network takes another one.
        """
        if self.style is None or controls.style is None:
            return
        code = np.asarray(controls.style, np.float32)
        if code.shape != (self.style,):
            raise ValueError(f"The network takes a style of {self.style} numbers, not {len(code)}.")
        state.style = code

    def step(
        self, states: Sequence[WindowedState], features: F32, voiced: Sequence[Bools]
    ) -> tuple[F32, F32]:
        """One tick of N sessions; see `stages.MotionStage.step`."""
        for state, rows, opinions in zip(states, features, voiced, strict=True):
            if state.rows is None:
                first = rows[:1] if self._hold == "edge" else np.zeros_like(rows[:1])
                state.rows = np.repeat(first, self.window, axis=0)
            state.rows = np.concatenate((state.rows, rows))[-self.window :]
            state.voiced = np.concatenate((state.voiced, opinions))[-len(state.voiced) :]
        speech = np.array(
            [state.voiced[: _SPEECH_MS // FRAME_MS].mean() for state in states], np.float32
        )
        coefficients = np.zeros((len(states), self.size), np.float32)
        awake = [n for n, state in enumerate(states) if not state.early]
        if awake:
            coefficients[awake] = self._run([states[n] for n in awake])
        for state in states:
            state.early = max(0, state.early - 1)
        return coefficients, speech

    def _run(self, states: Sequence[WindowedState]) -> F32:
        feeds = {"features": np.stack([state.rows for state in states if state.rows is not None])}
        if self.style is not None:
            feeds["style"] = np.stack([state.style for state in states if state.style is not None])
        for place, (name, _) in enumerate(self._pairs):
            feeds[name] = np.stack([state.graph[place] for state in states])
        outputs = self._graph.run(feeds)
        after = [np.asarray(outputs[name], np.float32) for _, name in self._pairs]
        for n, state in enumerate(states):
            state.graph = tuple(value[n] for value in after)
        return np.asarray(outputs["coefficients"], np.float32)
