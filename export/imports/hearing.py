"""What the built-in person's motion network hears in a voice, through the stages of a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from visavis.engines.audio import LogMel
from visavis.engines.backend import Feeds, Graph
from visavis.engines.motion import MOVES, Tract
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.person import Person, load_person
from visavis.export.imports.errors import ImportRefused
from visavis.persons import builtin

__all__ = ["FPS", "MOVES", "Heard", "built_in", "hear_moves"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

FPS = 25
TICK = 640  # samples
LONGEST_S = 600
CONTACTS = slice(MOVES, MOVES + 3)


@dataclass(frozen=True, slots=True)
class Heard:
    """What is heard of K frames of 40 ms.

    Attributes:
        moves: f64[K, 6], as a face would be asked for them.
        contacts: f64[K, 3], how likely lips are shut, a lip is on the teeth, somebody speaks.
        gate: f64[K], how far a mouth may move, 0 to 1.
    """

    moves: F64
    contacts: F64
    gate: F64

    def first(self, frames: int) -> Heard:
        """Return the first frames."""
        return Heard(self.moves[:frames], self.contacts[:frames], self.gate[:frames])


class _Tap:
    """A graph that also keeps what it said last."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.said: Mapping[str, NDArray[np.generic]] = {}

    def run(self, feeds: Feeds) -> dict[str, NDArray[np.generic]]:
        """As the graph."""
        outputs = self._graph.run(feeds)
        self.said = outputs
        return outputs


@cache
def built_in() -> Person:
    """Return the built-in person."""
    return load_person(builtin().read_bytes(), trusted=True)


def hear_moves(voice: F32) -> Heard:
    """Hear a voice from a fresh session; silence follows it.

    The moves are those that a map is multiplied with live: after curve, gain and bounds, before
    gate and contacts.

    Args:
        voice: f32[n], 16 kHz; ten minutes of it are heard.

    Raises:
        ImportRefused: it is shorter than a frame, or not finite.
    """
    sound = np.asarray(voice, np.float32).reshape(-1)[: LONGEST_S * FPS * TICK]
    frames = len(sound) // TICK
    if not frames or not np.isfinite(sound).all():
        raise ImportRefused("The voice is shorter than a frame, or not of finite numbers.")
    person = built_in()
    spec = person.stages["motion"]
    graph = _Tap(
        OnnxCpuBackend().load("motion", person.parts[person.graphs["motion"].variants["fp32"]])
    )
    # A face whose coefficients are the moves, and which no contact draws anywhere.
    plain = {
        "rest": np.zeros(MOVES, np.float32),
        "map": np.eye(MOVES, dtype=np.float32),
        "closed": np.zeros(MOVES, np.float32),
        "liptooth": np.zeros(MOVES, np.float32),
    }
    never = {"contact": [2.0, 3.0], "parted": 0.0}
    stage = Tract({**spec.params, **never}, plain, graph)
    mel = LogMel(person.stages["audio"].params)
    lookahead = person.lookahead_ms
    head = person.lookaheads_ms.index(lookahead)
    state, hearing = stage.initial_state(lookahead), mel.initial_state()
    detector = stage.voice_activity.initial_state()
    early = lookahead // 40 - 1  # ticks whose frames come before the first
    padded = np.zeros((frames + early) * TICK, np.float32)
    padded[: frames * TICK] = sound[: frames * TICK]
    rows = mel.step(hearing, padded).reshape(frames + early, 4, -1)
    moves, contacts, gates = [], [], []
    for tick in range(frames + early):
        opinions = stage.voice_activity.step(detector, padded[tick * TICK : (tick + 1) * TICK])
        asked, gate = stage.step([state], rows[tick][None], [opinions])
        tract = np.asarray(graph.said["tract"], np.float64)[0, head]
        moves.append(asked[0])
        contacts.append(tract[:, CONTACTS].max(axis=0))
        gates.append(gate[0])
    opened = np.asarray(gates, np.float64)[early:]
    found = np.asarray(moves, np.float64)[early:]
    # The gate scales what is asked; a map is fitted to what is behind it.
    found /= np.where(opened > 0.0, opened, 1.0)[:, None]
    return Heard(found, np.asarray(contacts, np.float64)[early:], opened)
