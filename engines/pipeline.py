"""One tick of many sessions of one person: stage by stage, in batches.

Stages that look at one session's state run session by session; networks, geometry and raster run
once for the batch. What goes wrong for one session ends that session only: a stage that fails for a
batch is run again for each session alone.
"""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Backend, Feeds, Graph, VariantReport, choose_variant
from visavis.engines.errors import EngineError, PersonFileError, VisavisError
from visavis.engines.person import Person
from visavis.engines.probe import probe_voice
from visavis.engines.render import Crop
from visavis.engines.stages import Stages, build_stages
from visavis.engines.stress import StressState, listen
from visavis.engines.walk import Cue

__all__ = [
    "EASE_TICKS",
    "Pipeline",
    "Runner",
    "SessionState",
    "Work",
    "try_person",
]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]

ROWS = 4  # feature rows of 10 ms in a tick
EASE_TICKS = 4  # after `clear`, the mouth reaches what the sound asks for within 160 ms
_PROBE_TICKS = 12
_RATE_RUNS = 5
_NO_OPINIONS: Bools = np.zeros(0, np.bool_)


@dataclass(slots=True)
class SessionState:
    """All that a session carries from tick to tick.

    Attributes:
        lookahead_ms: L of the session.
        audio, voice, motion, background: the stages' own states.
        stress: of the voice.
        coefficients: f32[C] of the last tick, None before the first.
        ease_from: f32[C], where the mouth was when the session was cleared.
        ease_left: ticks until it is where the sound asks it to be.
    """

    lookahead_ms: int
    audio: Any
    voice: Any
    motion: Any
    background: Any
    stress: StressState = field(default_factory=StressState)
    coefficients: F32 | None = None
    ease_from: F32 | None = None
    ease_left: int = 0


@dataclass(slots=True)
class Work:
    """A session's part of a batch: what to do, and after `Runner.advance` what came out.

    Attributes:
        state: the session's, changed in place.
        pcm: f32[n], the samples that are new.
        render: make a picture; otherwise only the state moves.
        cleared: ease into what follows instead of jumping.
        i420: uint8[H * 3 / 2, W], the picture, or None.
        coefficients: f32[C] of this tick.
        speech: 0 to 1.
        stress: 0 to 1, of the syllable that the head nods with.
        error: why this session cannot go on, or None.
    """

    state: SessionState
    pcm: F32
    render: bool = True
    cleared: bool = False
    i420: U8 | None = None
    coefficients: F32 | None = None
    speech: float = 0.0
    stress: float = 0.0
    error: BaseException | None = None
    rows: F32 | None = field(default=None, repr=False)
    voiced: Bools = field(default_factory=lambda: np.zeros(0, np.bool_), repr=False)
    choice: Any = field(default=None, repr=False)
    crop: Crop | None = field(default=None, repr=False)


class Runner(Protocol):
    """What an engine needs of a pipeline."""

    name: str

    def initial_state(self, seed: int | None, lookahead_ms: int | None = None) -> SessionState:
        """Return the state of a session that has heard nothing.

        Args:
            seed: of the idle movement; a random one where None.
            lookahead_ms: one that the person offers; the person's own choice where None.
        """

    def advance(self, work: Sequence[Work]) -> None:
        """Run one tick of each session; see `Work`. At most one tick of a session at a time."""

    def warm_up(self, max_batch: int) -> float:
        """Compile and run everything up to that batch; return frames per second."""

    def twin(self) -> Runner:
        """Return a runner of the same stages for another thread."""


class _Switch:
    """A graph whose variant is chosen later; it can keep what it is fed."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.kept: list[dict[str, F32]] | None = None

    def run(self, feeds: Feeds) -> dict[str, NDArray[np.generic]]:
        if self.kept is not None:
            self.kept.append({name: array.copy() for name, array in feeds.items()})
        return self.graph.run(feeds)


class Pipeline:
    """The stages of one person, ready to run; not for use by two threads at once.

    Args:
        person: whose stages.
        backend: what runs the networks; ONNX Runtime on the processor where None.
        variant: the graphs' variant to run, instead of measuring; fp32 where a graph lacks it.

    Attributes:
        lookahead_ms: of a session that asks for none.
        variants: what was measured of each graph's variants, by graph; empty if told `variant`.
        times: milliseconds of each stage for each of the last 1000 batches, by stage.

    Raises:
        PersonFileError: a stage or a network cannot be built, or does not run.
    """

    def __init__(
        self,
        person: Person,
        *,
        backend: Backend | None = None,
        variant: str | None = None,
        _build: Callable[[Person, Mapping[str, Graph]], Stages] = build_stages,
    ) -> None:
        self.name = person.name
        self.lookahead_ms = person.lookahead_ms
        if backend is None:
            from visavis.engines.onnx_cpu import OnnxCpuBackend

            backend = OnnxCpuBackend()
        candidates = {
            name: {
                key: backend.load(file, person.parts[file])
                for key, file in spec.variants.items()
                if variant is None or key in (variant, "fp32")
            }
            for name, spec in person.graphs.items()
        }
        switches = {name: _Switch(graphs["fp32"]) for name, graphs in candidates.items()}
        try:
            self._stages: Stages = _build(person, switches)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise PersonFileError(
                f"The stages of {person.name!r} cannot be built: {error}."
            ) from error
        self._planes = np.zeros((0, *self._stages.render.planes), np.float32)
        self.times: dict[str, deque[float]] = {}
        self.variants: dict[str, tuple[VariantReport, ...]] = {}
        try:
            if variant is None:
                self._choose(candidates, switches)
            else:
                for name, graphs in candidates.items():
                    switches[name].graph = graphs.get(variant, graphs["fp32"])
        except VisavisError:
            raise
        except Exception as error:
            raise PersonFileError(f"The person {person.name!r} does not run: {error}") from error

    def twin(self) -> Pipeline:
        """Return a pipeline of the same stages and networks, for another thread.

        Stages hold nothing of a session and may be used by several threads; buffers may not.
        """
        other = copy.copy(self)
        other._planes = np.zeros_like(self._planes[:0])
        other.times = {}
        return other

    def initial_state(self, seed: int | None, lookahead_ms: int | None = None) -> SessionState:
        """Return the state of a session that has heard nothing; see `Runner.initial_state`."""
        stages = self._stages
        lookahead_ms = self.lookahead_ms if lookahead_ms is None else lookahead_ms
        return SessionState(
            lookahead_ms=lookahead_ms,
            audio=stages.audio.initial_state(),
            voice=stages.motion.voice_activity.initial_state(),
            motion=stages.motion.initial_state(lookahead_ms),
            background=stages.background.initial_state(seed),
        )

    def advance(self, work: Sequence[Work]) -> None:
        """Run one tick of each session; see `Work`."""
        with self._timed("audio"):
            _each(work, self._hear)
        with self._timed("motion"):
            _batch(work, self._move)
        with self._timed("background"):
            _each(work, self._choose_frame)
        shown = [item for item in work if item.render]
        with self._timed("picture"):
            _each(shown, self._copy_frame)
        _batch(shown, self._draw)
        with self._timed("composite"):
            _each(shown, self._paste)

    def warm_up(self, max_batch: int) -> float:
        """Compile and run everything up to that batch; return frames per second.

        The rate is the lower one of single sessions and of the largest batch.
        """
        self._stages.background.warm_up()
        rates = {}
        for size in range(1, max_batch + 1):
            voice = probe_voice(self.lookahead_ms, 2 + _RATE_RUNS)
            states = [self.initial_state(seed) for seed in range(size)]
            seconds = []
            runs = _RATE_RUNS if size in (1, max_batch) else 1
            for pcm in voice[: 1 + runs]:
                work = [Work(state, pcm) for state in states]
                start = time.perf_counter()
                self.advance(work)
                seconds.append(time.perf_counter() - start)
                for item in work:
                    if item.error is not None:
                        raise EngineError(
                            f"{self.name!r} does not run: {item.error}."
                        ) from item.error
            rates[size] = size / float(np.median(seconds[1:]))
        self.times.clear()
        return min(rates[1], rates[max_batch])

    def _hear(self, item: Work) -> None:
        item.stress = listen(item.state.stress, item.pcm)
        item.voiced = self._stages.motion.voice_activity.step(item.state.voice, item.pcm)
        rows = self._stages.audio.step(item.state.audio, item.pcm)
        if item.state.coefficients is None:
            # A tick's rows end where its look-ahead ends; before the first there is nothing.
            nothing = np.zeros((-len(rows) % ROWS, rows.shape[1]), np.float32)
            rows = np.concatenate((nothing, rows))
        item.rows = rows

    def _move(self, items: Sequence[Work]) -> None:
        motion = self._stages.motion
        # Copies: when the batch fails, each session is run again from where it was.
        states = [
            motion.initial_state(item.state.lookahead_ms)
            if item.cleared
            else copy.copy(item.state.motion)
            for item in items
        ]
        rows = [item.rows for item in items if item.rows is not None]
        for state, early in zip(states, rows, strict=True):
            # Only a session's first tick has more than its own.
            for start in range(0, len(early) - ROWS, ROWS):
                motion.step([state], early[None, start : start + ROWS], [_NO_OPINIONS])
        features = np.stack([last[-ROWS:] for last in rows])
        coefficients, speech = motion.step(states, features, [item.voiced for item in items])
        for item, state, wanted, value in zip(items, states, coefficients, speech, strict=True):
            if item.cleared:
                item.state.ease_from, item.state.ease_left = item.state.coefficients, EASE_TICKS
            item.state.motion = state
            item.coefficients = item.state.coefficients = _ease(item.state, wanted)
            item.speech = float(value)

    def _choose_frame(self, item: Work) -> None:
        cue = Cue(item.speech, item.stress, item.cleared)
        item.choice = self._stages.background.step(item.state.background, cue)

    def _copy_frame(self, item: Work) -> None:
        item.i420 = self._stages.background.picture(item.choice)

    def _draw(self, items: Sequence[Work]) -> None:
        stages = self._stages
        choices = [item.choice for item in items]
        pictures = [item.i420 for item in items if item.i420 is not None]
        coefficients = np.stack(
            [item.coefficients for item in items if item.coefficients is not None]
        )
        if len(self._planes) < len(items):
            self._planes = np.zeros((len(items), *stages.render.planes), np.float32)
        planes = self._planes[: len(items)]
        with self._timed("geometry"):
            vertices = stages.geometry.vertices(coefficients, choices)
        with self._timed("raster"):
            stages.raster.draw(vertices, coefficients, choices, pictures, planes)
        with self._timed("render"):
            y, u, v = stages.render.draw(planes, coefficients)
        for index, item in enumerate(items):
            item.crop = y[index], u[index], v[index]

    def _paste(self, item: Work) -> None:
        if item.i420 is not None and item.crop is not None:
            self._stages.composite.paste(item.i420, item.choice, *item.crop)

    def _choose(
        self, candidates: Mapping[str, Mapping[str, Graph]], switches: Mapping[str, _Switch]
    ) -> None:
        """Choose the variant of each graph on what the stages feed it."""
        for switch in switches.values():
            switch.kept = []
        state = self.initial_state(0)
        for pcm in probe_voice(self.lookahead_ms, _PROBE_TICKS):
            item = Work(state, pcm)
            self.advance([item])
            if item.error is not None:
                raise PersonFileError(
                    f"The person {self.name!r} does not run: {item.error}."
                ) from item.error
        for name, switch in switches.items():
            probes, switch.kept = switch.kept or [], None
            if len(candidates[name]) > 1 and probes:
                switch.graph, self.variants[name] = choose_variant(
                    name, candidates[name], probes[-_PROBE_TICKS:]
                )
        self.times.clear()

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            times = self.times.setdefault(stage, deque(maxlen=1000))
            times.append((time.perf_counter() - start) * 1000.0)


def try_person(person: Person) -> None:
    """Run a person's stages and every variant of its networks once.

    Raises:
        PersonFileError: something of it does not run.
    """
    Pipeline(person)


def _ease(state: SessionState, wanted: F32) -> F32:
    """Return coefficients between where the mouth was when cleared and where it should be."""
    if state.ease_from is None or state.ease_left == 0:
        state.ease_from = None
        return wanted
    progress = 1.0 - state.ease_left / (EASE_TICKS + 1)
    state.ease_left -= 1
    weight = np.float32(progress * progress * (3.0 - 2.0 * progress))
    eased: F32 = state.ease_from + weight * (wanted - state.ease_from)
    return eased


def _each(items: Sequence[Work], action: Callable[[Work], None]) -> None:
    """Run a stage for each session that has not failed; who fails now is marked."""
    for item in items:
        if item.error is None:
            try:
                action(item)
            except Exception as error:
                item.error = error


def _batch(items: Sequence[Work], action: Callable[[Sequence[Work]], None]) -> None:
    """Run a stage for all sessions that have not failed; alone, if it fails together."""
    alive = [item for item in items if item.error is None]
    if not alive:
        return
    try:
        action(alive)
    except Exception as error:
        if len(alive) == 1:
            alive[0].error = error
            return
        for item in alive:
            _batch([item], action)
