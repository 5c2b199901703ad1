"""The voice's way through the server: microphone in, 16 kHz to the engine, and out again delayed.

Two rows of steps on one clock. *Pulls* take 20 ms of the microphone each, for the engine and for
the delay line. *Sends* run the same steps later, by what the picture needs (its look-ahead, and a
budget for drawing and encoding it) less the head start that a voice needs in the browser. Step
``j`` is the voice of [20 j, 20 j + 20) ms on the session's media timeline, so frame ``k``'s voice
begins with step ``2 k``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.server.media.clock import STEP_SECONDS, Pacer
from visavis.server.media.depth import CHUNK
from visavis.server.media.resample import DELAY_SAMPLES, Decimator

__all__ = ["LATEST", "LEAD", "VoiceLine", "VoiceSource", "VoiceStep"]

LEAD = 0.060
"""By so many seconds a voice leaves before its picture.

Browsers keep sound longer than pictures: 20 to 50 ms against jitter, then 10 to 40 ms in the output
device. They hold the picture back as long, for the lips, and need ten seconds to find out how long.
So the voice gets the head start that it loses on the other side. The sender reports tell the truth
about both, so a browser that loses less lets the voice wait.
"""
LATEST = 0.060
"""A step that could only be sent later than this many seconds after its time is left out."""
FADE_SAMPLES = 240
MAX_STEPS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class VoiceStep:
    """20 ms of voice that leave now; ``pts`` in samples at 48 kHz."""

    index: int
    pcm: NDArray[np.float32]

    @property
    def pts(self) -> int:
        """The media time in samples at 48 kHz."""
        return self.index * CHUNK


class VoiceSource(Protocol):
    """Where a session's sound comes from."""

    @property
    def shift_seconds(self) -> float:
        """By how much the last :meth:`pull` wants all further steps to be moved."""

    def pull(self, due: float) -> NDArray[np.float32]:
        """The step that is due, ``f32[960]`` at 48 kHz."""


class VoiceLine:
    """Pure: every call is given the time.

    Args:
        microphone: where the sound comes from.
        origin: when media time 0 begins, in seconds of the caller's clock.
        lookahead_ms: how much sound after its pts a frame needs.
        budget_ms: how long drawing and encoding a frame may take.
    """

    def __init__(
        self, microphone: VoiceSource, *, origin: float, lookahead_ms: int, budget_ms: float
    ) -> None:
        self._microphone = microphone
        self._decimator = Decimator()
        # Sound of step j is complete, and pulled, at the end of it.
        self._pulls = Pacer(origin + STEP_SECONDS)
        # No step can leave before it was pulled. Whole steps, so that frames are due with sends.
        lead = min(LEAD, lookahead_ms / 1000 - STEP_SECONDS)
        self._lead = max(0, int(lead / STEP_SECONDS + 1e-6)) * STEP_SECONDS
        self._sends = Pacer(origin + (lookahead_ms + budget_ms) / 1000 - self._lead)
        self._line: dict[int, NDArray[np.float32]] = {}
        self._carry = np.zeros(DELAY_SAMPLES, np.float32)
        self.skipped_steps = 0
        """Steps of voice that were left out because the server itself was stalled."""

    def listen(self, microphone: VoiceSource) -> int:
        """Take sound from elsewhere; returns the step with which that begins."""
        self._microphone = microphone
        return self._pulls.next_index

    @property
    def next_due(self) -> float:
        """When :meth:`pull` or :meth:`send` has something to do next."""
        return min(self._pulls.next_due, self._sends.next_due)

    def due(self, step: float) -> float:
        """When the picture of step ``step`` is due; the step itself leaves a little earlier."""
        return self._sends.due(step) + self._lead

    def delay_more(self, seconds: float) -> None:
        """Let all further voice leave later (or earlier) by so much; media time is not touched."""
        self._sends.shift(seconds)

    def pull(self, now: float) -> NDArray[np.float32]:
        """Take what is due from the microphone; returns it as ``f32[320 * n]`` at 16 kHz.

        After a stall every missed step is still taken, so that the engine's timeline and ours stay
        the same; only the sending of it is left out.
        """
        parts = []
        for step in self._pulls.poll(now):
            pcm = self._microphone.pull(self._pulls.due(step))
            self._pulls.shift(self._microphone.shift_seconds)
            self._sends.shift(self._microphone.shift_seconds)
            parts.append(self._decimator.process(pcm))
            # The decimator shows sound DELAY_SAMPLES late; the voice waits as long, for the lips.
            line = np.concatenate([self._carry, pcm])
            self._line[step] = line[:CHUNK]
            self._carry = line[CHUNK:]
        while len(self._line) > MAX_STEPS_AT_ONCE:
            del self._line[next(iter(self._line))]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def send(self, now: float) -> list[VoiceStep]:
        """The voice that leaves now, usually one step; what is too late is left out and counted."""
        steps = []
        for index in self._sends.poll(now):
            pcm = self._line.pop(index, None)
            if pcm is None or now - self._sends.due(index) > LATEST:
                self.skipped_steps += 1
            else:
                steps.append(VoiceStep(index, pcm))
        return steps

    def clear(self) -> None:
        """Silence what waits in the delay line (barge-in); media time goes on."""
        fade = np.linspace(1.0, 0.0, FADE_SAMPLES, dtype=np.float32)
        for position, index in enumerate(sorted(self._line)):
            silent = np.zeros(CHUNK, np.float32)
            if position == 0:
                silent[:FADE_SAMPLES] = self._line[index][:FADE_SAMPLES] * fade
            self._line[index] = silent
        # What the line lags behind the microphone would be a click in the next step.
        self._carry = np.zeros_like(self._carry)
