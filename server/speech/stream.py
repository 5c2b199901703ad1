"""A voice that comes as fast as a speech model makes it, and leaves at the pace of speech.

It takes a microphone's place in a session. What is put in is cut into steps of 20 ms, and one is
pulled for each step of the session's timeline: nothing is guessed, resampled or left out, whatever
the pace. Where nothing waits there is silence. A **segment** is one utterance: it is played from
its first sample to its end, or until it is cleared, and how much of it has left is known to the
sample. Pure: no clock but the steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.server.errors import TooMuchSpeech
from visavis.server.media.depth import CHUNK

__all__ = ["MOST_SECONDS", "PlaybackEvent", "PlaybackFinished", "PlaybackStarted", "SpeechStream"]

RATE = 48_000
MOST_SECONDS = 120
"""Of speech that waits. More is refused: nobody listens to an answer of two minutes to its end."""
MARGIN = RATE * 60 // 1000
"""What must be there before sound begins, or goes on after it ran dry: a network's unevenness."""
PATIENCE = 3
"""Steps after which it begins with less."""

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PlaybackStarted:
    """The first sample of a segment has left."""

    segment: int


@dataclass(frozen=True, slots=True)
class PlaybackFinished:
    """A segment has left, to its end or until it was interrupted, after `samples` at 48 kHz."""

    segment: int
    samples: int
    interrupted: bool


PlaybackEvent = PlaybackStarted | PlaybackFinished


@dataclass(slots=True)
class _Segment:
    """One utterance.

    Attributes:
        put: samples that came; pulled: that were taken for steps; left: that have left.
        ended: nothing more of it comes.
    """

    number: int
    put: int = 0
    pulled: int = 0
    left: int = 0
    ended: bool = False
    started: bool = False


class SpeechStream:
    """See the module; in a session it stands where `MicrophoneStream` stands.

    Args:
        on_event: told what has left.
    """

    shift_seconds = 0.0

    def __init__(self, on_event: Callable[[PlaybackEvent], None] = lambda event: None) -> None:
        self._on_event = on_event
        self._pieces: deque[tuple[_Segment, F32]] = deque()
        self._waiting = 0
        self._segments: deque[_Segment] = deque()  # not finished, oldest first
        self._next = 1
        self._steps: dict[int, list[tuple[_Segment, int]]] = {}  # by step: what is in it
        self._step = 0
        self._dry = True
        self._patience = PATIENCE

    @property
    def waiting_seconds(self) -> float:
        """Speech that was put in and not pulled yet."""
        return self._waiting / RATE

    def put(self, pcm: F32) -> None:
        """Take the next samples of the present segment, f32[n] at 48 kHz.

        Raises:
            TooMuchSpeech: more would wait than may; none of them is taken.
        """
        if not len(pcm):
            return
        if self._waiting + len(pcm) > MOST_SECONDS * RATE:
            raise TooMuchSpeech(MOST_SECONDS)
        segment = self._present()
        segment.put += len(pcm)
        self._pieces.append((segment, np.ascontiguousarray(pcm, np.float32)))
        self._waiting += len(pcm)

    def end(self) -> int:
        """End the present segment and return its number; what comes next is another one."""
        segment = self._present()
        segment.ended = True
        self._finish_ended()
        return segment.number

    def clear(self) -> None:
        """Drop what waits and what was pulled and has not left; every segment ends."""
        self._pieces.clear()
        self._waiting = 0
        self._steps.clear()
        for segment in self._segments:
            self._on_event(PlaybackFinished(segment.number, segment.left, interrupted=True))
        self._segments.clear()
        self._dry, self._patience = True, PATIENCE

    def begin(self, step: int) -> None:
        """Give the next step that number; what was pulled and has not left is lost."""
        self._steps.clear()
        self._step = step

    def pull(self, due: float) -> F32:
        """Return the next step, f32[960]; silence where nothing waits."""
        out = np.zeros(CHUNK, np.float32)
        inside: list[tuple[_Segment, int]] = []
        filled = 0
        if self._ready():
            while filled < CHUNK and self._pieces:
                segment, piece = self._pieces[0]
                take = piece[: CHUNK - filled]
                out[filled : filled + len(take)] = take
                filled += len(take)
                segment.pulled += len(take)
                inside.append((segment, len(take)))
                if len(take) == len(piece):
                    self._pieces.popleft()
                else:
                    self._pieces[0] = (segment, piece[len(take) :])
            self._waiting -= filled
            self._dry = filled < CHUNK
            self._patience = PATIENCE
        if inside:
            self._steps[self._step] = inside
        self._step += 1
        return out

    def sent(self, index: int) -> None:
        """A step has left; earlier ones that have not never will."""
        for step in [step for step in self._steps if step <= index]:
            for segment, samples in self._steps.pop(step):
                # A step that was left out because the server stood still counts as said: nobody
                # says it again.
                segment.left += samples
                if not segment.started:
                    segment.started = True
                    self._on_event(PlaybackStarted(segment.number))
        self._finish_ended()

    def _present(self) -> _Segment:
        if not self._segments or self._segments[-1].ended:
            self._segments.append(_Segment(self._next))
            self._next += 1
        return self._segments[-1]

    def _ready(self) -> bool:
        """Whether sound may begin: enough is there, or all of it, or it was waited for."""
        if not self._pieces:
            return False
        if not self._dry:
            return True
        whole = self._pieces[-1][0].ended
        self._patience -= 1
        return whole or self._waiting >= MARGIN or self._patience < 0

    def _finish_ended(self) -> None:
        while self._segments:
            segment = self._segments[0]
            if not segment.ended or segment.left < segment.put:
                return
            self._segments.popleft()
            if not segment.started:
                self._on_event(PlaybackStarted(segment.number))
            self._on_event(PlaybackFinished(segment.number, segment.left, interrupted=False))
