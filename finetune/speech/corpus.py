"""The raw corpus: hours of synthetic speech with phone times, cached outside the repository.

    python -m visavis.finetune.speech.corpus --hours 2.5

A shard is one voice saying twelve things at one rate; which voice and what depends on the seed and
the number alone. Building is resumed where it stopped: a shard that is there is not made again.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.speech.phones import PHONES, Phone
from visavis.finetune.speech.sentences import foreign_text, sentence
from visavis.finetune.speech.voices import Utterance, Voice, available, speak, voices

__all__ = ["Shard", "build_corpus", "cache_folder", "load_shard", "make_shard"]

log = logging.getLogger(__name__)

PER_SHARD = 12
# Share of the shards. The most human voices come most often.
_SHARE = {
    "flite:slt": 0.12, "flite:rms": 0.15, "flite:awb": 0.15, "flite:kal16": 0.03, "flite:kal": 0.03,
    "festival:hts": 0.14, "festival:kal": 0.04,
}  # fmt: skip
_SHARE_FOREIGN = 0.16


@dataclass(frozen=True, slots=True)
class Shard:
    """What one voice said."""

    voice: str
    utterances: tuple[Utterance, ...]


def cache_folder() -> Path:
    """Where derived data lives: $VISAVIS_CACHE, or ~/.cache/visavis."""
    return Path(os.environ.get("VISAVIS_CACHE") or Path.home() / ".cache" / "visavis")


def _weights(every: Sequence[Voice]) -> list[float]:
    foreign = sum(1 for v in every if v.language != "en")
    others = sum(1 for v in every if v.language == "en" and str(v) not in _SHARE)
    rest = 1.0 - sum(_SHARE.values()) - _SHARE_FOREIGN
    return [
        _SHARE.get(str(v), _SHARE_FOREIGN / max(foreign, 1))
        if str(v) in _SHARE or v.language != "en"
        else rest / others
        for v in every
    ]


def make_shard(number: int, seed: int, engines: frozenset[str], count: int = PER_SHARD) -> Shard:
    """Shard `number` of the corpus of `seed`, from the engines named."""
    rng = random.Random(f"{seed}/{number}")
    every = [v for v in voices() if v.engine in engines]
    if not every:
        raise RuntimeError("No synthesiser is installed: install flite, festival or espeak-ng.")
    voice = rng.choices(every, _weights(every))[0]
    texts = [
        sentence(rng) if voice.language == "en" else foreign_text(rng, voice.language)
        for _ in range(count)
    ]
    stretch, pitch = rng.uniform(0.75, 1.45), rng.uniform(0.8, 1.25)
    said = speak(voice, texts, stretch=stretch, pitch=pitch)
    # Less than a third of a second is an engine that stumbled over a text.
    return Shard(str(voice), tuple(u for u in said if len(u.sound) > 5000 and u.phones))


def _save(path: Path, shard: Shard) -> None:
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


def build_corpus(cache_dir: Path, hours: float, seed: int = 0) -> list[Path]:
    """Makes what is missing of a corpus of about `hours`, and names all its shards.

    Args:
        cache_dir: a folder outside the repository; made when missing.
        hours: of raw speech; an hour takes about a minute and a half of one core and 110 MB.
        seed: another seed says other things.

    Raises:
        RuntimeError: when no synthesiser is installed.
    """
    folder = cache_dir / "speech" / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    engines = available()
    paths: list[Path] = []
    seconds = 0.0
    number = 0
    while seconds < hours * 3600.0:
        path = folder / f"{number:05d}.npz"
        if not path.exists():
            _save(path, make_shard(number, seed, engines))
        with np.load(path) as data:
            length = float(data["lengths"].sum()) / 16000.0
        if length == 0.0 and number > 50 and seconds == 0.0:
            raise RuntimeError("The synthesisers gave no sound at all.")
        seconds += length
        paths.append(path)
        number += 1
        if number % 50 == 0:
            log.info("%d shards, %.2f h", number, seconds / 3600.0)
    return paths


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--hours", type=float, default=2.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=None)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    build_corpus(args.cache or cache_folder(), args.hours, args.seed)


if __name__ == "__main__":
    main()
