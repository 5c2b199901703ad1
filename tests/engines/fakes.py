"""Stand-ins: a runner without stages for the engine's threads, and stages without pictures."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.engines import sample_file
from visavis.engines.backend import Graph
from visavis.engines.client import Frame
from visavis.engines.controls import Controls, ControlSpec
from visavis.engines.errors import EngineError
from visavis.engines.person import Person, read_person, write_person
from visavis.engines.pipeline import SessionState, Work
from visavis.engines.render import Crop
from visavis.engines.stages import Stages
from visavis.engines.voice_activity import VoiceActivity
from visavis.engines.walk import Cue

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]


def person(name: str = "sample") -> Person:
    return read_person(write_person({**sample_file.manifest(), "name": name}, sample_file.parts()))


class Collector:
    """Takes frames and errors, and lets a test wait for them."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.errors: list[EngineError] = []
        self._condition = threading.Condition()

    def on_frame(self, frame: Frame) -> None:
        with self._condition:
            self.frames.append(frame)
            self._condition.notify_all()

    def on_error(self, error: EngineError) -> None:
        with self._condition:
            self.errors.append(error)
            self._condition.notify_all()

    def wait(self, frames: int = 0, errors: int = 0) -> None:
        with self._condition:
            arrived = self._condition.wait_for(
                lambda: len(self.frames) >= frames and len(self.errors) >= errors, timeout=20
            )
        assert arrived, f"{len(self.frames)} of {frames} frames, {len(self.errors)} errors"

    @property
    def indices(self) -> list[int]:
        return [frame.index for frame in self.frames]


class FakeRunner:
    """Gives frames whose first value is how many samples the session has taken, modulo 251."""

    def __init__(self, person: Person, rate: float = 1000.0) -> None:
        self.name = person.name
        self.kind = "fake"
        self.controls = ControlSpec()
        self.told: list[Controls] = []
        self.told_on: set[int] = set()
        self.batch_key: object = object()
        self.rate = rate
        self.batches: list[list[SessionState]] = []
        self.renders: list[list[bool]] = []
        self.threads: set[int] = set()
        self.warmed = 0
        self.ready = 0
        self.rests = 0
        self.pictures_ahead = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.fail_batch = False
        self.twins: list[FakeRunner] = []

    def initial_state(self, seed: int | None, lookahead_ms: int | None = None) -> SessionState:
        assert lookahead_ms is not None
        return SessionState(lookahead_ms, audio=0, voice=None, motion=None, background=seed)

    def advance(self, work: Sequence[Work]) -> None:
        self.threads.add(threading.get_ident())
        self.batches.append([item.state for item in work])
        self.renders.append([item.render for item in work])
        self.entered.set()
        assert self.gate.wait(20)
        if self.fail_batch:
            raise RuntimeError("all broken")
        for item in work:
            if np.isnan(item.pcm).any():
                item.error = RuntimeError("broken")
                continue
            item.state.audio += len(item.pcm)
            item.speech = 1.0
            if item.render:
                item.i420 = np.full((96, 64), item.state.audio % 251, np.uint8)

    def control(self, state: SessionState, controls: Controls) -> None:
        state.controls = controls
        self.told.append(controls)
        self.told_on.add(threading.get_ident())

    def look_ahead(self, state: SessionState) -> bool:
        self.pictures_ahead += 1
        state.ahead += 1
        return state.ahead < 3

    def warm_up(self, max_batch: int, clock: object = None) -> dict[int, float]:
        self.warmed = max_batch
        return {1: 1 / self.rate, max_batch: max_batch / self.rate}

    def get_ready(self, max_batch: int) -> None:
        self.ready = max_batch

    def rest(self) -> None:
        self.rests += 1

    def twin(self) -> FakeRunner:
        self.twins.append(copy.copy(self))
        self.twins[-1].batches, self.twins[-1].threads = [], set()
        return self.twins[-1]


@dataclass
class Counter:
    value: float = 0.0


class FakeAudio:
    size = 1
    rows = 4

    def initial_state(self) -> Counter:
        return Counter()

    def step(self, state: Counter, pcm: F32) -> F32:
        if (pcm > 90).any():
            raise RuntimeError("too loud")
        return pcm.reshape(-1, 160).mean(1, keepdims=True)

    def step_many(self, states: Sequence[Counter], pcm: Sequence[F32]) -> list[F32]:
        return [self.step(state, samples) for state, samples in zip(states, pcm, strict=True)]


class FakeMotion:
    """Coefficients: the sum of all rows so far, twice."""

    size = 2
    voice_activity = VoiceActivity(3)

    def initial_state(self, lookahead_ms: int) -> Counter:
        return Counter()

    def restarted(self, state: Counter) -> Counter:
        return Counter()

    def step(
        self, states: Sequence[Counter], features: F32, voiced: Sequence[NDArray[np.bool_]]
    ) -> tuple[F32, F32]:
        for state, rows in zip(states, features, strict=True):
            state.value += float(rows.sum())
            # After the change of state: a batch that fails must not count anything twice.
            if (rows > 50).any():
                raise RuntimeError("a row no network can take")
        values = np.array([[state.value] * 2 for state in states], np.float32)
        return values, np.ones(len(states), np.float32)


class FakeBackground:
    def __init__(self) -> None:
        self.cues: list[Cue] = []

    def warm_up(self) -> None:
        pass

    def initial_state(self, seed: int | None) -> Counter:
        return Counter(float(seed or 0))

    def look_ahead(self, state: Counter) -> bool:
        return False

    def rest(self) -> None:
        pass

    def step(self, state: Counter, cue: Cue) -> int:
        self.cues.append(cue)
        state.value += 1
        return int(state.value)

    def picture(self, choice: int) -> U8:
        return np.full((96, 64), choice % 256, np.uint8)


class FakeGeometry:
    def vertices(self, coefficients: F32, choices: Sequence[int]) -> F32:
        return np.repeat(coefficients[:, None, :1], 3, 2)


class FakeRaster:
    shape = (1, 4, 4)
    ahead = 0

    def initial_state(self) -> None:
        return None

    def draw(
        self,
        vertices: F32,
        coefficients: F32,
        choices: Sequence[int],
        pictures: Sequence[U8],
        out: F32,
        states: Sequence[None],
    ) -> None:
        assert len(coefficients) == len(vertices)
        out[:] = vertices[:, :1, :1, None]


class FakeRender:
    planes = (1, 4, 4)

    def draw(self, planes: F32, coefficients: F32, choices: Sequence[int]) -> Crop:
        if (coefficients > 40).any():
            raise RuntimeError("a picture no network can draw")
        value = planes[:, 0].astype(np.uint8)
        return value.repeat(2, 1).repeat(2, 2), value, value


class FakeComposite:
    def paste(self, picture: U8, choice: int, y: U8, u: U8, v: U8) -> None:
        picture[:8, :8] = y


def build(person: Person, graphs: Mapping[str, Graph]) -> Stages:
    parts: Any = (
        FakeAudio(),
        FakeMotion(),
        FakeBackground(),
        FakeGeometry(),
        FakeRaster(),
        FakeRender(),
        FakeComposite(),
    )
    return Stages(*parts)


def until(predicate: Any) -> None:
    """Wait until another thread has made something true."""
    end = time.monotonic() + 20
    while not predicate():
        assert time.monotonic() < end
        time.sleep(0.001)
