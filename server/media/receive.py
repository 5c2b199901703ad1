"""The microphone's stream: packets in, exactly as many samples out as the clock asks for.

Reordering, loss, silence on purpose (DTX), late packets and surplus are all settled here, so that
what follows sees one steady 48 kHz timeline that the voice and the picture share. Pure but for the
decoder it is given.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.server.media.arrivals import DriftEstimate, Lateness
from visavis.server.media.conceal import FADE_SAMPLES, Concealer, repetition
from visavis.server.media.depth import CHUNK, DepthControl
from visavis.server.media.jitter import Gap, JitterBuffer, signed

__all__ = ["Decoder", "MicrophoneStream"]

RATE = 48_000
CROSSFADE = RATE * 5 // 1000
QUIET = 0.004  # full scale is 1; about -48 dB
LOUD = 0.03  # never taken for a pause, however noisy the room
PLAN_STEPS = 5  # the depth changes slowly; looking at it costs a little
FLOOR_RISE = 1.005  # a step: the noise floor doubles in about 3 s unless it is met again


class Decoder(Protocol):
    """Turns one packet's payload into sound."""

    def decode(self, payload: bytes) -> NDArray[np.float32]:
        """``f32[n]`` mono 48 kHz; empty when the payload is damaged."""


class MicrophoneStream:
    """A jitter buffer, a decoder and a concealer behind one call: :meth:`pull`.

    Args:
        decoder: the codec, with its own state.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._jitter = JitterBuffer()
        self._concealer = Concealer()
        self._depth = DepthControl()
        self._lateness = Lateness()
        self._drift = DriftEstimate()
        self._timestamp: int | None = None  # of the last packet, extended to never wrap
        self._ignored_until = -math.inf
        self._pcm = np.zeros(0, np.float32)
        self._position = 0
        self._packet_samples = CHUNK // 2
        self._filled = 0
        self._target = 0.0
        self._late = 0.0
        self._begun = False
        self._floor = QUIET
        self.shift_seconds = 0.0
        """By how much the last :meth:`pull` wants all further steps to be moved."""
        self.concealed_samples = 0
        """Sound that was made up in place of sound that did not come."""
        self.skipped_samples = 0
        """Sound that was left out because the buffer was too deep."""
        self.skips = 0
        """How often sound was left out in silence, or a pitch period of speech."""
        self.cuts = 0
        """How often sound was left out while somebody spoke, whatever it was."""

    @property
    def lost(self) -> int:
        """Packets that never came, or came too late to be played."""
        return self._jitter.lost

    @property
    def recovered(self) -> int:
        """Lost packets whose sound a later packet brought again."""
        return self._jitter.recovered

    @property
    def depth_seconds(self) -> float:
        """How long a packet waits on average between its arrival and its step."""
        return max(0.0, self._depth.mean_slack)

    @property
    def target_seconds(self) -> float:
        """For how late a packet the buffer is deep enough, or about to become so."""
        return self._target

    @property
    def drift_ppm(self) -> float | None:
        """How much faster than ours the microphone's clock is; None until it is known."""
        return self._drift.ppm

    @property
    def waiting_samples(self) -> int:
        """Samples that are there and not yet pulled."""
        return len(self._pcm) + len(self._jitter) * self._packet_samples

    def add(
        self, sequence: int, timestamp: int, payload: bytes, *, now: float, redundant: bool = False
    ) -> None:
        """Take a packet that came at ``now``; ``redundant`` if a later packet brought it again."""
        before = self._jitter.late
        ahead = self._jitter.add(sequence, timestamp, payload, redundant=redundant)
        if redundant and ahead is None and self._jitter.late == before:
            return  # it was not lost
        if self._timestamp is None:
            self._timestamp = timestamp
        self._timestamp += signed(timestamp - self._timestamp, 32)
        if now < self._ignored_until:
            return
        self._late = self._lateness.arrived(now, self._timestamp)
        self._drift.arrived(now, self._timestamp)
        if ahead is not None:
            ahead = len(self._pcm) + max(0, ahead - self._filled)
            self._depth.arrived(now, self._position + ahead, self._late)
        elif self._jitter.late > before:
            self._miss(now)

    def restart(self, decoder: Decoder) -> None:
        """The sound comes over a new connection from now on; what was counted stays."""
        self._decoder = decoder
        self._jitter.restart()
        self._depth, self._lateness, self._drift = DepthControl(), Lateness(), DriftEstimate()
        self._timestamp = None
        self._position = self._filled = 0
        self._late = 0.0
        self._begun = False

    def stalled(self, until: float) -> None:
        """We stood still: when packets came that are read before ``until`` is not known."""
        self._ignored_until = until

    def _miss(self, now: float) -> None:
        """The last packet came too late to be played."""
        if now >= self._ignored_until and self._begun:
            self._lateness.missed(now, self._late)
            self._depth.missed()

    def pull(self, due: float) -> NDArray[np.float32]:
        """The step that is due at ``due``, ``f32[960]``; silence when the microphone is silent."""
        self.shift_seconds = 0.0
        if self._position // CHUNK % PLAN_STEPS == 0:
            self._target = self._lateness.target(due)
            plan = self._depth.plan(due, self._position, self._target)
            self.shift_seconds = plan.shift
            if plan.insert:
                self._pcm = np.concatenate([self._pcm, self._make_up(plan.insert)])
                self._depth.inserted(plan.insert)
            elif plan.skip:
                self._skip(plan.skip, at_once=plan.at_once)
        self._fill(CHUNK, due, make_up=True)
        self._position += CHUNK
        out, self._pcm = self._pcm[:CHUNK], self._pcm[CHUNK:]
        self._floor = max(1e-6, min(_level(out), self._floor * FLOOR_RISE))
        return out

    def _fill(self, wanted: int, now: float, *, make_up: bool) -> None:
        """Decode until ``wanted`` samples are there, and ``make_up`` what lacks."""
        parts = [self._pcm]
        have = len(self._pcm)
        # After a silence, sound begins with a whole step of it, not with a piece and a hole.
        resting = not self._begun or self._filled > FADE_SAMPLES
        # Counted, or by their times: a last packet of a few samples says little of the next.
        begins = (
            not resting
            or self.waiting_samples >= wanted
            or len(self._pcm) + self._jitter.span >= wanted
        )
        while have < wanted:
            piece = self._jitter.pop(self._filled) if begins else None
            if piece is None:
                if not make_up:
                    break
                missing = wanted - have
                parts.append(self._make_up(missing))
                self._filled += missing
                have += missing
                continue
            if self._filled:
                self._settle(now)
            if isinstance(piece, Gap):
                parts.append(self._make_up(piece.samples))
                have += piece.samples
            else:
                pcm = self._decoder.decode(piece.payload)
                self._jitter.played(piece, len(pcm))
                if len(pcm):
                    self._begun = True
                    self._packet_samples = len(pcm)
                    parts.append(self._concealer.good(pcm))
                    have += len(pcm)
        self._pcm = np.concatenate(parts) if len(parts) > 1 else self._pcm

    def _settle(self, now: float) -> None:
        """Something came after sound was made up: say whether that sound was lost or only late."""
        lost = self._jitter.absorbed
        self._depth.inserted(self._filled - lost)
        if not lost and self._begun and self._filled <= FADE_SAMPLES:
            # It came after all, so a deeper buffer would have helped. Longer than the fade it is
            # a pause of the sender, and no buffer helps.
            self._miss(now)
        self._filled = 0

    def _make_up(self, samples: int) -> NDArray[np.float32]:
        audible = max(0, min(samples, FADE_SAMPLES - self._concealer.made))
        if audible == 0:
            return np.zeros(samples, np.float32)
        if self._concealer.heard:
            self.concealed_samples += audible
        return self._concealer.conceal(samples)

    def _skip(self, surplus: int, *, at_once: bool) -> None:
        """Leave out up to ``surplus`` samples, with a cross-fade over the joint."""
        self._fill(CHUNK + surplus, 0.0, make_up=False)
        surplus = min(surplus, len(self._pcm) - CHUNK)
        if surplus <= 0:
            return
        reach = self._pcm[: CHUNK + surplus]
        quiet = _level(reach) < min(LOUD, max(QUIET, 2 * self._floor))
        cut = at_once and not quiet
        if not quiet and not at_once:
            surplus = repetition(reach, surplus)
            if not surplus:
                return
        rise = np.linspace(0.0, 1.0, CROSSFADE, dtype=np.float32)
        joint = reach[:CROSSFADE] * (1 - rise) + reach[surplus : surplus + CROSSFADE] * rise
        self._pcm = np.concatenate([joint, self._pcm[surplus + CROSSFADE :]])
        self._depth.inserted(-surplus)
        self.skipped_samples += surplus
        self.cuts += cut
        self.skips += not cut


def _level(pcm: NDArray[np.float32]) -> float:
    """Root mean square."""
    return math.sqrt(float(np.dot(pcm, pcm)) / len(pcm))
