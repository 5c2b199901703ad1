"""What a server holds of an engine: it gives audio and gets frames.

The engine may live in the same process (`local.LocalEngine`) or elsewhere; nothing here says which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import EngineError

__all__ = [
    "PHASES",
    "ControlNames",
    "EngineClient",
    "EngineLoad",
    "EngineSession",
    "Frame",
    "PersonInfo",
    "SessionStats",
]

PHASES = 4
"""Groups of sessions, 10 ms apart within the 40 ms of a tick."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a session.

    Attributes:
        index: k; it shows the voice of [40k, 40k + 40) ms of the session's audio.
        generation: how often the session had been cleared when it was made.
        i420: uint8[H * 3 / 2, W], BT.601 limited range; the receiver owns it.
        speech: 0 to 1, how much the motion took the sound for speech.
        alpha: uint8[H, W], how much of each pixel is the person: 255 all, 0 none. There where the
            session chose `matte`; the receiver owns it.
    """

    index: int
    generation: int
    i420: NDArray[np.uint8]
    speech: float
    alpha: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class ControlNames:
    """What a visitor may choose of a person, by name; see `controls`.

    Attributes:
        styles: of speaking; style: the one that a session begins with, None where there is none.
        heads: where the head's pose may come from; a session begins with the first.
        performances: what may be played in the place of the voice; a session begins with none.
    """

    styles: tuple[str, ...] = ()
    style: str | None = None
    heads: tuple[str, ...] = ()
    performances: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PersonInfo:
    """What people and pages need to know of a person that can be shown; no pictures inside.

    `lookahead_ms` is the look-ahead of a session that asks for none; `lookaheads_ms` are all that
    it may ask for. `id` is the SHA-256 of the person's `person.json`, in hex. `controls` is what a
    session may choose. `has_matte` says that their frames come with alpha where a session chooses
    it, and that there is a plate. `face` is where their face is: x and y of its middle and its
    height, as shares of the frame's width, height and height; None where nobody said.
    """

    name: str
    display_name: str
    width: int
    height: int
    fps: int
    lookahead_ms: int
    lookaheads_ms: tuple[int, ...]
    id: str
    has_preview: bool
    controls: ControlNames = ControlNames()
    has_matte: bool = False
    face: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """What the engine was measured to make, for whoever divides a machine among its parts.

    Attributes:
        frames_per_s: all of the engine's threads together, of the person that costs most, with
            nothing else running.
        threads: engine threads; each makes `frames_per_s / threads`.
        shares_cores: the engine runs on the processor cores that encoders and packets need too.
    """

    frames_per_s: float
    threads: int
    shares_cores: bool


@dataclass(frozen=True, slots=True)
class SessionStats:
    """Counters of a session since it was opened.

    Attributes:
        rendered: frames that were made and handed over.
        skipped: ticks that had waited too long and moved the state without a picture.
        discarded: frames that `clear` overtook while they were made.
        dropped_samples: audio that came so far ahead of the engine that it was never looked at.
        engine_ms_p50, engine_ms_p95: from taking a tick to handing over its frame, of the last
            ten seconds; 0 before the first frame.
        failed: why the session ended by itself, or None.
    """

    rendered: int
    skipped: int
    discarded: int
    dropped_samples: int
    engine_ms_p50: float
    engine_ms_p95: float
    failed: str | None


class EngineSession(Protocol):
    """One live connection's share of an engine. Every method may be called from any thread."""

    @property
    def generation(self) -> int:
        """How often `clear` was called."""

    @property
    def phase(self) -> int:
        """Group of the session, 0 to PHASES - 1, the same all its life.

        Whoever feeds it lets its ticks become ready at monotonic times of 10 ms * phase, modulo
        40 ms: sessions of a group share a batch, and groups take turns.
        """

    @property
    def pace(self) -> float:
        """Pictures a second that the person was measured to make, alone on an engine thread.

        Below 25 the session is shown slower than it was filmed, whatever else the machine does.
        """

    def push(self, pcm: NDArray[np.float32]) -> None:
        """Give the next samples of the session's timeline; never blocks.

        Args:
            pcm: f32[n], 16 kHz, mono, full scale 1; any n. It is copied.

        Raises:
            EngineError: it is not of that type and shape.
        """

    def clear(self) -> int:
        """Forget what was said and not yet shown; return the new generation.

        Frames of older generations are not handed over any more. Indices go on: audio that was
        given and not used yet turns into silence, and the mouth eases into rest.
        """

    def control(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Choose, from the next tick on; return the whole choice. It may wait for the engine.

        Args:
            changes: any of `style` (a name, an object of names and weights, or a list of numbers),
                `head` and `performance` (names; None for the voice's own), `matte` (whether frames
                have alpha). None of them changes nothing.

        Returns:
            `style`, a list of numbers or None, `head` and `performance`, names or None, and
            `matte`, true or false.

        Raises:
            ControlError: the person does not offer it; everything stays as it was.
            EngineAway: the engine is away, or has not answered in time.
            EngineError: the session has ended.
        """

    def stats(self) -> SessionStats:
        """Return the counters."""

    def close(self) -> None:
        """End the session; calling it again does nothing."""


class EngineClient(Protocol):
    """An engine."""

    def persons(self) -> Sequence[PersonInfo]:
        """Return who can be shown, by thousands if need be; the first is the default. Cheap."""

    def poster(self, person: str) -> bytes:
        """Return a JPEG. It may read a disk: nothing for an event loop.

        Raises:
            UnknownPerson: there is nobody of that name.
            PersonFileError: their file cannot be read.
        """

    def preview(self, person: str) -> bytes | None:
        """Return an mp4, or None where the person has none; as `poster`."""

    def plate(self, person: str) -> bytes | None:
        """Return what stood behind a person, without them; as `poster`.

        Returns:
            I420 of the person's frame size, W * H * 3 / 2 bytes, BT.601 limited range as frames
            are; None where the person has no matte.
        """

    def prepare(self, person: str) -> None:
        """Load a person, if they are not loaded; takes seconds then. From any thread.

        Raises:
            UnknownPerson: there is nobody of that name.
            PersonFileError: their file is malformed, foreign, unsafe, or states no consent.
            NoRoom: the persons that are in use leave no memory.
            EngineError: the engine is closed.
        """

    def capacity(self) -> int:
        """Return how many sessions the engine alone carries at 25 frames a second, as measured."""

    def load(self) -> EngineLoad:
        """Return what the engine was measured to make."""

    def open(
        self,
        person: str,
        on_frame: Callable[[Frame], None],
        *,
        lookahead_ms: int | None = None,
        seed: int | None = None,
        on_error: Callable[[EngineError], None] | None = None,
    ) -> EngineSession:
        """Begin a session; quick where the person is prepared, else they are prepared first.

        Args:
            person: name of a person.
            on_frame: takes each frame, in order, on the engine's thread; it must not block.
            lookahead_ms: how much audio after its start a frame may hear, one of the person's
                `lookaheads_ms`; the person's own choice where None.
            seed: of the idle movement; the same seed and audio give the same frames.
            on_error: takes the reason, on the engine's thread, where the session fails.

        Raises:
            UnknownPerson, PersonFileError, NoRoom: as for `prepare`.
            UnknownLookahead: the person does not offer it.
            EngineFull: the engine carries as many sessions as it can.
            EngineError: the engine is closed.
        """

    def close(self) -> None:
        """End every session and the engine; calling it again does nothing."""
