"""The sound of a video: read in step with the pictures, and whether there is enough of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import AudioInputError
from visavis.engines.sound_file import SoundFile
from visavis.engines.voice_activity import FRAME_MS, VoiceActivity
from visavis.finetune.check.findings import Finding
from visavis.finetune.check.source import Facts

__all__ = ["RATE", "read_sound", "sound_findings", "spoken"]

F32 = NDArray[np.float32]

RATE = 16000
_SILENT_DB = -60.0  # of full scale, what 95 % of the sound stay under
_UNDER_SPEECH_DB = -40.0
_ENDS_EARLY_S = 1.0
_LEAST_SPEECH_S, _GOOD_SPEECH_S = 4.0, 20.0
_LEAST_PAUSE_S = 1.0
_OFF_START_S = 0.04


def read_sound(facts: Facts) -> F32:
    """Return the sound of what is used, f32[n], mono, 16 kHz, from when the first picture is shown.

    Raises:
        AudioInputError: there is none, or it cannot be decoded.
    """
    start = round(facts.sound_start_s * RATE)
    wanted = round(facts.used_s * RATE)
    pieces = [np.zeros(min(max(start, 0), wanted), np.float32)]
    count, late = len(pieces[0]), max(-start, 0)
    with SoundFile(facts.path) as file:
        for _, pcm in file.samples():
            heard = pcm[late:]
            late -= len(pcm) - len(heard)
            pieces.append(heard)
            count += len(heard)
            if count >= wanted:
                break
    return np.nan_to_num(np.concatenate(pieces)[:wanted])


def _levels(sound: F32) -> NDArray[np.float64]:
    """Return the level of every 20 ms in dB of full scale."""
    size = RATE * FRAME_MS // 1000
    frames = sound[: len(sound) // size * size].reshape(-1, size).astype(np.float64)
    return np.asarray(10.0 * np.log10(np.square(frames).mean(axis=1) + 1e-12))


def spoken(sound: F32) -> NDArray[np.bool_]:
    """Say of every 20 ms whether somebody speaks."""
    detector = VoiceActivity(2)
    voiced = detector.step(detector.initial_state(), sound)
    levels = _levels(sound)
    if not voiced.any():
        return voiced
    usual = float(np.percentile(levels[voiced], 75))
    return np.asarray(voiced & (levels > usual + _UNDER_SPEECH_DB))


def _longest_pause(speech: NDArray[np.bool_]) -> float:
    """Return the length of the longest stretch without speech, in seconds."""
    edges = np.flatnonzero(np.diff(np.concatenate(([True], speech, [True])).astype(int)))
    lengths = edges[1::2] - edges[::2]
    return float(lengths.max(initial=0)) * FRAME_MS / 1000.0


def sound_findings(facts: Facts) -> list[Finding]:
    """Read the sound and return what is to be said about it."""
    if not facts.sound:
        return [_silent("no-sound", "The video has no sound")]
    try:
        sound = read_sound(facts)
    except AudioInputError as error:
        return [_silent("no-sound", f"The sound cannot be used ({str(error).rstrip('.')})")]
    levels = _levels(sound)
    loudest = float(np.percentile(levels, 95)) if len(levels) else -120.0
    if loudest < _SILENT_DB:
        return [_silent("silent", f"The sound is silent, {loudest:.0f} dB of full scale")]
    found = []
    # What is behind the last sample that is not nothing is no pause: it was not recorded.
    end = float(np.flatnonzero(sound)[-1] + 1) / RATE
    if end < facts.used_s - _ENDS_EARLY_S:
        found.append(
            Finding(
                "sound-short",
                "warning",
                f"The sound stops at {end:.1f} s and the pictures at {facts.used_s:.1f} s; the "
                "lips are fitted to the part with both.",
            )
        )
    if abs(facts.sound_start_s) > _OFF_START_S:
        late = facts.sound_start_s > 0.0
        found.append(
            Finding(
                "sound-start",
                "note",
                f"The sound starts {abs(facts.sound_start_s):.2f} s "
                f"{'after' if late else 'before'} the pictures; they are kept in step.",
            )
        )
    speech = spoken(sound)
    seconds, pause = float(speech.sum()) * FRAME_MS / 1000.0, _longest_pause(speech)
    if seconds < _GOOD_SPEECH_S:
        need = f"{_LEAST_SPEECH_S:.0f} are needed to fit the lips to the person, "
        found.append(
            Finding(
                "little-speech",
                "warning",
                f"Somebody speaks for {seconds:.0f} s; "
                f"{need if seconds < _LEAST_SPEECH_S else ''}"
                f"{_GOOD_SPEECH_S:.0f} are good, and a minute is better.",
            )
        )
    if pause < _LEAST_PAUSE_S:
        found.append(
            Finding(
                "no-pause",
                "warning",
                f"The longest pause is {pause:.1f} s; record some seconds of silence with closed "
                "lips, which the person shows while it listens.",
            )
        )
    return found


def _silent(kind: str, what: str) -> Finding:
    return Finding(
        kind,
        "refused",
        f"{what}; the lips are fitted to how this person speaks, so give a video with its voice.",
    )
