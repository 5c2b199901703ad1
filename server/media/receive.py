"""The microphone's stream: packets in, exactly as many samples out as the clock asks for.

Reordering, loss, silence on purpose (DTX), late packets and the microphone's own clock are all
settled here, so that what follows sees one steady 48 kHz timeline that the voice and the picture
share. Pure but for the decoder it is given.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.server.media.conceal import FADE_SAMPLES, Concealer
from visavis.server.media.depth import DepthControl
from visavis.server.media.jitter import Gap, JitterBuffer
from visavis.server.media.resample import stretch

__all__ = ["CHUNK", "Decoder", "MicrophoneStream"]

RATE = 48_000
CHUNK = 960
"""Samples in one step of 20 ms."""
CONTEXT = 8
CROSSFADE = RATE * 5 // 1000
QUIET = 0.004  # full scale is 1; about -48 dB


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
        self._pcm = np.zeros(0, np.float32)
        self._before = np.zeros(CONTEXT, np.float32)
        self._packet_samples = CHUNK
        self._filled = 0
        self.concealed_samples = 0
        """Sound that was made up in place of sound that did not come."""
        self.skipped_samples = 0
        """Sound that was left out because the buffer was too deep."""
        self.cuts = 0
        """How often sound was left out while somebody spoke."""

    @property
    def lost(self) -> int:
        """Packets that never came, or came too late to be played."""
        return self._jitter.lost

    @property
    def depth_seconds(self) -> float:
        """How long a packet waits on average between its arrival and its being played."""
        return self._depth.mean_slack

    @property
    def waiting_samples(self) -> int:
        """Samples that are there and not yet pulled."""
        return len(self._pcm) + len(self._jitter) * self._packet_samples

    def add(
        self, sequence: int, timestamp: int, payload: bytes, *, now: float, next_pull: float
    ) -> None:
        """Take a packet that came at ``now``; ``next_pull`` is when :meth:`pull` comes next."""
        ahead = self.waiting_samples
        if not self._jitter.add(sequence, timestamp, payload):
            return
        self._depth.arrived(now, next_pull - now + ahead // CHUNK * (CHUNK / RATE))

    def pull(self, now: float) -> NDArray[np.float32]:
        """The next 20 ms, ``f32[960]``; silence when the microphone sends nothing."""
        plan = self._depth.plan(now, CHUNK)
        used = CHUNK + plan.nudge
        self._fill(used + CONTEXT if plan.nudge else used, now, starve_below=used)
        if plan.skip:
            self._skip(plan.skip, used, at_once=plan.at_once, now=now)
        if plan.nudge and len(self._pcm) >= used + CONTEXT:
            line = np.concatenate([self._before, self._pcm[: used + CONTEXT]])
            out = stretch(line, CHUNK)
            self._depth.inserted(-plan.nudge)
        else:
            used = CHUNK
            out = self._pcm[:CHUNK]
        self._before = self._pcm[used - CONTEXT : used]
        self._pcm = self._pcm[used:]
        return out

    def _fill(self, wanted: int, now: float, *, starve_below: int) -> None:
        """Decode until ``wanted`` samples are there; make up what lacks below ``starve_below``."""
        parts = [self._pcm]
        have = len(self._pcm)
        while have < wanted:
            piece = self._jitter.pop(self._filled)
            if piece is None:
                if have >= starve_below:
                    break
                missing = starve_below - have
                parts.append(self._make_up(missing))
                self._filled += missing
                self._depth.inserted(missing)
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
                    self._packet_samples = len(pcm)
                    parts.append(self._concealer.good(pcm))
                    have += len(pcm)
        self._pcm = np.concatenate(parts) if len(parts) > 1 else self._pcm

    def _settle(self, now: float) -> None:
        """Something came after sound was made up: say whether that sound was lost or only late."""
        lost = self._jitter.absorbed
        if lost:
            self._depth.inserted(-lost)
        elif self._filled <= FADE_SAMPLES:
            # It came after all, so a deeper buffer would have helped. Longer than the fade it is
            # a pause of the sender, and no buffer helps.
            self._depth.widen(now)
        self._filled = 0

    def _make_up(self, samples: int) -> NDArray[np.float32]:
        audible = max(0, min(samples, FADE_SAMPLES - self._concealer.made))
        if audible == 0:
            return np.zeros(samples, np.float32)
        made = self._concealer.conceal(samples)
        if self._concealer.heard:
            self.concealed_samples += audible
        return made

    def _skip(self, surplus: int, used: int, *, at_once: bool, now: float) -> None:
        """Leave out up to ``surplus`` samples, with a cross-fade over the joint."""
        surplus = min(surplus, max(0, self.waiting_samples - used))
        if surplus < CROSSFADE and not at_once:
            return
        self._fill(used + surplus, now, starve_below=0)
        surplus = min(surplus, len(self._pcm) - used)
        if surplus <= 0:
            return
        reach = self._pcm[: used + surplus]
        quiet = float(np.sqrt(np.mean(np.square(reach)))) < QUIET
        if not quiet and not at_once:
            return
        n = min(CROSSFADE, used)
        rise = np.linspace(0.0, 1.0, n, dtype=np.float32)
        joint = reach[:n] * (1 - rise) + reach[surplus : surplus + n] * rise
        self._pcm = np.concatenate([joint, self._pcm[surplus + n :]])
        self._depth.inserted(-surplus)
        self.skipped_samples += surplus
        self.cuts += not quiet
