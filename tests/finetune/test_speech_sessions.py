"""Sessions: sound, phones and rows that belong together, made again the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.finetune.speech import sessions, vocoder
from visavis.finetune.speech.corpus import Shard, save_shard
from visavis.finetune.speech.phones import PHONES, Phone
from visavis.finetune.speech.sessions import (
    Session,
    build_sessions,
    build_silent,
    held_out,
    make_session,
    phones_of,
    said_of,
    spoken,
)
from visavis.finetune.speech.surroundings import background, negative
from visavis.finetune.speech.voices import Utterance, voices
from visavis.finetune.speech.workers import workers

RATE = 16000


def _shard(voice: str = "flite:slt") -> Shard:
    """Noise where phones are, silence elsewhere."""
    rng = np.random.default_rng(0)
    phones = (
        Phone("pau", 0, 0.1),
        Phone("m", 0.1, 0.2),
        Phone("aa", 0.2, 0.5, 1.0),
        Phone("p", 0.5, 0.6),
    )
    sound = rng.normal(0, 0.1, 11200).astype(np.float32)
    sound[:1600] = sound[9600:] = 0.0
    return Shard(voice, tuple(Utterance(sound, phones) for _ in range(4)))


def _loud(sound: NDArray[np.float32]) -> NDArray[np.bool_]:
    power = np.convolve(np.square(sound), np.ones(320) / 320, "same")
    return np.asarray(power > 3e-3 * np.percentile(power, 99))


@pytest.mark.parametrize("seed", range(12))
def test_spoken_moves_phones_with_the_sound(seed: int) -> None:
    sound, phones = spoken(_shard(), np.random.default_rng(seed))
    inside = np.zeros(len(sound), np.bool_)
    for p in phones:
        if p.name != "pau":
            inside[int(p.start * RATE) : int(p.end * RATE)] = True
    # Edges may be off by the length of a window, but not by a phone.
    assert (_loud(sound) == inside).mean() > 0.95
    assert sum(p.name == "m" for p in phones) == 4
    assert all(a.end <= b.start + 1e-6 for a, b in zip(phones, phones[1:], strict=False))


def test_plain_speech_is_as_it_was_said() -> None:
    sound, phones = spoken(_shard(), np.random.default_rng(1), plain=True)
    lengths = {round(p.end - p.start, 3) for p in phones if p.name == "aa"}
    assert lengths == {0.3} and all(p.effort == 0.0 for p in phones)
    aa = next(p for p in phones if p.name == "aa")
    part = sound[round(aa.start * RATE) :][:4800]
    original = _shard().utterances[0].sound[3200:8000]
    assert np.corrcoef(part, original)[0, 1] > 0.999


def test_louder_vowels_carry_more_effort() -> None:
    efforts, levels = [], []
    for seed in range(6):
        sound, phones = spoken(_shard(), np.random.default_rng(seed))
        for p in phones:
            if p.name == "aa":
                part = sound[int(p.start * RATE) + 400 : int(p.end * RATE) - 400]
                levels.append(10 * np.log10(np.mean(part**2)))
                efforts.append(p.effort)
    assert np.std(efforts) > 1.5
    assert np.corrcoef(efforts, levels)[0, 1] > 0.6


def test_sessions_fit_together() -> None:
    speech = 0
    crowd = [_shard("flite:rms")]
    for seed in range(20):
        session = make_session(_shard(), np.random.default_rng(seed), crowd)
        rows = len(session.features)
        assert rows % 2 == 0 and session.features.shape[1] == 66
        assert session.features.dtype == np.float16 and np.isfinite(session.features).all()
        assert session.said.dtype == np.float32 and session.said.shape[1] == 5
        if session.voice == "none":
            assert len(session.said) == 0
            continue
        speech += 1
        index, start, end, stress, effort = session.said.T
        assert (index == np.rint(index)).all() and index.max() < len(PHONES)
        assert (start <= end).all() and end.max() <= rows / 100 + 0.02
        assert ((stress >= 0) & (stress <= 1)).all() and (np.abs(effort) <= 10).all()
    assert 11 <= speech <= 19


def test_a_seed_gives_the_same_session() -> None:
    a, b, c = (make_session(_shard(), np.random.default_rng(s)) for s in (4, 4, 5))
    assert np.array_equal(a.features, b.features) and np.array_equal(a.said, b.said)
    assert not np.array_equal(a.features[:100], c.features[:100])


def test_phones_survive_being_written() -> None:
    phones = [Phone("m", 0.5, 0.75, 0.25, -3.5), Phone("aa", 0.75, 1.0, 1.0, 2.0)]
    assert phones_of(said_of(phones)) == phones
    assert said_of([]).shape == (0, 5) and phones_of(said_of([])) == []


def _saved(folder: Path, count: int) -> list[Path]:
    """Shards of voices that take turns, as `corpus.shards` would leave them."""
    paths = [folder / "speech" / "seed-1" / f"{i:05d}.npz" for i in range(count)]
    paths[0].parent.mkdir(parents=True)
    for i, path in enumerate(paths):
        save_shard(path, _shard(("flite:slt", "flite:kal", "espeak:en-us+m1")[i % 3]))
    return paths


def test_sessions_are_resumed_and_shared(tmp_path: Path) -> None:
    saved = _saved(tmp_path, 4)
    made = build_sessions(tmp_path, saved, 2, seed=1)
    assert len(made) == len(set(made)) == 8
    content = {p: p.read_bytes() for p in made}
    assert len(set(content.values())) == 8
    kept = made[-1].stat().st_mtime_ns
    for path in (made[0], made[3]):
        path.unlink()
    with workers(2) as pool:
        again = build_sessions(tmp_path, iter(saved), 2, seed=1, pool=pool)
    assert again == made and made[-1].stat().st_mtime_ns == kept
    assert {p: p.read_bytes() for p in made} == content
    with np.load(made[0]) as data:
        assert set(data.files) == {"voice", "features", "said"}


def test_a_session_does_not_depend_on_which_are_there(tmp_path: Path) -> None:
    saved = _saved(tmp_path, 3)
    first = build_sessions(tmp_path, saved, 1, seed=1)[2].read_bytes()
    for path in (tmp_path / "sessions" / "seed-1").iterdir():
        path.unlink()
    # As if the corpus had grown in the meantime.
    save_shard(saved[0].with_name("00003.npz"), _shard("flite:awb"))
    assert build_sessions(tmp_path, saved, 1, seed=1)[2].read_bytes() == first


def test_the_name_of_the_voice_stays_on_sessions_without_speech(tmp_path: Path) -> None:
    """What is held out must be known as such whatever was rendered from it."""
    silent = 0
    for path in build_sessions(tmp_path, _saved(tmp_path, 2)[1:], 16, seed=1):
        with np.load(path) as data:
            assert held_out(str(data["voice"]))
            silent += len(data["said"]) == 0
    assert silent > 0


def test_held_out_voices_are_not_heard_behind_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[set[str]] = []

    def listen(shard: Shard, rng: np.random.Generator, crowd: Sequence[Shard]) -> Session:
        heard.append({shard.voice, *(s.voice for s in crowd)})
        return make_session(shard, rng, ())

    monkeypatch.setattr(sessions, "make_session", listen)
    build_sessions(tmp_path, _saved(tmp_path, 9), 1, seed=1)
    assert max(len(voices) for voices in heard) > 1
    assert all(len({held_out(v) for v in voices}) == 1 for voices in heard)


def test_silent_sessions_say_nothing_and_are_not_made_again(tmp_path: Path) -> None:
    _saved(tmp_path, 2)
    first = build_silent(tmp_path, 2, 2)
    before = [path.read_bytes() for path in first]
    first[1].unlink()
    again = build_silent(tmp_path, 3, 2)
    assert again[:2] == first and len(again) == 3
    assert [path.read_bytes() for path in again[:2]] == before
    for path in again:
        with np.load(path) as data:
            assert len(data["said"]) == 0 and len(data["features"]) > 1000
            assert np.isfinite(data["features"].astype(np.float32)).all()
    assert not held_out("none")  # they are trained on


def test_held_out_voices() -> None:
    assert held_out("flite:kal16") and held_out("espeak:en-gb-scotland+f3")
    assert not held_out("flite:slt") and not held_out("espeak:en-us+m1")
    # Nobody says Italian in training; of every engine something is left.
    assert all(held_out(str(v)) for v in voices() if v.language == "it")
    kept = {v.engine for v in voices() if not held_out(str(v))}
    assert kept == {"flite", "festival", "espeak"}


def test_negatives_of_any_length_are_finite() -> None:
    rng = np.random.default_rng(0)
    for n in (800, 4000, 33333):
        for _ in range(40):
            sound = negative(n, rng)
            assert len(sound) == n and sound.dtype == np.float32 and np.isfinite(sound).all()


def test_backgrounds_have_unit_power() -> None:
    rng = np.random.default_rng(0)
    for _ in range(12):
        sound = background([_shard()], 3 * RATE, rng)
        assert len(sound) == 3 * RATE and np.isfinite(sound).all()
        assert 0.3 < float(np.sqrt(np.mean(np.square(sound)))) < 2.0


def test_without_the_vocoder_others_are_made_by_resampling(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vocoder, "load", lambda: None)
    sound, phones = spoken(_shard(), np.random.default_rng(0))
    assert len(phones) == 16 and phones[-1].end < len(sound) / RATE
    with pytest.raises(RuntimeError, match="pyworld"):
        vocoder.revoice(sound, vocoder.Speaker(), None, np.random.default_rng(0))
