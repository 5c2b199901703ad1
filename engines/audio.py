"""Operation `logmel@1`: 16 kHz sound to normalised log-mel rows, one every 10 ms, causal.

Row ``j`` is complete at sample ``160 * (j + 1)``: its 25 ms Hann window ends there. Samples before
the start of the stream count as silence. The rows depend on the samples alone, not on how they
were chunked, to the last bit.

A row holds ``bands`` log-mel values, then the level against the speaker's own level, then the
energy over the tracked noise floor. The normalisation is streaming, as a microphone needs it:

* the speaker's level follows frames that stand 10 dB out of the noise: quickly upwards, slowly
  downwards, within `level_range_db` of the nominal one;
* mel power is taken relative to that level, with a soft floor, so that faint noise says nothing;
* the per-band mean of speech frames (4 s) is removed at half strength: enough to undo most of a
  microphone's colour without losing what vowel is being said; deviations are fixed.

Both trackers start from a prior worth one second of frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.engines.pending import joined

__all__ = ["HOP", "RATE", "LogMel", "LogMelState"]

RATE = 16000
HOP = 160
WINDOW = 400
FFT = 512
EXTRA = 2

F32 = NDArray[np.float32]
_NO_ROWS: F32 = np.zeros((0, 0), np.float32)

_DEFAULTS: dict[str, float] = {
    "bands": 64,
    "low_hz": 60.0,
    "high_hz": 7600.0,
    "warp": 1.0,  # vocal-tract warp of the filter bank: 1 but in training
    "level_db": -22.0,  # nominal level of a speaker, dB re full-scale RMS
    "level_range_db": 22.0,
    "attack_s": 0.2,
    "release_s": 8.0,
    "floor_db": -58.0,  # soft floor of a band's power, against the speaker's level
    "mean_s": 4.0,
    "mean_strength": 0.5,
    "mean_low": -2.2,  # prior of the per-band mean, natural log, at the lowest band
    "mean_high": -7.0,  # ... and at the highest
    "deviation": 2.2,
    "prior_s": 1.0,
}


def _mel(hz: float) -> float:
    return 2595.0 * math.log10(1.0 + hz / 700.0)


def _filter_bank(bands: int, low_hz: float, high_hz: float, warp: float) -> F32:
    """Triangles of equal area on the mel scale, f32[257, bands]."""
    mel = np.linspace(_mel(low_hz), _mel(high_hz), bands + 2)
    edges = np.minimum(700.0 * (10.0 ** (mel / 2595.0) - 1.0) * warp, RATE / 2)
    bins = np.arange(FFT // 2 + 1) * (RATE / FFT)
    # A low band can be narrower than the spacing of the bins: no triangle may fall between two.
    width = np.maximum(np.diff(edges), RATE / FFT)
    rise = (bins[:, None] - (edges[1:-1] - width[:-1])) / width[:-1]
    fall = (edges[1:-1] + width[1:] - bins[:, None]) / width[1:]
    bank = np.maximum(0.0, np.minimum(rise, fall))
    bank /= np.maximum(bank.sum(0), 1e-6)
    return np.asarray(bank, np.float32)


@dataclass(slots=True)
class LogMelState:
    """What one session carries between calls.

    Attributes:
        pending: f32[n], the samples that the next rows still need.
        level: the speaker's level, dB re full-scale RMS.
        noise: the noise floor, same unit.
        heard: speech frames so far, counted up to the release time.
        mean: f32[bands], the mean of speech frames per band.
    """

    pending: F32
    level: float
    noise: float
    heard: float
    mean: F32


class LogMel:
    """The stage. It holds no state of a session, so one object serves all of them.

    Args:
        params: differences from the defaults of `logmel@1`, by name.
    """

    def __init__(self, params: Mapping[str, float] | None = None) -> None:
        given = dict(params or {})
        unknown = sorted(given.keys() - _DEFAULTS.keys())
        if unknown:
            raise ValueError(f"logmel@1 has no parameter {', '.join(unknown)}.")
        p = {**_DEFAULTS, **given}
        self.params = p
        self.bands = int(p["bands"])
        self.size = self.bands + EXTRA
        self.rows = 4  # a tick
        bank = _filter_bank(self.bands, p["low_hz"], p["high_hz"], p["warp"])
        window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
        self._window = window
        # Scaled so that a full-scale white noise has about 0 dB in every band.
        self._bank = bank / np.float32((window**2).sum())
        self._prior = np.linspace(p["mean_low"], p["mean_high"], self.bands, dtype=np.float32)
        self._floor = np.float32(10.0 ** (p["floor_db"] / 10.0))
        self._low = p["level_db"] - p["level_range_db"]
        self._high = p["level_db"] + p["level_range_db"]
        self._prior_rows = p["prior_s"] * 100.0

    def initial_state(self) -> LogMelState:
        """The state of a session that has heard nothing."""
        return LogMelState(
            pending=np.zeros(WINDOW - HOP, np.float32),
            level=self.params["level_db"],
            noise=-70.0,
            heard=0.0,
            mean=self._prior.copy(),
        )

    def step(self, state: LogMelState, pcm: F32) -> F32:
        """Takes the next samples and gives the rows that they complete.

        Args:
            state: of this session; changed in place.
            pcm: f32[n], mono, 16 kHz, full scale +-1; any n >= 0. Values that are not finite count
                as silence, so that one bad packet cannot poison the trackers.

        Returns:
            f32[m, bands + 2]; m may be 0.
        """
        return self.step_many([state], [pcm])[0]

    def step_many(self, states: Sequence[LogMelState], pcm: Sequence[F32]) -> list[F32]:
        """As `step`, for N sessions at once, to the last bit; cheaper than one by one.

        Either all states change or, where an exception is raised, none.
        """
        given = [np.asarray(samples, np.float32) for samples in pcm]
        ready = []
        for group, whole in joined([state.pending for state in states], given):
            ready.append((group, self._advance([states[index] for index in group], whole)))
        rows: list[F32] = [_NO_ROWS] * len(given)
        for group, (after, out) in ready:
            for place, index in enumerate(group):
                _set(states[index], after[place])
                rows[index] = out[place]
        return rows

    def _advance(
        self, states: Sequence[LogMelState], samples: F32
    ) -> tuple[list[LogMelState], F32]:
        """Return the states after f32[N, n] samples, and f32[N, m, bands + 2]."""
        if not np.isfinite(samples).all():
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        samples = np.clip(samples, -4.0, 4.0)
        count = len(samples)
        rows = max(0, (samples.shape[1] - (WINDOW - HOP)) // HOP)
        # Copies: a view would keep the whole batch alive.
        pending = [row[rows * HOP :].copy() for row in samples]
        if rows == 0:
            after = [
                LogMelState(left, state.level, state.noise, state.heard, state.mean)
                for left, state in zip(pending, states, strict=True)
            ]
            return after, np.zeros((count, 0, self.size), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW, axis=1)
        frames = frames[:, ::HOP][:, :rows]
        spectrum = np.fft.rfft(frames * self._window, FFT)
        power = np.square(spectrum.real, dtype=np.float32)
        power += np.square(spectrum.imag, dtype=np.float32)
        # One product per row: a product of all rows would round differently with their number.
        mel = np.matmul(power.reshape(count * rows, 1, -1), self._bank)
        # Newest hop only: the level must not lag behind the window.
        energy = np.square(frames[:, :, WINDOW - 2 * HOP :]).mean(2)
        return self._normalise(states, pending, mel.reshape(count, rows, -1), energy)

    def _normalise(
        self, states: Sequence[LogMelState], pending: Sequence[F32], mel: F32, energy: F32
    ) -> tuple[list[LogMelState], F32]:
        count, rows = energy.shape
        gain = np.empty((count, rows, 1), np.float32)
        out = np.empty((count, rows, self.size), np.float32)
        speech = np.empty((rows, count, 1), np.float32)
        tracked = [
            self._track(state, values, gain[n], out[n], speech[:, n])
            for n, (state, values) in enumerate(zip(states, energy.tolist(), strict=True))
        ]
        bands = out[:, :, : self.bands]
        np.multiply(mel, gain, out=bands)
        bands += self._floor
        # Contiguous, so that every element takes the same code path whatever the number of rows.
        logs = np.log(np.ascontiguousarray(bands))
        half, prior = np.float32(self.params["mean_strength"]), self._prior
        mean = np.stack([state.mean for state in states])
        for i in range(rows):
            # A rate of 0 says that nobody spoke: then the mean stays, to the last bit.
            if speech[i].any():
                moved = mean + speech[i] * (logs[:, i] - mean)
                mean = np.where(speech[i] > 0.0, moved, mean)
            bands[:, i] = logs[:, i] - (prior + half * (mean - prior))
        bands /= np.float32(self.params["deviation"])
        after = [
            LogMelState(left, *values, row.copy())
            for left, values, row in zip(pending, tracked, mean, strict=True)
        ]
        return after, out

    def _track(
        self, state: LogMelState, energy: list[float], gain: F32, out: F32, speech: F32
    ) -> tuple[float, float, float]:
        """Follow one session's level and noise through rows of energy; return what is carried.

        Args:
            gain: f32[m, 1], set to what makes mel power relative to the level.
            out: f32[m, bands + 2], the last two of a row are set.
            speech: f32[m, 1], set to how far the mean per band moves, 0 where nobody speaks.
        """
        p = self.params
        level, noise, heard = state.level, state.noise, state.heard
        attack, shortest = 0.01 / p["attack_s"], 0.01 / p["mean_s"]
        most = p["release_s"] * 100.0
        for i, value in enumerate(energy):
            now = 10.0 * math.log10(value + 1e-10)
            # The floor falls within 50 ms and rises by 4 dB/s, faster when it is far below.
            noise += 0.2 * (now - noise) if now < noise else min(0.04, 0.002 * (now - noise))
            speech[i, 0] = 0.0
            if now > noise + 10.0 and now > -65.0:
                heard = min(heard + 1.0, most)
                rate = 1.0 / (self._prior_rows + heard)
                level += (attack if now > level else rate) * (now - level)
                level = min(max(level, self._low), self._high)
                speech[i, 0] = max(rate, shortest)
            gain[i, 0] = 10.0 ** (-level / 10.0)
            out[i, self.bands] = min(max((now - level) / 10.0, -5.0), 2.0)
            out[i, self.bands + 1] = min((now - noise) / 10.0, 5.0)
        return level, noise, heard


def _set(state: LogMelState, after: LogMelState) -> None:
    state.pending, state.mean = after.pending, after.mean
    state.level, state.noise, state.heard = after.level, after.noise, after.heard
