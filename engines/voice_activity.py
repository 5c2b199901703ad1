"""A second opinion on whether somebody speaks: WebRTC's voice activity detector, per session.

The detector (Gaussian mixtures over six bands, by the WebRTC project) hears 20 ms of 16 kHz sound
at a time. Frame ``f`` is ``[320 f, 320 f + 320)`` of the session's samples, whatever the chunks in
which they come, so its opinions do not depend on the chunks either.

Alone it would not do: it takes keys, breath and music for speech. `gate` asks it only where the
network is unsure.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import webrtcvad
from numpy.typing import NDArray

__all__ = ["FRAME_MS", "VoiceActivity", "VoiceActivityState"]

RATE = 16000
FRAME_MS = 20
FRAME = RATE * FRAME_MS // 1000
MODES = (0, 1, 2, 3)


@dataclass(slots=True)
class VoiceActivityState:
    """What one session carries.

    Attributes:
        detector: the library's own object, with its tracked noise.
        pending: int16[n], n < 320: samples of a frame that is not complete.
    """

    detector: webrtcvad.Vad
    pending: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))


class VoiceActivity:
    """The detector for any number of sessions; it holds nothing of them.

    Args:
        mode: 0 to 3, how strict; 3 calls the least of all sounds speech.

    Raises:
        ValueError: there is no such mode.
    """

    def __init__(self, mode: int) -> None:
        if mode not in MODES:
            raise ValueError(f"Voice activity has the modes 0 to 3, not {mode!r}.")
        self._mode = int(mode)

    def initial_state(self) -> VoiceActivityState:
        """Return the state of a session that has heard nothing."""
        return VoiceActivityState(webrtcvad.Vad(self._mode))

    def step(self, state: VoiceActivityState, pcm: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Take the next samples and say of each frame that they complete whether it has a voice.

        Args:
            state: of this session; changed in place.
            pcm: f32[n], mono, 16 kHz, full scale 1; any n >= 0. Values that are not finite count
                as silence.

        Returns:
            bool[m], one per frame of 20 ms; m may be 0.
        """
        return self.judge(state, *self.quantised([pcm]))

    def quantised(self, pcm: Sequence[NDArray[np.float32]]) -> Sequence[NDArray[np.int16]]:
        """Return each of N sounds as the detector takes it, int16[n]; cheaper than one by one."""
        sounds = [np.asarray(samples, np.float32) for samples in pcm]
        whole = np.concatenate(sounds) if sounds else np.zeros(0, np.float32)
        if not np.isfinite(whole).all():
            whole = np.nan_to_num(whole, nan=0.0, posinf=0.0, neginf=0.0)
        levels = np.rint(np.clip(whole, -1.0, 1.0) * 32767.0).astype(np.int16)
        ends = itertools.accumulate((len(sound) for sound in sounds), initial=0)
        return [levels[begin:end] for begin, end in itertools.pairwise(ends)]

    def judge(self, state: VoiceActivityState, levels: NDArray[np.int16]) -> NDArray[np.bool_]:
        """As `step`, of samples that are quantised."""
        samples = np.concatenate((state.pending, levels)) if len(state.pending) else levels
        whole = len(samples) // FRAME * FRAME
        state.pending = samples[whole:].copy()
        sound = samples[:whole].tobytes()
        return np.array(
            [
                state.detector.is_speech(sound[start : start + 2 * FRAME], RATE)
                for start in range(0, len(sound), 2 * FRAME)
            ],
            np.bool_,
        )
