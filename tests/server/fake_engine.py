"""A real in-process engine with a trivial picture: frame ``k`` shows ``k`` and how loud it was.

It keeps the engine's contract: one thread of its own, ticks of 640 samples, frame ``k`` as soon as
audio up to ``40 k + lookahead`` ms is there, ticks more than two behind skipped, generations.
With a matte, the blocks and a disc that moves are the person, before a plate of grey stripes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import (
    PHASES,
    ControlNames,
    EngineLoad,
    EngineSession,
    Frame,
    PersonInfo,
    SessionStats,
)
from visavis.engines.errors import ControlError, EngineError, EngineFull, UnknownPerson

__all__ = [
    "BITS",
    "FakeEngine",
    "draw",
    "draw_before_plate",
    "draw_matte",
    "draw_plate",
    "read_index",
    "read_level",
]

NOTHING = ControlNames()
TICK = 640
BLOCK = 16  # pixels; survives any bit rate
BITS = 16
SKIP_BEHIND = 2
DISC = 14  # pixels, the radius


def draw(index: int, level: float, width: int, height: int) -> NDArray[np.uint8]:
    """An I420 picture: ``index`` in 16 black or white blocks, ``level`` (0..1) as a grey one."""
    i420 = np.full((height * 3 // 2, width), 128, np.uint8)
    for bit in range(BITS):
        row, column = divmod(bit, 4)
        value = 220 if index >> bit & 1 else 30
        y, x = row * BLOCK, column * BLOCK
        i420[y : y + BLOCK, x : x + BLOCK] = value
    y = 4 * BLOCK
    i420[y : y + BLOCK, : 4 * BLOCK] = int(30 + 190 * min(1.0, level))
    return i420


def draw_plate(width: int, height: int) -> NDArray[np.uint8]:
    """What stands behind the fake person: upright stripes of dark greys, of a colour of its own."""
    plate = np.empty((height * 3 // 2, width), np.uint8)
    plate[:height] = 60 + 20 * (np.arange(width) // BLOCK % 3)
    chroma = plate[height:].reshape(2, -1)  # all of U, then all of V
    chroma[0], chroma[1] = 110, 150
    return plate


def draw_matte(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """Alpha of frame ``index``, u8[H, W]: the blocks, and a disc below that goes to the right, soft
    over two pixels."""
    y, x = np.mgrid[:height, :width]
    reach = DISC + 2
    middle = reach + index * 4 % (width - 2 * reach), height - reach
    away = np.hypot(x - middle[0], y - middle[1])
    matte = np.round(255 * np.clip((DISC + 1 - away) / 2, 0, 1)).astype(np.uint8)
    matte[: 5 * BLOCK, : 4 * BLOCK] = 255
    return matte


def draw_before_plate(index: int, level: float, width: int, height: int) -> NDArray[np.uint8]:
    """`draw`, light grey where the disc is, laid over `draw_plate` by `draw_matte`."""
    person, plate = draw(index, level, width, height), draw_plate(width, height)
    person[5 * BLOCK : height] = 200
    share = draw_matte(index, width, height) / 255.0
    # Chroma is half as wide and half as high; its share is the mean of four.
    quarter = share.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)).reshape(1, -1)
    both = np.tile(quarter, (2, 1)).reshape(height // 2, width)
    whole = np.concatenate((share, both))
    mixed = np.round(plate + whole * (person.astype(float) - plate))
    return mixed.astype(np.uint8)


def read_index(luma: NDArray[np.uint8]) -> int:
    """The index of a decoded picture."""
    index = 0
    for bit in range(BITS):
        row, column = divmod(bit, 4)
        y, x = row * BLOCK + BLOCK // 2, column * BLOCK + BLOCK // 2
        index |= int(luma[y - 2 : y + 2, x - 2 : x + 2].mean() > 125) << bit
    return index


def read_level(luma: NDArray[np.uint8]) -> float:
    """The level of a decoded picture."""
    y = 4 * BLOCK
    return float((luma[y + 4 : y + 12, 8 : 4 * BLOCK - 8].mean() - 30) / 190)


class _Session:
    def __init__(
        self, engine: FakeEngine, on_frame: Callable[[Frame], None], lookahead_ms: int, phase: int
    ) -> None:
        self.phase = phase
        self.pace = engine.pace
        self.choice: dict[str, Any] = {
            "style": None,
            "head": "own",
            "performance": None,
            "matte": False,
        }
        self.told: list[dict[str, Any]] = []
        self.lookahead_ms = lookahead_ms
        self.generation = 0
        self.rendered = 0
        self.skipped = 0
        self._engine = engine
        self._on_frame = on_frame
        self._pcm = np.zeros(0, np.float32)
        self._start = 0  # sample index of self._pcm[0]
        self._tick = 0
        self.pushed = 0
        self.closed = False

    def push(self, pcm: NDArray[np.float32]) -> None:
        assert pcm.dtype == np.float32 and pcm.ndim == 1
        with self._engine.changed:
            self._pcm = np.concatenate([self._pcm, pcm])
            self.pushed += len(pcm)
            self._engine.changed.notify()

    def clear(self) -> int:
        with self._engine.changed:
            self.generation += 1
            return self.generation

    def control(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        with self._engine.changed:
            heads = self._engine.person.controls.heads
            if "head" in changes and changes["head"] not in heads:
                raise ControlError(f"There is no head {changes['head']!r}.")
            if changes.get("matte") and not self._engine.person.has_matte:
                raise ControlError("This person has no matte.")
            self.choice.update(changes)
            self.told.append(dict(changes))
            return dict(self.choice)

    def stats(self) -> SessionStats:
        return SessionStats(self.rendered, self.skipped, 0, 0, 1.0, 2.0, None)

    def close(self) -> None:
        with self._engine.changed:
            self.closed = True
            self._engine.sessions.discard(self)

    def work(self) -> Callable[[], None] | None:
        """Take the next tick that can be drawn; called with the lock held."""
        lookahead = self.lookahead_ms * 16
        possible = (self.pushed - lookahead) // TICK + 1  # first tick that cannot be drawn yet
        if possible <= self._tick:
            return None
        if possible - self._tick > SKIP_BEHIND:
            self.skipped += possible - SKIP_BEHIND - self._tick
            self._tick = possible - SKIP_BEHIND
        index, self._tick = self._tick, self._tick + 1
        first = index * TICK - self._start
        level = float(np.abs(self._pcm[first : first + TICK]).max())
        self._pcm = self._pcm[first:]
        self._start += first
        generation = self.generation
        self.rendered += 1

        def render() -> None:
            time.sleep(self._engine.render_seconds)
            person = self._engine.person
            size = person.width, person.height
            paint = draw_before_plate if person.has_matte else draw
            picture = paint(index, level, *size)
            alpha = draw_matte(index, *size) if self.choice["matte"] else None
            self._on_frame(Frame(index, generation, picture, min(1.0, level), alpha))

        return render


class FakeEngine:
    """An EngineClient.

    Args:
        size: width and height of the picture.
        places: how many sessions fit.
        render_seconds: how long a frame takes.
        lookahead_ms: how much sound after its pts a frame needs.
        pace: pictures a second that it says it makes.
        controls: what can be chosen.
        matte: the person has one, and a plate.
        face: where the person's face is; see `PersonInfo.face`.
    """

    def __init__(
        self,
        *,
        size: int = 128,
        places: int = 4,
        render_seconds: float = 0.004,
        lookahead_ms: int = 100,
        pace: float = 100.0,
        controls: ControlNames = NOTHING,
        matte: bool = False,
        face: tuple[float, float, float] | None = None,
    ) -> None:
        self.person = PersonInfo(
            name="fake",
            display_name="Fake",
            width=size,
            height=size,
            fps=25,
            lookahead_ms=lookahead_ms,
            lookaheads_ms=tuple(sorted({40, lookahead_ms, 160})),
            id="0" * 64,
            has_preview=True,
            controls=controls,
            has_matte=matte,
            face=face,
        )
        self.pace = pace
        self.clip: bytes | None = bytes(range(256)) * 4
        self.prepared: list[str] = []
        self.render_seconds = render_seconds
        self.sessions: set[_Session] = set()
        self.changed = threading.Condition()
        self._places = places
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="fake-engine")
        self._thread.start()

    def persons(self) -> Sequence[PersonInfo]:
        return (self.person,)

    def poster(self, person: str) -> bytes:
        self._require(person)
        return b"\xff\xd8poster"

    def preview(self, person: str) -> bytes | None:
        self._require(person)
        return self.clip

    def plate(self, person: str) -> bytes | None:
        self._require(person)
        if not self.person.has_matte:
            return None
        return draw_plate(self.person.width, self.person.height).tobytes()

    def prepare(self, person: str) -> None:
        self._require(person)
        self.prepared.append(person)

    def load(self) -> EngineLoad:
        return EngineLoad(self._places / 0.6 * 25, 1, shares_cores=True)

    def _require(self, person: str) -> None:
        names = tuple(one.name for one in self.persons())
        if person not in names:
            raise UnknownPerson(person, names)

    def capacity(self) -> int:
        return self._places

    def open(
        self,
        person: str,
        on_frame: Callable[[Frame], None],
        *,
        lookahead_ms: int | None = None,
        seed: int | None = None,
        on_error: Callable[[EngineError], None] | None = None,
    ) -> EngineSession:
        if person != self.person.name:
            raise UnknownPerson(person, (self.person.name,))
        with self.changed:
            if len(self.sessions) >= self._places:
                raise EngineFull(self._places)
            phases = [sum(s.phase == phase for s in self.sessions) for phase in range(PHASES)]
            phase = phases.index(min(phases))
            session = _Session(self, on_frame, lookahead_ms or self.person.lookahead_ms, phase)
            self.sessions.add(session)
            return session

    def close(self) -> None:
        with self.changed:
            self._closed = True
            self.changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self.changed:
                if self._closed:
                    return
                jobs = [job for s in list(self.sessions) if (job := s.work()) is not None]
                if not jobs:
                    self.changed.wait(0.2)
                    continue
            for job in jobs:
                job()
