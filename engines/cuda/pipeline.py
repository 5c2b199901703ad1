"""A tick of many sessions of many persons, the pictures made on a GPU.

The first half of a tick, up to how the mouth moves and which frame is shown, is that of
`engines.pipeline`, on the host. The second half is one batch on the device, whoever the persons
are: runners that `CudaRunners` made for frames of one shape have one `batch_key`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields

import numpy as np

from visavis.engines.backend import VariantReport
from visavis.engines.capacity import BatchCosts
from visavis.engines.controls import Controls, ControlSpec
from visavis.engines.cuda.frames import FrameBatch, Shot
from visavis.engines.cuda.pool import SLOTS, FramePool
from visavis.engines.cuda.resident import ResidentPerson
from visavis.engines.errors import DeviceLost, EngineError
from visavis.engines.pipeline import Pipeline, SessionState, Work
from visavis.engines.probe import probe_voice

__all__ = ["CudaPipeline", "CudaState"]

OVERLAP = 16  # from so many on, the host prepares one half while the device makes the other
# A batch object runs what comes first as it is, and captures it the second time.
_WARM_RUNS = 2 * SLOTS
_RATE_RUNS = 5


@dataclass(slots=True)
class CudaState(SessionState):
    """A session's state, which knows whose it is.

    Attributes:
        owner: the runner that made it.
    """

    owner: CudaPipeline | None = None


class CudaPipeline:
    """A person's stages, the pictures on a device; see `engines.pipeline.Runner`.

    Made by `runners.CudaRunners`. The person leaves the device when this, all twins and all states
    are gone.

    Args:
        host: the first half of a tick.
        resident: the person on the device.
        pool: where pictures are made.

    Attributes:
        name, lookahead_ms, kind, variants, chosen: as those of `engines.pipeline.Pipeline`.
        batch_key: of all runners that share a launch.
    """

    def __init__(self, host: Pipeline, resident: ResidentPerson, pool: FramePool) -> None:
        self.name = host.name
        self.lookahead_ms = host.lookahead_ms
        self.kind: Hashable = host.kind
        self.variants: dict[str, tuple[VariantReport, ...]] = host.variants
        self.chosen = host.chosen
        self.batch_key: Hashable = pool
        self._host = host
        self._resident = resident
        self._pool = pool
        self._times: dict[str, deque[float]] = {}

    @property
    def times(self) -> dict[str, deque[float]]:
        """Milliseconds of each stage: the host's, what it takes to begin a batch, and to wait."""
        return {**self._host.times, **self._times}

    @property
    def nbytes(self) -> int:
        """Memory of the device that the person takes, without networks."""
        return self._resident.nbytes

    def twin(self) -> CudaPipeline:
        """Return a runner of the same stages and the same memory, for another thread."""
        return CudaPipeline(self._host.twin(), self._resident, self._pool)

    def initial_state(self, seed: int | None, lookahead_ms: int | None = None) -> CudaState:
        """Return the state of a session that has heard nothing; see `Runner.initial_state`."""
        made = self._host.initial_state(seed, lookahead_ms)
        values = {field.name: getattr(made, field.name) for field in fields(made)}
        return CudaState(**values, owner=self)

    @property
    def controls(self) -> ControlSpec:
        """What can be chosen of the person."""
        return self._host.controls

    def control(self, state: SessionState, controls: Controls) -> None:
        """Do what the visitor chose; see `Runner.control`."""
        self._host.control(state, controls)

    def look_ahead(self, state: SessionState) -> bool:
        """All pictures are on the device; see `Runner.look_ahead`."""
        return False

    def rest(self) -> None:
        """Give back what the host has decoded; what is on the device stays until it is unloaded."""
        self._host.rest()

    def warm_up(self, max_batch: int, clock: Callable[[], float] = time.perf_counter) -> BatchCosts:
        """Run every batch size until nothing of it is new; see `Runner.warm_up`.

        A thread's own time says nothing of a device, so costs are by the clock on the wall.
        """
        costs: dict[int, float] = {}
        for size in range(1, max_batch + 1):
            whole = size & (size - 1) == 0 or size == max_batch
            seconds = self._seconds(size, _WARM_RUNS + (_RATE_RUNS if whole else 0))
            if whole:
                costs[size] = float(np.median(seconds[_WARM_RUNS:]))
        self._forget_times()
        return costs

    def get_ready(self, max_batch: int) -> None:
        """Run the smallest and the largest batch until they are warm; see `Runner.get_ready`."""
        for size in sorted({1, max_batch}):
            self._seconds(size, _WARM_RUNS)
        self._forget_times()

    def advance(self, work: Sequence[Work]) -> None:
        """Run one tick of each session, of this runner or another one of its `batch_key`.

        Raises:
            DeviceLost: the device failed; nothing of the batch can be trusted.
        """
        under_way: deque[_Pending] = deque()
        try:
            for part in _parts(work, self._pool.room):
                for owner, items in _by_owner(part):
                    owner._host.decide(items)
                shown = [item for item in part if item.render and item.error is None]
                if shown and (pending := self._begin(shown, under_way)) is not None:
                    under_way.append(pending)
                # The matte is not on the device: it is warped here while pictures are made there.
                for owner, items in _by_owner(shown):
                    owner._host.add_alpha(items)
            while under_way:
                self._finish(under_way)
        except BaseException:
            while under_way:
                self._abandon(under_way.popleft())
            raise

    def _begin(self, items: Sequence[Work], under_way: deque[_Pending]) -> _Pending | None:
        """Put a batch on the device; None where none of its sessions can go on."""
        shots = []
        for item in items:
            try:
                shots.append(_shot(item))
            except Exception as error:
                item.error = error
        items = [item for item in items if item.error is None]
        if not items:
            return None
        while (batch := self._pool.take(wait=not under_way)) is None:
            self._finish(under_way)
        try:
            with self._timed("begin"):
                batch.submit(shots)
        except DeviceLost:
            self._pool.put(batch)
            raise
        except Exception as error:
            self._give_up(batch)
            self._alone(items, error)
            return None
        return _Pending(batch, items)

    def _finish(self, under_way: deque[_Pending]) -> None:
        """Take the pictures of the oldest batch."""
        pending = under_way.popleft()
        try:
            with self._timed("wait"):
                pictures = pending.batch.collect()
        finally:
            self._pool.put(pending.batch)
        for item, picture in zip(pending.items, pictures, strict=True):
            item.i420 = picture

    def _alone(self, items: Sequence[Work], error: Exception) -> None:
        """After a batch that failed: try each session by itself, so that one alone ends."""
        if len(items) == 1:
            items[0].error = error
            return
        for item in items:
            under_way: deque[_Pending] = deque()
            if (pending := self._begin([item], under_way)) is not None:
                under_way.append(pending)
                self._finish(under_way)

    def _give_up(self, batch: FrameBatch) -> None:
        try:
            batch.abandon()
        finally:
            self._pool.put(batch)

    def _abandon(self, pending: _Pending) -> None:
        try:
            self._give_up(pending.batch)
        except DeviceLost as error:
            for item in pending.items:
                item.error = error

    def _seconds(self, size: int, runs: int) -> list[float]:
        """Return what `runs` batches of a size take."""
        states = [self.initial_state(seed) for seed in range(size)]
        seconds = []
        for pcm in probe_voice(self.lookahead_ms, runs):
            work = [Work(state, pcm) for state in states]
            start = time.perf_counter()
            self.advance(work)
            seconds.append(time.perf_counter() - start)
            for item in work:
                if item.error is not None:
                    raise EngineError(f"{self.name!r} does not run: {item.error}.") from item.error
        return seconds

    def _forget_times(self) -> None:
        self._times.clear()
        self._host.times.clear()

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            times = self._times.setdefault(stage, deque(maxlen=1000))
            times.append((time.perf_counter() - start) * 1000.0)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A batch on the device, and whose it is."""

    batch: FrameBatch
    items: Sequence[Work]


def _owner(item: Work) -> CudaPipeline:
    state = item.state
    if not isinstance(state, CudaState) or state.owner is None:
        raise EngineError("This session was not begun by a runner of this device.")
    return state.owner


def _shot(item: Work) -> Shot:
    """Return what a session is to be shown.

    Raises:
        EngineError: its mouth is nowhere; the kernels would draw anything.
    """
    if item.coefficients is None or not np.isfinite(item.coefficients).all():
        raise EngineError("The motion of this session is not finite.")
    return Shot(_owner(item)._resident, item.coefficients, item.choice)


def _by_owner(work: Sequence[Work]) -> list[tuple[CudaPipeline, list[Work]]]:
    """Return the work of each runner."""
    found: dict[CudaPipeline, list[Work]] = {}
    for item in work:
        found.setdefault(_owner(item), []).append(item)
    return list(found.items())


def _parts(work: Sequence[Work], room: int) -> list[Sequence[Work]]:
    """Return the work in batches for the device: two halves from `OVERLAP` on."""
    count = len(work)
    if not count:
        return []
    pieces = max(-(-count // room), 2 if count >= OVERLAP else 1)
    ends = [count * (piece + 1) // pieces for piece in range(pieces)]
    return [work[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
