"""Training sessions: half a minute of a microphone as feature rows, and what the mouth should do.

A session is a shard of the corpus spoken in a room, with pauses, noise, other sounds in the pauses
and a gain that the normaliser has to find, passed through the engine's own `LogMel` from a random
state. One in eight has no speech at all. Sessions are rendered once, into files of float16.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.audio import HOP, LogMel, LogMelState
from visavis.engines.motion import CHANNELS
from visavis.finetune.speech import augment
from visavis.finetune.speech.corpus import Shard, build_corpus, cache_folder, load_shard
from visavis.finetune.speech.gestures import frame_times, gestures
from visavis.finetune.speech.phones import PHONES, Phone
from visavis.finetune.speech.voices import resample

__all__ = [
    "HELD_OUT",
    "Session",
    "build_sessions",
    "held_out",
    "make_session",
    "negative",
    "spoken",
]

log = logging.getLogger(__name__)

RATE = 16000
F32 = NDArray[np.float32]
Rng = np.random.Generator

# Never trained on: the diphone voice of Flite and Festival (a speaker and a way of synthesis of its
# own), an accent of espeak-ng, and two languages.
HELD_OUT = (
    "flite:kal", "flite:kal16", "festival:kal",
    "espeak:en-gb-scotland", "espeak:it", "espeak:sv",
)  # fmt: skip


def held_out(voice: str) -> bool:
    """Whether a voice is kept for validation."""
    return voice.split("+")[0] in HELD_OUT


@dataclass(frozen=True, slots=True)
class Session:
    """Rows for the network.

    Attributes:
        voice: who speaks.
        features: f16[2T, F], 10 ms apart.
        tract: f16[T, 9], 20 ms apart; step t shows the moment 20t + 10 ms.
        phones: uint8[T], index into PHONES.
    """

    voice: str
    features: NDArray[np.float16]
    tract: NDArray[np.float16]
    phones: NDArray[np.uint8]


def spoken(shard: Shard, rng: Rng, *, plain: bool = False) -> tuple[F32, list[Phone]]:
    """The shard's utterances in a new order, with pauses; plain: at the voice's own pitch."""
    warp = 1.0 if plain else float(np.exp(rng.uniform(np.log(0.82), np.log(1.22))))
    sounds: list[F32] = []
    phones: list[Phone] = []
    at = 0
    order = rng.permutation(len(shard.utterances))
    breathless = rng.random() < 0.06 and not plain
    for i in order:
        utterance = shard.utterances[int(i)]
        pause = rng.exponential(0.6) if rng.random() < 0.8 else rng.uniform(1.5, 4.0)
        sounds.append(np.zeros(int(pause * RATE), np.float32))
        at += len(sounds[-1])
        sound = resample(utterance.sound, RATE * warp) if warp != 1.0 else utterance.sound
        if breathless:
            sound = augment.whisper(sound, rng)
        loud = np.float32(10 ** (rng.normal(0.0, 2.0) / 20.0))
        sounds.append(sound * loud / np.float32(np.sqrt(np.mean(sound**2)) + 1e-6))
        start = at / RATE
        phones += [
            replace(p, start=start + p.start / warp, end=start + p.end / warp)
            for p in utterance.phones
        ]
        at += len(sound)
    sounds.append(np.zeros(int(rng.uniform(0.3, 1.0) * RATE), np.float32))
    return np.concatenate(sounds), phones


def negative(n: int, rng: Rng) -> F32:
    """Sound that is no speech, of unit power at its loudest part."""
    kinds = (augment.keys, augment.breath, augment.rustle, augment.music, augment.noise)
    return kinds[int(rng.choice(len(kinds), p=(0.26, 0.24, 0.18, 0.22, 0.10)))](n, rng)


def _fill_pauses(sound: F32, phones: Sequence[Phone], rng: Rng) -> None:
    """Puts sounds that are not speech into the pauses, in place."""
    said = [p for p in phones if p.name != "pau"]
    edges = [0.0] + [t for p in said for t in (p.start, p.end)] + [len(sound) / RATE]
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        if b - a > 0.35 and rng.random() < 0.45:
            start, stop = int((a + 0.05) * RATE), int((b - 0.06) * RATE)
            piece = negative(stop - start, rng)
            fade = np.minimum(
                1.0, np.minimum(np.arange(len(piece)), np.arange(len(piece))[::-1]) / 160
            )
            level = np.float32(10 ** (rng.uniform(-30.0, -2.0) / 20.0))
            sound[start:stop] += piece * fade.astype(np.float32) * level


def _background(shard: Shard, n: int, rng: Rng) -> F32:
    """What is heard behind a speaker, of unit power: noise mostly, music, or a crowd."""
    kind = rng.random()
    if kind < 0.72:
        return augment.noise(n, rng)
    if kind < 0.86:
        return augment.music(n, rng)
    crowd = np.zeros(n, np.float32)
    for _ in range(6):
        voice = shard.utterances[int(rng.integers(len(shard.utterances)))].sound
        voice = resample(voice, RATE * float(rng.uniform(0.75, 1.3)))
        long = np.tile(voice, n // len(voice) + 2)
        start = int(rng.integers(len(voice)))
        crowd += long[start : start + n] * np.float32(rng.uniform(0.3, 1.0))
    return crowd / np.float32(np.sqrt(np.mean(crowd**2)) + 1e-6)


def _random_state(mel: LogMel, level_db: float, rng: Rng) -> LogMelState:
    state = mel.initial_state()
    if rng.random() < 0.65:
        state.level = float(np.clip(level_db + rng.uniform(-15.0, 15.0), -44.0, 0.0))
        state.heard = float(rng.uniform(0.0, 800.0))
        state.noise = float(rng.uniform(-85.0, -45.0))
        tilt = np.linspace(rng.normal(0, 0.8), rng.normal(0, 0.8), mel.bands)
        state.mean = (state.mean + tilt).astype(np.float32)
    return state


def _labels(phones: Sequence[Phone], times: NDArray[np.float64]) -> NDArray[np.uint8]:
    index = {name: i for i, name in enumerate(PHONES)}
    out = np.zeros(len(times), np.uint8)
    for p in phones:
        lo, hi = np.searchsorted(times, (p.start, p.end))
        out[lo:hi] = index[p.name]
    return out


def make_session(shard: Shard, rng: Rng) -> Session:
    """Renders one session from a shard."""
    if rng.random() < 0.15:
        sound, phones, voice = (
            negative(int(rng.uniform(12.0, 25.0) * RATE), rng),
            list[Phone](),
            "none",
        )
        if rng.random() < 0.4:
            sound = sound + np.float32(rng.uniform(0.05, 1.0)) * negative(len(sound), rng)
    else:
        sound, phones = spoken(shard, rng)
        voice = shard.voice
        _fill_pauses(sound, phones, rng)
    if rng.random() < 0.5:
        sound = augment.reverberate(sound, rng)
    if rng.random() < 0.8:
        sound = augment.colour(sound, rng)
    sound = sound / np.float32(np.sqrt(np.mean(sound**2)) + 1e-6)
    if rng.random() < 0.75:
        ratio = 10 ** (-rng.uniform(6.0, 45.0) / 20.0)
        sound = sound + np.float32(ratio) * _background(shard, len(sound), rng)
    sound = augment.degrade(sound, rng)
    level_db = rng.uniform(-42.0, -12.0)
    sound = np.clip(sound * np.float32(10 ** (level_db / 20.0)), -1.0, 1.0)
    # What a sound card adds; digital silence does occur too.
    if rng.random() < 0.8:
        hiss = 10 ** (rng.uniform(-95.0, -70.0) / 20.0)
        sound = sound + rng.normal(0.0, hiss, len(sound)).astype(np.float32)
    mel = LogMel({"warp": float(np.exp(rng.uniform(np.log(0.85), np.log(1.18))))})
    rows = mel.step(_random_state(mel, level_db, rng), sound)
    steps = len(sound) // (2 * HOP)
    times = frame_times(steps / 50.0)
    return Session(
        voice,
        rows[: 2 * steps].astype(np.float16),
        gestures(phones, times).astype(np.float16)
        if phones
        else np.zeros((steps, len(CHANNELS)), np.float16),
        _labels(phones, times),
    )


def build_sessions(
    cache_dir: Path, shards: Sequence[Path], passes: int, seed: int = 0
) -> list[Path]:
    """Renders every shard `passes` times, each time otherwise; what is there is not made again.

    Returns:
        the session files: npz with voice, features, tract, phones.
    """
    folder = cache_dir / "sessions" / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for turn in range(passes):
        for number, shard_path in enumerate(shards):
            path = folder / f"{turn:02d}-{number:05d}.npz"
            paths.append(path)
            if path.exists():
                continue
            shard = load_shard(shard_path)
            if not shard.utterances:
                paths.pop()
                continue
            session = make_session(shard, np.random.default_rng([seed, turn, number]))
            partial = path.with_suffix(".partial")
            with partial.open("wb") as f:
                np.savez(
                    f,
                    # The shard's voice even without speech: what is held out stays out.
                    voice=np.array(shard.voice),
                    features=session.features,
                    tract=session.tract,
                    phones=session.phones,
                )
            partial.replace(path)
        log.info("pass %d of %d rendered", turn + 1, passes)
    return paths


def main() -> None:
    """Command line: corpus, then sessions."""
    parser = argparse.ArgumentParser(description="Build the corpus and its training sessions.")
    parser.add_argument("--hours", type=float, default=2.5)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=None)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cache = args.cache or cache_folder()
    build_sessions(cache, build_corpus(cache, args.hours, args.seed), args.passes, args.seed)


if __name__ == "__main__":
    main()
