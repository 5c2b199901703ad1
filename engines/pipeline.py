"""One tick of many sessions of one person: stage by stage, in batches.

Stages that look at one session's state run session by session; networks, geometry and raster run
once for the batch. What goes wrong for one session ends that session only: a stage that fails for a
batch is run again for each session alone.
"""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Backend, Feeds, Graph, VariantReport, variants_of
from visavis.engines.capacity import BatchCosts
from visavis.engines.controls import Controls, ControlSpec, controls_of
from visavis.engines.drawn_edge import DrawnEdge
from visavis.engines.errors import EngineError, PersonFileError, VisavisError
from visavis.engines.person import Person
from visavis.engines.plate import decode_plate
from visavis.engines.probe import probe_voice
from visavis.engines.render import Crop
from visavis.engines.stages import Controllable, Stages, build_stages
from visavis.engines.stress import StressState, follow, levels
from visavis.engines.variant_memory import VariantMemory, graph_kind, person_kind
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

EASE_TICKS = 4  # after `clear`, the mouth reaches what the sound asks for within 160 ms
_PROBE_TICKS = 12
_PROBE_SECONDS = 6.0  # for who is slower than that, after so much time two ticks will do
_RATE_RUNS = 5
_SLOW_SECONDS = 0.2  # a picture: nobody waits for more than one of them to be timed
_AHEAD = 28  # pictures
_NO_OPINIONS: Bools = np.zeros(0, np.bool_)


@dataclass(slots=True)
class SessionState:
    """All that a session carries from tick to tick.

    Attributes:
        lookahead_ms: L of the session.
        audio, voice, motion, background: the stages' own states.
        stress: of the voice.
        raster: the stage's own state.
        controls: what the visitor chose.
        choices: frames from the one that is shown now to the one that is drawn now.
        played: coefficients of a performance that were shown so far.
        coefficients: f32[C] of the last tick, None before the first.
        ease_from: f32[C], where the mouth was when the session was cleared.
        ease_left: ticks until it is where the sound asks it to be.
        ahead: how often `Runner.look_ahead` was called.
    """

    lookahead_ms: int
    audio: Any
    voice: Any
    motion: Any
    background: Any
    raster: Any = None
    controls: Controls = Controls()
    choices: deque[Any] = field(default_factory=deque)
    played: int = 0
    stress: StressState = field(default_factory=StressState)
    coefficients: F32 | None = None
    ease_from: F32 | None = None
    ease_left: int = 0
    ahead: int = 0


@dataclass(slots=True)
class Work:
    """A session's part of a batch: what to do, and after `Runner.advance` what came out.

    Attributes:
        state: the session's, changed in place.
        pcm: f32[n], the samples that are new.
        render: make a picture; otherwise only the state moves.
        cleared: ease into what follows instead of jumping.
        i420: uint8[H * 3 / 2, W], the picture, or None.
        alpha: uint8[H, W], how much of it is the person; None where the session did not choose it.
        coefficients: f32[C] of this tick.
        speech: 0 to 1.
        stress: 0 to 1, of the syllable that the head nods with.
        error: why this session cannot go on, or None.
        choice: the frame that is shown; drawn: the one that the raster draws, the same unless it
            draws ahead.
    """

    state: SessionState
    pcm: F32
    render: bool = True
    cleared: bool = False
    i420: U8 | None = None
    alpha: U8 | None = None
    coefficients: F32 | None = None
    speech: float = 0.0
    stress: float = 0.0
    error: BaseException | None = None
    rows: F32 | None = field(default=None, repr=False)
    voiced: Bools = field(default_factory=lambda: np.zeros(0, np.bool_), repr=False)
    choice: Any = field(default=None, repr=False)
    drawn: Any = field(default=None, repr=False)
    crop: Crop | None = field(default=None, repr=False)


class Runner(Protocol):
    """What an engine needs of a pipeline."""

    name: str

    @property
    def controls(self) -> ControlSpec:
        """What can be chosen of the person."""

    @property
    def batch_key(self) -> Hashable:
        """Runners of equal keys run in one batch: `advance` of any one takes the work of all."""

    @property
    def kind(self) -> Hashable:
        """Persons of equal kinds cost the same: what was measured of one holds for the others."""

    def initial_state(self, seed: int | None, lookahead_ms: int | None = None) -> SessionState:
        """Return the state of a session that has heard nothing; quick.

        Args:
            seed: of the idle movement; a random one where None.
            lookahead_ms: one that the person offers; the person's own choice where None.
        """

    def control(self, state: SessionState, controls: Controls) -> None:
        """Show a session from its next tick on as its visitor chose."""

    def look_ahead(self, state: SessionState) -> bool:
        """Do a little of what the first tick would wait for; False where nothing is left to do.

        An engine calls it while nobody waits for a picture, so that a session that begins does not
        hold up the others.
        """

    def advance(self, work: Sequence[Work]) -> None:
        """Run one tick of each session; see `Work`. At most one tick of a session at a time."""

    def warm_up(self, max_batch: int, clock: Callable[[], float] = time.perf_counter) -> BatchCosts:
        """Compile and run everything up to that batch; return what batches take.

        Args:
            max_batch: the largest batch there will be.
            clock: seconds; of the thread's own time where other work shares the machine.
        """

    def get_ready(self, max_batch: int) -> None:
        """Run once what a first batch would wait for, where one of its kind is warm already."""

    def rest(self) -> None:
        """Nobody is shown now: give back the memory of what can be made again."""

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


class _Loader:
    """Makes the variants of a person's graphs ready, each once."""

    def __init__(self, person: Person, backend: Backend) -> None:
        self._person = person
        self._backend = backend
        self._ready: dict[tuple[str, str], Graph] = {}

    def offered(self, graph: str) -> tuple[str, ...]:
        """Return the variants that the person has and the backend runs."""
        runs = variants_of(self._backend)
        return tuple(key for key in self._person.graphs[graph].variants if key in runs)

    def __call__(self, graph: str, variant: str) -> Graph:
        if (graph, variant) not in self._ready:
            file = self._person.graphs[graph].variants[variant]
            self._ready[graph, variant] = self._backend.load(file, self._person.parts[file])
        return self._ready[graph, variant]

    def variant_of(self, name: str, graph: Graph) -> str:
        """Return which variant a graph is that was made here."""
        return next(key for (of, key), made in self._ready.items() if of == name and made is graph)


class Pipeline:
    """The stages of one person, ready to run; not for use by two threads at once.

    Args:
        person: whose stages.
        backend: what runs the networks; ONNX Runtime on the processor where None.
        variant: the graphs' variant to run, instead of measuring; fp32 where a graph lacks it.
        memory: which variants were fastest for persons of one kind; by default nothing is known.

    Attributes:
        lookahead_ms: of a session that asks for none.
        controls: what can be chosen of the person.
        kind: of the person; see `Runner.kind`.
        batch_key: see `Runner.batch_key`. Here only a person's own sessions share a batch.
        variants: what was measured of each graph's variants, by graph; empty if told `variant`, or
            if it was remembered.
        chosen: which variant of each graph runs.
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
        memory: VariantMemory | None = None,
        _build: Callable[[Person, Mapping[str, Graph]], Stages] = build_stages,
    ) -> None:
        self.name = person.name
        self.lookahead_ms = person.lookahead_ms
        self.controls = controls_of(person)
        self.kind = person_kind(person)
        self.batch_key: Hashable = object()
        if backend is None:
            from visavis.engines.onnx_cpu import OnnxCpuBackend

            backend = OnnxCpuBackend()
        load = _Loader(person, backend)
        switches = {name: _Switch(load(name, "fp32")) for name in person.graphs}
        try:
            self._stages: Stages = _build(person, switches)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise PersonFileError(
                f"The stages of {person.name!r} cannot be built: {error}."
            ) from error
        self._planes = np.zeros((0, *self._stages.render.planes), np.float32)
        self._edge = _edge_of(person)
        self.times: dict[str, deque[float]] = {}
        self.variants: dict[str, tuple[VariantReport, ...]] = {}
        try:
            if variant is None:
                self._choose(person, load, switches, memory or VariantMemory())
            else:
                for name, spec in person.graphs.items():
                    if variant in spec.variants:
                        switches[name].graph = load(name, variant)
        except VisavisError:
            raise
        except Exception as error:
            raise PersonFileError(f"The person {person.name!r} does not run: {error}") from error
        self.chosen = {
            name: load.variant_of(name, switch.graph) for name, switch in switches.items()
        }

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
        state = SessionState(
            lookahead_ms=lookahead_ms,
            audio=stages.audio.initial_state(),
            voice=stages.motion.voice_activity.initial_state(),
            motion=stages.motion.initial_state(lookahead_ms),
            background=stages.background.initial_state(seed),
            raster=stages.raster.initial_state(),
            choices=deque(maxlen=stages.raster.ahead + 1),
        )
        self.control(state, self.controls.start)
        return state

    def control(self, state: SessionState, controls: Controls) -> None:
        """Do what the visitor chose; see `Runner.control`."""
        if controls.performance != state.controls.performance:
            state.played = 0
        state.controls = controls
        for stage, own in (
            (self._stages.motion, state.motion),
            (self._stages.background, state.background),
        ):
            if isinstance(stage, Controllable):
                stage.apply(own, controls)

    def advance(self, work: Sequence[Work]) -> None:
        """Run one tick of each session; see `Work`."""
        self.decide(work)
        shown = [item for item in work if item.render]
        with self._timed("picture"):
            _each(shown, self._copy_frame)
        _batch(shown, self._draw)
        with self._timed("composite"):
            _each(shown, self._paste)

    def decide(self, work: Sequence[Work]) -> None:
        """Run the first half of a tick: how the mouth moves, and which frame is shown.

        It sets `Work.coefficients`, `speech`, `stress` and `choice`; whoever asks for this half
        alone makes the pictures of what is to be rendered.
        """
        with self._timed("audio"):
            _batch(work, self._hear)
        with self._timed("motion"):
            _batch(work, self._move)
        with self._timed("background"):
            _each(work, self._choose_frame)

    def add_alpha(self, work: Sequence[Work]) -> None:
        """Set `Work.alpha` of those who chose it; for who makes the pictures elsewhere."""
        asked = [item for item in work if item.state.controls.matte]
        if asked:
            with self._timed("picture"):
                _each(asked, self._copy_alpha)

    def _copy_alpha(self, item: Work) -> None:
        item.alpha = self._stages.background.alpha(item.choice)

    def look_ahead(self, state: SessionState) -> bool:
        """Decode one picture of those that come next; see `Runner.look_ahead`."""
        if state.ahead >= _AHEAD:
            return False
        state.ahead += 1
        return self._stages.background.look_ahead(state.background)

    def warm_up(self, max_batch: int, clock: Callable[[], float] = time.perf_counter) -> BatchCosts:
        """Compile and run everything up to that batch; see `Runner.warm_up`."""
        self._stages.background.warm_up()
        costs: dict[int, float] = {}
        for size in _measured(max_batch):
            costs[size] = self._batch_seconds(size, _RATE_RUNS, clock)
            if costs[size] > _SLOW_SECONDS * size:
                break
        self.times.clear()
        return costs

    def get_ready(self, max_batch: int) -> None:
        """Run the largest batch once: it makes the networks take the memory they need."""
        self._stages.background.warm_up()
        self._batch_seconds(max_batch, 1, time.perf_counter)
        self.times.clear()

    def rest(self) -> None:
        """Give back decoded pictures; see `Runner.rest`."""
        self._stages.background.rest()

    def _batch_seconds(self, size: int, runs: int, clock: Callable[[], float]) -> float:
        """Return the median of what a batch of `size` takes, the first one apart."""
        states = [self.initial_state(seed) for seed in range(size)]
        seconds = []
        for pcm in probe_voice(self.lookahead_ms, 1 + runs):
            work = [Work(state, pcm) for state in states]
            start = clock()
            self.advance(work)
            seconds.append(clock() - start)
            for item in work:
                if item.error is not None:
                    raise EngineError(f"{self.name!r} does not run: {item.error}.") from item.error
            if len(seconds) > 1 and seconds[-1] > _SLOW_SECONDS * size:
                break
        return float(np.median(seconds[1:]))

    def _hear(self, items: Sequence[Work]) -> None:
        sounds = [item.pcm for item in items]
        voice = self._stages.motion.voice_activity
        loudness, quantised = levels(sounds), voice.quantised(sounds)
        # From here on states change: what may fail comes first, and changes all of them or none.
        several = self._stages.audio.step_many([item.state.audio for item in items], sounds)
        for item, rows, level, samples in zip(items, several, loudness, quantised, strict=True):
            if item.state.coefficients is None:
                # A tick's rows end where its look-ahead ends; before the first there is nothing.
                missing = -len(rows) % self._stages.audio.rows
                nothing = np.zeros((missing, rows.shape[1]), np.float32)
                rows = np.concatenate((nothing, rows))
            item.rows = rows
            item.stress = follow(item.state.stress, level)
            item.voiced = voice.judge(item.state.voice, samples)

    def _move(self, items: Sequence[Work]) -> None:
        motion, a_tick = self._stages.motion, self._stages.audio.rows
        # Copies: when the batch fails, each session is run again from where it was.
        states = [
            motion.restarted(item.state.motion) if item.cleared else copy.copy(item.state.motion)
            for item in items
        ]
        rows = [item.rows for item in items if item.rows is not None]
        for state, early in zip(states, rows, strict=True):
            # Only a session's first tick has more than its own.
            for start in range(0, len(early) - a_tick, a_tick):
                motion.step([state], early[None, start : start + a_tick], [_NO_OPINIONS])
        features = np.stack([last[-a_tick:] for last in rows])
        coefficients, speech = motion.step(states, features, [item.voiced for item in items])
        for item, state, wanted, value in zip(items, states, coefficients, speech, strict=True):
            if item.cleared:
                item.state.ease_from, item.state.ease_left = item.state.coefficients, EASE_TICKS
            item.state.motion = state
            wanted = self._performed(item.state, wanted)
            item.coefficients = item.state.coefficients = _ease(item.state, wanted)
            item.speech = float(value)

    def _performed(self, state: SessionState, wanted: F32) -> F32:
        """What a performance says in the place of the voice, where one is played."""
        if state.controls.performance is None:
            return wanted
        rows = self.controls.played[state.controls.performance]
        state.played += 1
        performed: F32 = rows[(state.played - 1) % len(rows)]
        return performed

    def _choose_frame(self, item: Work) -> None:
        cue = Cue(item.speech, item.stress, item.cleared, item.coefficients)
        item.drawn = self._stages.background.step(item.state.background, cue)
        choices = item.state.choices
        while True:  # at first, what comes before the first frame is the first frame
            choices.append(item.drawn)
            if len(choices) == choices.maxlen:
                break
        item.choice = choices[0]

    def _copy_frame(self, item: Work) -> None:
        background = self._stages.background
        if item.state.controls.matte:
            item.i420, item.alpha = background.picture_and_alpha(item.choice)
        else:
            item.i420 = background.picture(item.choice)

    def _draw(self, items: Sequence[Work]) -> None:
        stages = self._stages
        choices = [item.drawn for item in items]
        pictures = [item.i420 for item in items if item.i420 is not None]
        coefficients = np.stack(
            [item.coefficients for item in items if item.coefficients is not None]
        )
        if len(self._planes) < len(items):
            self._planes = np.zeros((len(items), *stages.render.planes), np.float32)
        planes = self._planes[: len(items)]
        with self._timed("geometry"):
            vertices = stages.geometry.vertices(coefficients, choices)
        # Copies, as for the motion: a batch that fails has drawn nothing.
        states = [copy.copy(item.state.raster) for item in items]
        with self._timed("raster"):
            stages.raster.draw(vertices, coefficients, choices, pictures, planes, states)
        with self._timed("render"):
            shown = [item.choice for item in items]
            y, u, v = stages.render.draw(planes, coefficients, shown)
        for index, item in enumerate(items):
            item.state.raster = states[index]
            item.crop = y[index], u[index], v[index]

    def _paste(self, item: Work) -> None:
        if item.i420 is None or item.crop is None:
            return
        follows = item.alpha is not None and self._edge is not None
        footage = item.i420.copy() if follows else item.i420
        self._stages.composite.paste(item.i420, item.choice, *item.crop)
        if item.alpha is not None and self._edge is not None:
            self._edge.follow(item.alpha, footage, item.i420)

    def _choose(
        self,
        person: Person,
        load: _Loader,
        switches: Mapping[str, _Switch],
        memory: VariantMemory,
    ) -> None:
        """Choose the variant of each graph on what the stages feed it."""
        for switch in switches.values():
            switch.kept = []
        state, start = self.initial_state(0), time.monotonic()
        for tick, pcm in enumerate(probe_voice(self.lookahead_ms, _PROBE_TICKS)):
            if tick > 1 and time.monotonic() - start > _PROBE_SECONDS:
                break
            item = Work(state, pcm)
            self.advance([item])
            if item.error is not None:
                raise PersonFileError(
                    f"The person {self.name!r} does not run: {item.error}."
                ) from item.error
        for name, switch in switches.items():
            probes, switch.kept = switch.kept or [], None
            spec, offered = person.graphs[name], load.offered(name)
            if len(offered) > 1 and probes:
                switch.graph, reports = memory.choose(
                    name,
                    graph_kind(person, spec),
                    offered,
                    partial(load, name),
                    probes[-_PROBE_TICKS:],
                )
                if reports:
                    self.variants[name] = reports
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
    runner = Pipeline(person)
    if not runner.controls.matte:
        return
    state = runner.initial_state(0)
    runner.control(state, replace(runner.controls.start, matte=True))
    (pcm,) = probe_voice(person.lookahead_ms, 1)
    item = Work(state, pcm)
    runner.advance([item])
    if item.error is not None:
        raise PersonFileError(f"The person's matte does not run: {item.error}") from item.error


def _measured(max_batch: int) -> list[int]:
    """Return the sizes of batches that are run at the start: powers of two, and the largest."""
    return sorted({max_batch, *(1 << k for k in range(max_batch.bit_length()))} - {0})


def _edge_of(person: Person) -> DrawnEdge | None:
    if person.plate is None:
        return None
    size = person.width, person.height
    plate = decode_plate(person.manifest["look"]["plate"], person.plate, *size)
    return DrawnEdge(np.frombuffer(plate, np.uint8).reshape(size[1] * 3 // 2, size[0]))


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
