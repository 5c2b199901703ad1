"""Training sessions: half a minute of a microphone as feature rows, and the phones that were said.

    python -m visavis.finetune.speech.sessions --hours 24 --workers 2

A session is a shard of the corpus spoken in a room, with pauses, noise, other sounds in the pauses
and a gain that the normaliser has to find, passed through the engine's own `LogMel` from a random
state. One in five has no speech, or only some of a distant talker. Sessions are rendered once, into
files of float16. What the mouth does is not in them: it is made of the phones when they are read.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.audio import HOP, LogMel, LogMelState
from visavis.finetune.speech import augment
from visavis.finetune.speech.corpus import Shard, cache_folder, load_shard, shards
from visavis.finetune.speech.phones import PHONES, Phone
from visavis.finetune.speech.senders import degrade
from visavis.finetune.speech.speaking import HELD_OUT, held_out, spoken
from visavis.finetune.speech.surroundings import background, negative, people
from visavis.finetune.speech.workers import in_order, workers

__all__ = [
    "HELD_OUT",
    "Session",
    "build_sessions",
    "build_silent",
    "held_out",
    "make_session",
    "phones_of",
    "said_of",
    "spoken",
]

log = logging.getLogger(__name__)

RATE = 16000
F32 = NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Session:
    """Rows for the network.

    Attributes:
        voice: who speaks.
        features: f16[2T, F], 10 ms apart.
        said: f32[n, 5], a phone in every row: index into PHONES, start and end in seconds, stress
            0 to 1, effort in dB; none where nobody speaks near the microphone.
    """

    voice: str
    features: NDArray[np.float16]
    said: F32


def said_of(phones: Sequence[Phone]) -> F32:
    """Phones as the rows of `Session.said`."""
    index = {name: i for i, name in enumerate(PHONES)}
    rows = [(index[p.name], p.start, p.end, p.stress, p.effort) for p in phones]
    return np.array(rows, np.float32).reshape(-1, 5)


def phones_of(said: F32) -> list[Phone]:
    """The inverse of `said_of`."""
    return [
        Phone(PHONES[int(name)], start, end, stress, effort)
        for name, start, end, stress, effort in said.astype(np.float64).tolist()
    ]


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


def _random_state(mel: LogMel, level_db: float, rng: Rng) -> LogMelState:
    state = mel.initial_state()
    if rng.random() < 0.65:
        state.level = float(np.clip(level_db + rng.uniform(-15.0, 15.0), -44.0, 0.0))
        state.heard = float(rng.uniform(0.0, 800.0))
        state.noise = float(rng.uniform(-85.0, -45.0))
        tilt = np.linspace(rng.normal(0, 0.8), rng.normal(0, 0.8), mel.bands)
        state.mean = (state.mean + tilt).astype(np.float32)
    return state


def _silent(crowd: Sequence[Shard], rng: Rng) -> tuple[F32, float]:
    """A session without a near voice, and its level in dB."""
    n = int(rng.uniform(12.0, 25.0) * RATE)
    if crowd and rng.random() < 0.3:
        # Somebody at the other end of the room: 20 to 35 dB under a near speaker's nominal level.
        far = people(crowd, n, rng, int(rng.choice((1, 1, 2, 4))))
        if rng.random() < 0.4:
            far = far + np.float32(rng.uniform(0.05, 1.0)) * negative(n, rng)
        return far, float(-22.0 - rng.uniform(20.0, 35.0))
    sound = negative(n, rng)
    for _ in range(2):
        if rng.random() < 0.4:
            sound = sound + np.float32(rng.uniform(0.05, 1.0)) * negative(n, rng)
    return sound, float(rng.uniform(-50.0, -12.0))


def make_session(shard: Shard, rng: Rng, crowd: Sequence[Shard] = ()) -> Session:
    """Renders one session from a shard; `crowd` are others, heard in the background."""
    level_db = float(rng.uniform(-42.0, -12.0))
    if rng.random() < 0.2:
        sound, level_db = _silent(crowd, rng)
        phones, voice = list[Phone](), "none"
    else:
        sound, phones = spoken(shard, rng)
        voice = shard.voice
        _fill_pauses(sound, phones, rng)
    return _heard(sound, phones, voice, level_db, crowd, rng)


def _heard(
    sound: F32,
    phones: Sequence[Phone],
    voice: str,
    level_db: float,
    crowd: Sequence[Shard],
    rng: Rng,
) -> Session:
    """What a microphone, its room and its sender make of a sound, as rows."""
    if rng.random() < 0.6:
        sound = augment.reverberate(sound, rng)
    if rng.random() < 0.8:
        sound = augment.colour(sound, rng)
    sound = sound / np.float32(np.sqrt(np.mean(sound**2)) + 1e-6)
    quiet = rng.random()
    if quiet < 0.8:
        ratio = rng.uniform(0.0, 30.0) if quiet < 0.55 else rng.uniform(30.0, 50.0)
        behind = background(crowd, len(sound), rng)
        sound = sound + np.float32(10 ** (-ratio / 20.0)) * behind
    sound = degrade(sound, rng)
    sound = np.clip(sound * np.float32(10 ** (level_db / 20.0)), -1.0, 1.0)
    # What a sound card adds; digital silence does occur too.
    if rng.random() < 0.8:
        hiss = 10 ** (rng.uniform(-95.0, -70.0) / 20.0)
        sound = sound + rng.standard_normal(len(sound), np.float32) * np.float32(hiss)
    mel = LogMel({"warp": float(np.exp(rng.uniform(np.log(0.88), np.log(1.14))))})
    rows = mel.step(_random_state(mel, level_db, rng), sound)
    steps = len(sound) // (2 * HOP)
    return Session(voice, rows[: 2 * steps].astype(np.float16), said_of(phones))


_CROWD = 6


def _render(cache_dir: Path, shard_path: Path, seed: int, turn: int, number: int) -> Path | None:
    """Makes one session file unless it is there; None where the shard has no sound."""
    path = cache_dir / "sessions" / f"seed-{seed}" / f"{turn:02d}-{number:05d}.npz"
    if path.exists():
        return path
    shard = load_shard(shard_path)
    if not shard.utterances:
        return None
    crowd = []
    for back in range(1, _CROWD + 1):
        other = shard_path.with_name(f"{number - back:05d}.npz")
        if number >= back and other.exists():
            crowd.append(load_shard(other))
    # Held-out voices are not heard behind others either.
    near = [s for s in crowd if s.utterances and held_out(s.voice) == held_out(shard.voice)]
    session = make_session(shard, np.random.default_rng([seed, turn, number]), near)
    # The shard's voice even without speech: what is held out stays out.
    _save(path, session, shard.voice)
    return path


def _save(path: Path, session: Session, voice: str) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as f:
        np.savez(f, voice=np.array(voice), features=session.features, said=session.said)
    partial.replace(path)


def _render_silent(cache_dir: Path, seed: int, number: int, pool_of: int) -> Path:
    path = cache_dir / "sessions" / f"seed-{seed}" / f"silent-{number:05d}.npz"
    if path.exists():
        return path
    rng = np.random.default_rng([seed, 1 << 20, number])
    crowd = []
    for at in rng.integers(0, pool_of, _CROWD):
        other = cache_dir / "speech" / f"seed-{seed}" / f"{at:05d}.npz"
        if other.exists() and (shard := load_shard(other)).utterances:
            crowd.append(shard)
    near = [s for s in crowd if not held_out(s.voice)]
    sound, level_db = _silent(near, rng)
    session = _heard(sound, (), "none", level_db, near, rng)
    _save(path, session, "none")
    return path


def build_silent(
    cache_dir: Path, count: int, shard_count: int, seed: int = 0, pool: Executor | None = None
) -> list[Path]:
    """Renders sessions in which nobody speaks near the microphone; what is there is kept.

    Args:
        cache_dir: a folder outside the repository.
        count: how many.
        shard_count: of the corpus, some of whose voices are heard from far away.
        seed: of the renderings.
        pool: see `build_sessions`.
    """
    (cache_dir / "sessions" / f"seed-{seed}").mkdir(parents=True, exist_ok=True)
    jobs = ((cache_dir, seed, number, shard_count) for number in range(count))
    return list(in_order(_render_silent, jobs, pool))


def build_sessions(
    cache_dir: Path,
    shard_paths: Iterable[Path],
    passes: int,
    seed: int = 0,
    pool: Executor | None = None,
) -> list[Path]:
    """Renders every shard `passes` times, each time otherwise; what is there is not made again.

    Args:
        cache_dir: a folder outside the repository.
        shard_paths: in order of number; may come as they get ready, see `corpus.shards`.
        passes: how often every shard is rendered.
        seed: of the renderings.
        pool: processes to share the work; this one does it where none is given.

    Returns:
        the session files: npz with voice, features, said (see `Session`).
    """
    folder = cache_dir / "sessions" / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    again: list[Path] = []
    for turn in range(passes):
        source = shard_paths if turn == 0 else again
        jobs = ((cache_dir, p, seed, turn, int(p.stem)) for p in _kept(source, again, turn))
        for path in in_order(_render, jobs, pool):
            if path is not None:
                paths.append(path)
                if len(paths) % 100 == 0:
                    log.info("%d sessions", len(paths))
        log.info("pass %d of %d rendered", turn + 1, passes)
    return paths


def _kept(source: Iterable[Path], again: list[Path], turn: int) -> Iterable[Path]:
    for path in source:
        if turn == 0:
            again.append(path)
        yield path


def main() -> None:
    """Command line: corpus and sessions side by side; the first can be trained on at once."""
    parser = argparse.ArgumentParser(description="Build the corpus and its training sessions.")
    parser.add_argument("--hours", type=float, default=24.0, help="of raw synthetic speech")
    parser.add_argument("--passes", type=int, default=1, help="renderings of each shard")
    parser.add_argument("--silent", type=int, default=400, help="sessions without near speech")
    parser.add_argument("--seed", type=int, default=0, help="of the corpus and the renderings")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--cache", type=Path, default=None)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cache = args.cache or cache_folder()
    with workers(args.workers) as pool:
        source = shards(cache, args.hours, args.seed, pool)
        paths = build_sessions(cache, source, args.passes, args.seed, pool)
        build_silent(cache, args.silent, len(paths) // args.passes, args.seed, pool)


if __name__ == "__main__":
    main()
