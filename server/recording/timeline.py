"""Which pictures and which voice go into the file, and when: paired by media time alone.

Pictures and voice reach a recording on two ways, each in order; which of the two comes first, and
by how much, changes from moment to moment. What is written does not: a picture is written once its
voice has begun, as it is for whoever watches; voice that was never sent is silence; a picture that
never came leaves the one before it on show, and after a second of that it is written again, so that
the file can be cut and repaired each second. Time in the file never goes back.

Pure: nothing here reads a clock. Times are the session's own, ticks of 40 ms and samples at 48 kHz.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["KEY_TICKS", "MAX_GAP_SECONDS", "TICK_SAMPLES", "Item", "Said", "Shown", "Timeline"]

TICK_SAMPLES = 1920
RATE = 48_000
KEY_TICKS = 25
"""A picture is on show for at most so long before it is written again."""
LATE_TICKS = 12
"""How far behind its voice a picture may come and still be taken."""
MAX_GAP_SECONDS = 60
"""A longer pause of the session is shortened to this."""
EARLY_STEPS = 100
"""Steps of voice that are kept until there is a first picture; then the oldest goes."""
MAX_HELD = 50
"""Pictures that wait for their voice; of more, the oldest goes."""
KEPT_CLEARS = 8

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Shown(Generic[P]):
    """A picture and its number in the file, 25 a second; each is larger than the one before."""

    tick: int
    picture: P


@dataclass(frozen=True, slots=True)
class Said:
    """Voice, ``f32[n]`` at 48 kHz, that follows the voice before it without a gap."""

    pcm: NDArray[np.float32]


Item = Shown[P] | Said


@dataclass(frozen=True, slots=True)
class _Held(Generic[P]):
    tick: int
    generation: int
    picture: P


class Timeline(Generic[P]):
    """Of one recording. The file begins with the first picture whose voice has begun.

    Attributes:
        dropped: pictures that came too late, or never got a voice.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._held: deque[_Held[P]] = deque()
        self._early: deque[tuple[int, NDArray[np.float32]]] = deque(maxlen=EARLY_STEPS)
        self._cuts: dict[int, int] = {}  # per generation, the sample at which the next one began
        self._generation = 0
        self._heard = -1  # the sample that follows the last voice that was sent
        self._next = 0  # the sample that follows the last one that was written
        self._shift = 0  # the session's tick that is tick 0 of the file
        self._last = -1  # of the file's ticks, the last one with a picture
        self._shown: P | None = None

    @property
    def started(self) -> bool:
        """Whether there has been a first picture."""
        return self._last >= 0

    @property
    def seconds(self) -> float:
        """How long the file is."""
        return (self._next - self._shift * TICK_SAMPLES) / RATE if self.started else 0.0

    def picture(self, tick: int, generation: int, picture: P) -> list[Item[P]]:
        """Take a picture of the session; returns what is to be written now."""
        if self._is_stale(tick, generation) or (self._held and tick <= self._held[-1].tick):
            self.dropped += 1
            return []
        if len(self._held) >= MAX_HELD:
            self._held.popleft()
            self.dropped += 1
        self._held.append(_Held(tick, generation, picture))
        return self._release()

    def voice(self, pts: int, pcm: NDArray[np.float32]) -> list[Item[P]]:
        """Take voice that was sent; returns what is to be written now."""
        if pts < self._heard:
            return []
        if pts - self._heard > KEY_TICKS * TICK_SAMPLES:
            self._forget(lambda held: held.tick * TICK_SAMPLES < pts)
        self._heard = pts + len(pcm)
        if not self.started:
            self._early.append((pts, pcm))
            return self._release()
        items = self._say(pts, pcm)
        return items + self._release()

    def clear(self, generation: int) -> None:
        """Barge-in: pictures of older generations whose voice has not begun are worth nothing."""
        self._cuts[self._generation] = max(0, self._heard)
        while len(self._cuts) > KEPT_CLEARS:
            del self._cuts[next(iter(self._cuts))]
        self._generation = generation
        self._forget(lambda held: held.generation < generation)

    def end(self) -> list[Item[P]]:
        """What is still to be written; pictures whose voice was never sent are not."""
        self.dropped += len(self._held)
        self._held.clear()
        return self._repeats(self._ticks_written())

    def forget(self) -> None:
        """Let go of all pictures and voice."""
        self._held.clear()
        self._early.clear()
        self._shown = None

    def _is_stale(self, tick: int, generation: int) -> bool:
        if generation >= self._generation:
            return False
        return tick * TICK_SAMPLES >= self._cuts.get(generation, 0)

    def _forget(self, is_stale: Callable[[_Held[P]], bool]) -> None:
        kept = [held for held in self._held if not is_stale(held)]
        self.dropped += len(self._held) - len(kept)
        self._held = deque(kept)

    def _release(self) -> list[Item[P]]:
        """Write the pictures whose voice has begun."""
        items: list[Item[P]] = []
        while self._held and self._held[0].tick * TICK_SAMPLES < self._heard:
            held = self._held.popleft()
            if not self.started:
                items += self._start(held)
            elif held.tick - self._shift <= self._last:
                self.dropped += 1
            else:
                tick = held.tick - self._shift
                items += [*self._repeats(tick), self._show(tick, held.picture)]
        if self.started:
            items += self._repeats(self._ticks_written() - LATE_TICKS)
        return items

    def _start(self, first: _Held[P]) -> list[Item[P]]:
        self._shift = first.tick
        self._next = first.tick * TICK_SAMPLES
        items: list[Item[P]] = [self._show(0, first.picture)]
        for pts, pcm in self._early:
            before = max(0, self._next - pts)
            if before < len(pcm):
                items += self._say(pts + before, pcm[before:])
        self._early.clear()
        return items

    def _say(self, pts: int, pcm: NDArray[np.float32]) -> list[Item[P]]:
        """Voice, and silence for what is missing before it."""
        longest = MAX_GAP_SECONDS * RATE
        surplus = max(0, pts - self._next - longest) // TICK_SAMPLES
        self._shift += surplus
        self._next += surplus * TICK_SAMPLES
        items: list[Item[P]] = []
        while self._next < pts:
            count = min(pts - self._next, KEY_TICKS * TICK_SAMPLES)
            items.append(Said(np.zeros(count, np.float32)))
            self._next += count
            items += self._repeats(self._ticks_written() - LATE_TICKS)
        self._next = pts + len(pcm)
        return [*items, Said(pcm)]

    def _ticks_written(self) -> int:
        """How many of the file's ticks have begun to be heard."""
        return -(-(self._next - self._shift * TICK_SAMPLES) // TICK_SAMPLES)

    def _repeats(self, before: int) -> list[Item[P]]:
        """The picture on show once more for each second of it, up to a tick of the file."""
        items: list[Item[P]] = []
        while self.started and self._last + KEY_TICKS < before and self._shown is not None:
            items.append(self._show(self._last + KEY_TICKS, self._shown))
        return items

    def _show(self, tick: int, picture: P) -> Shown[P]:
        self._last, self._shown = tick, picture
        return Shown(tick, picture)
