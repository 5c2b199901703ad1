"""The raw corpus: hours of synthetic speech with phone times, cached outside the repository.

    python -m visavis.finetune.speech.corpus --hours 24 --workers 2

A shard is one voice saying twelve things at one rate; which voice and what depends on the seed, the
number and the voices installed (espeak-ng never says a thing twice to the very sample). Building is
resumed where it stopped: a shard that is there is not made again.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.speech.phones import PHONES, Phone
from visavis.finetune.speech.sentences import foreign_text, sentence
from visavis.finetune.speech.voices import Utterance, Voice, installed, speak
from visavis.finetune.speech.workers import in_order, workers

__all__ = [
    "Shard",
    "build_corpus",
    "cache_folder",
    "load_shard",
    "make_shard",
    "pick_voice",
    "shards",
]

log = logging.getLogger(__name__)

PER_SHARD = 12
# Share of the shards, by voice. Those made of a person's recordings come most often.
_SHARE = {
    "flite:slt": 0.08, "flite:rms": 0.11, "flite:awb": 0.11, "flite:kal16": 0.012,
    "flite:kal": 0.012, "festival:hts": 0.11, "festival:kal": 0.012, "festival:ked": 0.05,
    "festival:ona": 0.05, "festival:nsh": 0.05, "festival:dita": 0.018, "festival:krb": 0.018,
    "festival:machac": 0.018, "festival:ph": 0.018, "festival:lj": 0.02, "festival:mv": 0.02,
    "festival:nsk-hi": 0.014, "festival:nsk-mr": 0.012, "festival:nsk-te": 0.012,
    "festival:lp": 0.012, "festival:pc": 0.012,
}  # fmt: skip
_SHARE_ENGLISH, _SHARE_FOREIGN = 0.13, 0.10  # of espeak-ng


@dataclass(frozen=True, slots=True)
class Shard:
    """What one voice said."""

    voice: str
    utterances: tuple[Utterance, ...]


def cache_folder() -> Path:
    """Where derived data lives: $VISAVIS_CACHE, or ~/.cache/visavis."""
    return Path(os.environ.get("VISAVIS_CACHE") or Path.home() / ".cache" / "visavis")


def _weights(every: Sequence[Voice]) -> list[float]:
    """Shares of the voices; they need not sum to 1 where some are missing."""
    foreign = sum(1 for v in every if v.engine == "espeak" and v.language != "en")
    english = sum(1 for v in every if v.engine == "espeak" and v.language == "en")
    return [
        _SHARE[str(v)]
        if v.engine != "espeak"
        else _SHARE_ENGLISH / english
        if v.language == "en"
        else _SHARE_FOREIGN / foreign
        for v in every
    ]


def pick_voice(rng: random.Random, every: Sequence[Voice]) -> Voice:
    """One of the voices given, by its share.

    Raises:
        RuntimeError: when there is none.
    """
    if not every:
        raise RuntimeError("No synthesiser is installed: install flite, festival or espeak-ng.")
    return rng.choices(every, _weights(every))[0]


def make_shard(number: int, seed: int, every: Sequence[Voice], texts: int = PER_SHARD) -> Shard:
    """Shard `number` of the corpus of `seed`, in one of the voices given."""
    rng = random.Random(f"{seed}/{number}")
    voice = pick_voice(rng, every)
    things = [
        sentence(rng) if voice.language == "en" else foreign_text(rng, voice.language)
        for _ in range(texts)
    ]
    stretch, pitch = rng.uniform(0.75, 1.45), rng.uniform(0.8, 1.25)
    said = speak(voice, things, stretch=stretch, pitch=pitch)
    # Less than a third of a second is an engine that stumbled over a text.
    return Shard(str(voice), tuple(u for u in said if len(u.sound) > 5000 and u.phones))


def save_shard(path: Path, shard: Shard) -> None:
    """Writes a shard as npz, at once or not at all."""
    index = {name: i for i, name in enumerate(PHONES)}
    rows = [
        (i, index[p.name], p.start, p.end, p.stress)
        for i, u in enumerate(shard.utterances)
        for p in u.phones
    ]
    sounds = [np.round(np.clip(u.sound, -1, 1) * 32767).astype("<i2") for u in shard.utterances]
    partial = path.with_suffix(".partial")
    with partial.open("wb") as f:
        np.savez(
            f,
            voice=np.array(shard.voice),
            lengths=np.array([len(s) for s in sounds], np.int64),
            sound=np.concatenate(sounds) if sounds else np.zeros(0, "<i2"),
            phones=np.array(rows, np.float32).reshape(-1, 5),
        )
    partial.replace(path)


def load_shard(path: Path) -> Shard:
    """Reads what `build_corpus` wrote."""
    with np.load(path) as data:
        sound: NDArray[np.int16] = data["sound"]
        ends = np.cumsum(data["lengths"])
        rows = data["phones"]
        voice = str(data["voice"])
    utterances = []
    for i, end in enumerate(ends):
        phones = tuple(
            Phone(PHONES[int(name)], float(a), float(b), float(stress))
            for _, name, a, b, stress in rows[rows[:, 0] == i]
        )
        start = ends[i - 1] if i else 0
        utterances.append(Utterance(sound[start:end].astype(np.float32) / 32768.0, phones))
    return Shard(voice, tuple(utterances))


def _seconds(folder: Path, number: int, seed: int) -> float:
    """Makes a shard unless it is there; its length."""
    path = folder / f"{number:05d}.npz"
    if not path.exists():
        save_shard(path, make_shard(number, seed, installed()))
    with np.load(path) as data:
        return float(data["lengths"].sum()) / 16000.0


def shards(
    cache_dir: Path, hours: float, seed: int = 0, pool: Executor | None = None
) -> Iterator[Path]:
    """Makes what is missing of a corpus of about `hours`; gives its shards as they get ready.

    Args:
        cache_dir: a folder outside the repository; made when missing.
        hours: of raw speech; an hour takes about a minute of one core and 110 MB.
        seed: another seed says other things.
        pool: processes to share the work; this one does it where none is given.

    Raises:
        RuntimeError: when no synthesiser is installed.
    """
    folder = cache_dir / "speech" / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    seconds = 0.0
    lengths = in_order(_seconds, ((folder, number, seed) for number in count()), pool)
    for number, length in enumerate(lengths):
        seconds += length
        if number > 50 and seconds == 0.0:
            raise RuntimeError("The synthesisers gave no sound at all.")
        yield folder / f"{number:05d}.npz"
        if number % 50 == 49:
            log.info("%d shards, %.2f h", number + 1, seconds / 3600.0)
        if seconds >= hours * 3600.0:
            return


def build_corpus(
    cache_dir: Path, hours: float, seed: int = 0, pool: Executor | None = None
) -> list[Path]:
    """All of `shards` at once."""
    return list(shards(cache_dir, hours, seed, pool))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--cache", type=Path, default=None)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with workers(args.workers) as pool:
        build_corpus(args.cache or cache_folder(), args.hours, args.seed, pool)


if __name__ == "__main__":
    main()
