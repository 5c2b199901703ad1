"""Ticks of many sessions through the device: the same pictures as on the host, for everybody."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.cuda.simulator import SimulatedDevice, SimulatedStream
from tests.engines.fakes import Collector
from tests.engines.tiny_person import tiny_person, voice
from visavis.engines.agreement import FRAME_BOUNDS, Figures, compare, past
from visavis.engines.cuda import pipeline as cuda_pipeline
from visavis.engines.cuda.pipeline import CudaPipeline, CudaState
from visavis.engines.cuda.pool import LEASES, SLOTS
from visavis.engines.cuda.runners import CudaRunners
from visavis.engines.device import DeviceArray, DeviceGraph
from visavis.engines.errors import DeviceLost, DeviceMemoryFull, EngineError
from visavis.engines.local import LocalEngine
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.person import Person, load_person
from visavis.engines.pipeline import Pipeline, SessionState, Work
from visavis.persons import builtin

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Runner = CudaPipeline | Pipeline


class OnStream:
    """A network of the host as one of the device: it takes its turn on the simulated stream."""

    def __init__(self, graph: DeviceGraph, backend: HostBackend) -> None:
        self._graph = graph
        self._backend = backend
        self._last: tuple[int, int] | None = None

    @property
    def capture_key(self) -> str | None:
        return self._backend.capture_key

    def enqueue(
        self, feeds: Mapping[str, DeviceArray], outputs: Mapping[str, DeviceArray], stream: int
    ) -> None:
        self._backend.enqueued.append(feeds["planes"].shape[0])
        if feeds["planes"].shape[0] in self._backend.refuses:
            raise EngineError("This network takes no such batch.")
        wanted = [found for found in self._backend.device.streams if found.handle == stream]
        (found,) = wanted
        # A network computes in memory of its own: a run on another stream must have been before.
        if self._last is not None and self._last[0] != stream:
            assert found.known.get(self._last[0], -1) >= self._last[1]
        found.queue(lambda: self._graph.enqueue(feeds, outputs, 0))
        self._last = stream, found.queued


class HostBackend(OnnxCpuBackend):
    def __init__(self, device: SimulatedDevice, capture_key: str | None = None) -> None:
        super().__init__()
        self.device = device
        self.capture_key = capture_key
        self.refuses: set[int] = set()
        self.enqueued: list[int] = []

    def load_device(self, name: str, model: bytes, *, max_batch: int) -> OnStream:  # type: ignore[override]
        return OnStream(super().load_device(name, model, max_batch=max_batch), self)


def runners(
    device: SimulatedDevice | None = None, *, room: int = 4, **more: Any
) -> tuple[CudaRunners, SimulatedDevice, HostBackend]:
    device = device or SimulatedDevice()
    backend = HostBackend(device, more.pop("capture_key", None))
    return CudaRunners(device, backend, room=room, **more), device, backend


def ticks(person: Person, count: int, seed: int) -> list[F32]:
    first = 16 * person.lookahead_ms
    sound = voice(1 + (first + 640 * count) / 16000, seed)
    return [sound[:first], *(sound[first + 640 * k :][:640] for k in range(count - 1))]


Change = Callable[[int, list[Work]], None]


def play(
    begin: Sequence[Callable[[], SessionState]],
    advance: Callable[[list[Work]], None],
    sounds: Sequence[Sequence[F32]],
    change: Change = lambda tick, work: None,
) -> list[list[Work]]:
    states = [make() for make in begin]
    done = []
    for tick, pcm in enumerate(zip(*sounds, strict=True)):
        work = [Work(state, samples) for state, samples in zip(states, pcm, strict=True)]
        change(tick, work)
        advance(work)
        done.append(work)
    return done


def seeded(runner: Runner, seeds: Sequence[int]) -> list[Callable[[], SessionState]]:
    return [lambda seed=seed: runner.initial_state(seed) for seed in seeds]  # type: ignore[misc]


def figures(one: Sequence[Sequence[Work]], other: Sequence[Sequence[Work]]) -> Figures:
    """How far the pictures are apart; who has one in one has one in the other."""
    left, right = ([item for work in side for item in work] for side in (one, other))
    assert [item.i420 is None for item in left] == [item.i420 is None for item in right]
    pictures = [[item.i420 for item in side if item.i420 is not None] for side in (left, right)]
    return compare({"frames": np.stack(pictures[0])}, {"frames": np.stack(pictures[1])})


def interrupt(tick: int, work: list[Work]) -> None:
    """The second is not rendered at times, the third is cleared once, the first blinks."""
    work[1].render = tick % 3 != 1
    work[2].cleared = tick == 4
    if tick == 1:
        work[0].state.background.blinks.run = 0


@pytest.mark.parametrize("capture_key", [None, "engine"])
def test_the_tiny_persons_pictures_are_the_hosts(capture_key: str | None) -> None:
    person = tiny_person()
    make, device, backend = runners(SimulatedDevice(lazy=True), capture_key=capture_key)
    ours, host = make(person, variant="fp32"), Pipeline(person, variant="fp32")
    sounds = [ticks(person, 45, seed) for seed in range(3)]
    found = play(seeded(ours, (5, 6, 7)), ours.advance, sounds, interrupt)
    wanted = play(seeded(host, (5, 6, 7)), host.advance, sounds, interrupt)
    assert not any(item.error for work in found for item in work)
    assert not past(figures(wanted, found), FRAME_BOUNDS["fp32"])
    for one, other in zip(found, wanted, strict=True):
        for a, b in zip(one, other, strict=True):
            assert np.array_equal(a.coefficients, b.coefficients) and a.speech == b.speech
    assert any(len(item.choice.frames) == 2 for work in found for item in work)  # a jump
    assert any(item.choice.eyes is not None for work in found for item in work)  # a blink
    device.check()
    # One upload and one download a batch, whoever is in it; what comes again is replayed.
    batches = [sum(item.render for item in work) for work in found]
    assert device.downloads == len(batches) and backend.enqueued.count(3) >= 2
    met = {(index % SLOTS, size) for index, size in enumerate(batches)}
    again = len(batches) - len(met)
    assert device.replays == (again if capture_key else 2 * again)
    assert len(backend.enqueued) == (2 * len(met) if capture_key else len(batches))


def test_the_presenters_pictures_are_the_hosts() -> None:
    person = load_person(builtin().read_bytes(), trusted=True)
    make, device, _ = runners(room=3)
    ours, host = make(person, variant="fp32"), Pipeline(person, variant="fp32")
    sounds = [ticks(person, 3, seed) for seed in range(3)]
    found = play(seeded(ours, (1, 2, 3)), ours.advance, sounds, interrupt)
    wanted = play(seeded(host, (1, 2, 3)), host.advance, sounds, interrupt)
    assert not any(item.error for work in found for item in work)
    apart = figures(wanted, found)
    assert not past(apart, FRAME_BOUNDS["fp32"]) and apart.mean < 0.001
    device.check()


def test_persons_share_launches() -> None:
    """Two persons, eight sessions in turns: one launch of each kernel, one a person of networks."""
    make, device, backend = runners(room=8)
    persons = [tiny_person("one"), tiny_person("two", (0.5, 0.5))]
    ours = [make(person, variant="fp32") for person in persons]
    assert ours[0].batch_key == ours[1].batch_key == ours[0].twin().batch_key
    hosts = [Pipeline(person, variant="fp32") for person in persons]
    sounds = [ticks(persons[0], 4, seed) for seed in range(8)]

    def mixed(sides: Sequence[Runner]) -> list[Callable[[], SessionState]]:
        return [begin for k in range(8) for begin in seeded(sides[k % 2], [k])]

    device.launches.clear()
    found = play(mixed(ours), ours[0].advance, sounds)
    # Once as it is and once to be captured, by each batch object; then it is replayed.
    assert [kernel for kernel, _ in device.launches].count(
        "draw_planes"
    ) == 2 * SLOTS  # captures are half
    assert {grid[2] for _, grid in device.launches} == {8}
    assert backend.enqueued[-2:] == [4, 4] and len(backend.enqueued) == 8

    def apart(work: list[Work]) -> None:
        for k, host in enumerate(hosts):
            host.advance(work[k::2])

    wanted = play(mixed(hosts), apart, sounds)
    assert not past(figures(wanted, found), FRAME_BOUNDS["fp32"])


def test_halves_overlap_and_large_batches_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_pipeline, "OVERLAP", 4)
    person = tiny_person()
    make, device, backend = runners(SimulatedDevice(lazy=True), room=3)
    ours = make(person, variant="fp32")
    host = Pipeline(person, variant="fp32")
    sounds = [ticks(person, 3, seed) for seed in range(7)]
    found = play(seeded(ours, range(7)), ours.advance, sounds)
    assert backend.enqueued == [2, 2, 3] * 3
    wanted = play(seeded(host, range(7)), host.advance, sounds)
    assert not past(figures(wanted, found), FRAME_BOUNDS["fp32"])
    order: list[str] = []
    monkeypatch.setattr(SimulatedStream, "wait", _noting(SimulatedStream.wait, order, "wait"))
    monkeypatch.setattr(Pipeline, "decide", _noting(Pipeline.decide, order, "decide"))
    play(seeded(ours, range(4)), ours.advance, [sound[:1] for sound in sounds[:4]])
    assert order == ["decide", "decide", "wait", "wait"]


def _noting(call: Callable[..., Any], order: list[str], word: str) -> Callable[..., Any]:
    def noted(*arguments: Any) -> Any:
        order.append(word)
        return call(*arguments)

    return noted


def test_one_that_fails_does_not_harm_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    person = tiny_person()
    make, device, backend = runners()
    ours = make(person, variant="fp32")
    sounds = [ticks(person, 2, seed) for seed in range(3)]

    def spoil(tick: int, work: list[Work]) -> None:
        if tick == 1:
            work[1].state.ease_left, work[1].state.ease_from = 1, np.full(6, np.nan, np.float32)

    found = play(seeded(ours, range(3)), ours.advance, sounds, spoil)
    good = [found[1][0], found[1][2]]
    assert "not finite" in str(found[1][1].error) and found[1][1].i420 is None
    assert all(item.error is None and item.i420 is not None for item in good)
    # A network that refuses the batch, and one that refuses everybody.
    backend.refuses = {3}
    again = play(seeded(ours, range(3)), ours.advance, sounds)
    assert not any(item.error for work in again for item in work)
    assert all(item.i420 is not None for work in again for item in work)
    backend.refuses = {1, 3}
    failed = play(seeded(ours, range(3)), ours.advance, [sound[:1] for sound in sounds])
    assert all("no such batch" in str(item.error) for item in failed[0])
    backend.refuses = set()
    last = play(seeded(ours, range(3)), ours.advance, [sound[:1] for sound in sounds])
    assert all(item.i420 is not None for item in last[0])


def test_a_device_that_is_lost_is_said_once_for_all() -> None:
    person = tiny_person()
    make, device, _ = runners()
    ours = make(person, variant="fp32")
    state = ours.initial_state(0)
    first, second = ticks(person, 2, 0)
    ours.advance([Work(state, first)])
    device.lost = True
    for _ in range(3):  # and nobody waits for ever
        with pytest.raises(DeviceLost, match="pulled out"):
            ours.advance([Work(state, second)])


def test_pictures_belong_to_whoever_gets_them() -> None:
    """They stay as they are, are in memory that the device writes to, and are copied at last."""
    person = tiny_person()
    make, device, _ = runners(room=1)
    ours = make(person, variant="fp32")
    state = ours.initial_state(0)
    kept: list[tuple[U8, U8]] = []
    for pcm in ticks(person, LEASES + 3, 0):
        work = Work(state, pcm)
        ours.advance([work])
        assert work.i420 is not None and work.i420.flags.writeable
        kept.append((work.i420, work.i420.copy()))
    assert all(np.array_equal(held, copy) for held, copy in kept)
    shared = [
        any(np.shares_memory(held, memory.array) for memory in device.held) for held, _ in kept
    ]
    assert shared == [True] * LEASES + [False] * 3
    leases = ours._pool.leases
    assert leases.copied == 3
    del kept, work
    gc.collect()
    work = Work(state, pcm)
    ours.advance([work])
    assert leases.copied == 3


def test_a_person_leaves_the_device_with_the_last_who_shows_them() -> None:
    make, device, _ = runners()
    stays = make(tiny_person("stays"), variant="fp32")
    before = device.used
    goes = make(tiny_person("goes"), variant="fp32")
    assert device.used == before + goes.nbytes and goes.nbytes > 60 * 128 * 128
    twin, state = goes.twin(), goes.initial_state(0)
    twin.advance([Work(twin.initial_state(0), ticks(tiny_person(), 1, 0)[0])])
    seen = weakref.ref(goes._resident)
    del goes
    gc.collect()
    assert device.used > before
    del twin, state
    gc.collect()
    assert seen() is None and device.used == before
    work = Work(stays.initial_state(0), ticks(tiny_person(), 1, 0)[0])
    stays.advance([work])
    assert work.error is None
    del stays, work
    gc.collect()
    make.close()
    assert device.used == 0 and not device.streams


def test_a_clip_that_is_too_large_is_refused() -> None:
    make, device, _ = runners(clip_budget_bytes=1 << 20)
    with pytest.raises(EngineError, match="'tiny' takes 1 MiB on a GPU, and one person's may take"):
        make(tiny_person(), variant="fp32")
    assert device.used == 0


@pytest.mark.parametrize("capacity", [1 << 10, 1 << 20, 1_800_000])
def test_a_device_without_room_keeps_nothing_of_a_person(capacity: int) -> None:
    make, device, _ = runners(SimulatedDevice(capacity=capacity))
    with pytest.raises(DeviceMemoryFull, match="MiB of memory left, and . MiB are needed"):
        make(tiny_person(), variant="fp32")
    gc.collect()
    assert device.used == 0


def test_after_warming_up_nothing_is_new() -> None:
    """No memory is taken, nothing is captured and no network meets a size for the first time."""
    person = tiny_person()
    make, device, backend = runners(capture_key="engine")
    ours = make(person, variant="fp32")
    costs = ours.warm_up(4)
    assert sorted(costs) == [1, 2, 4] and min(costs.values()) > 0
    assert ours.times == {}
    taken, captures, sizes = list(device.held), device.captures, list(backend.enqueued)
    assert set(sizes) == {1, 2, 3, 4}
    for count in (1, 2, 3, 4):
        sounds = [ticks(person, 4, seed) for seed in range(count)]
        play(seeded(ours, range(count)), ours.advance, sounds)
    assert device.held == taken and device.captures == captures and backend.enqueued == sizes
    assert {"audio", "motion", "background", "begin", "wait"} == set(ours.times)


def test_threads_share_a_device() -> None:
    """Four threads and two batch objects: nobody waits for ever, everybody gets their own."""
    person = tiny_person()
    make, device, _ = runners(room=2)
    first = make(person, variant="fp32")
    sounds = [ticks(person, 6, seed) for seed in range(4)]
    results: dict[int, list[list[Work]]] = {}

    def run(number: int, runner: CudaPipeline) -> None:
        begin = seeded(runner, (number, number + 10, number + 20))
        results[number] = play(begin, runner.advance, [sounds[number]] * 3)

    threads = [
        threading.Thread(target=run, args=(number, first.twin()), daemon=True)
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == [0, 1, 2, 3]
    for number, found in results.items():
        host = Pipeline(person, variant="fp32")
        begin = seeded(host, (number, number + 10, number + 20))
        wanted = play(begin, host.advance, [sounds[number]] * 3)
        assert not past(figures(wanted, found), FRAME_BOUNDS["fp32"])


def test_an_empty_batch_and_a_stranger() -> None:
    person = tiny_person()
    make, device, _ = runners()
    ours = make(person, variant="fp32")
    device.uploads = 0
    ours.advance([])
    hidden = Work(ours.initial_state(0), ticks(person, 1, 0)[0], render=False)
    ours.advance([hidden])
    assert hidden.error is None and hidden.i420 is None and hidden.coefficients is not None
    assert device.uploads == 0
    strange = Pipeline(person, variant="fp32").initial_state(0)
    assert not isinstance(strange, CudaState)
    with pytest.raises(EngineError, match="not begun by a runner of this device"):
        ours.advance([Work(strange, ticks(person, 1, 0)[0])])


def test_an_engine_shows_many_persons_on_a_device() -> None:
    """Through the engine itself: two threads, two persons, sessions that share their batches."""
    persons = [tiny_person("one"), tiny_person("two", (0.5, 0.5))]
    make, device, _ = runners(room=2)

    def build(person: Person) -> CudaPipeline:
        return make(person, variant="fp32")

    engine = LocalEngine(
        persons, threads=2, capacity=4, max_batch=2, shares_cores=False, make_runner=build
    )
    seen = [Collector() for _ in range(4)]
    try:
        sessions = [
            engine.open(persons[k % 2].name, seen[k].on_frame, seed=k, on_error=seen[k].on_error)
            for k in range(4)
        ]
        sounds = [ticks(persons[0], 3, k) for k in range(4)]
        for tick in range(3):
            for session, sound in zip(sessions, sounds, strict=True):
                session.push(sound[tick])
            for collector in seen:
                collector.wait(frames=tick + 1)
    finally:
        engine.close()
    hosts = [Pipeline(person, variant="fp32") for person in persons]
    for k, collector in enumerate(seen):
        assert not collector.errors and collector.indices == [0, 1, 2]
        host = hosts[k % 2]
        wanted = play(seeded(host, [k]), host.advance, [sounds[k]])
        pictures = np.stack([work.i420 for (work,) in wanted])  # type: ignore[misc]
        found = np.stack([frame.i420 for frame in collector.frames])
        assert not past(compare({"frames": pictures}, {"frames": found}), FRAME_BOUNDS["fp32"])
    device.check()
