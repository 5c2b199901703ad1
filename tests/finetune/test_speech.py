"""Synthetic speech: phones of every engine, sentences, the corpus, and sessions made of it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from visavis.finetune.speech import augment
from visavis.finetune.speech.corpus import Shard, build_corpus, load_shard
from visavis.finetune.speech.phones import PHONES, SHAPES, Phone, from_festival, from_ipa
from visavis.finetune.speech.sentences import LANGUAGES, foreign_text, sentence
from visavis.finetune.speech.sessions import held_out, make_session, negative, spoken
from visavis.finetune.speech.voices import Utterance, Voice, available, resample, speak, voices

RATE = 16000


def needs(engine: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(engine not in available(), reason=f"needs {engine}")


def test_every_phone_of_the_american_voices_is_known() -> None:
    names = (
        *("aa", "ae", "ah", "ao", "aw", "ax", "ay", "b", "ch", "d", "dh", "eh", "er", "ey", "f"),
        *("g", "hh", "ih", "iy", "jh", "k", "l", "m", "n", "ng", "ow", "oy", "p", "pau", "r"),
        *("s", "sh", "t", "th", "uh", "uw", "v", "w", "y", "z", "zh"),
    )
    for name in names:
        parts = from_festival(name, 1.0, 1.2)
        assert all(p.name in SHAPES for p in parts)
        assert parts[0].start == 1.0 and parts[-1].end == 1.2
    assert [p.name for p in from_festival("ow", 0.0, 0.1)] == ["oh", "uw"]


@pytest.mark.parametrize(
    ("ipa", "name"),
    [("p", "p"), ("ˈiː", "iy"), ("tʃ", "ch"), ("œ", "oe"), ("ɾ", "rr"), ("_:", "pau"), ("m̩", "m")],
)
def test_ipa(ipa: str, name: str) -> None:
    assert from_ipa(ipa, 0.0, 0.1)[0].name == name


def test_reduced_vowels_are_unstressed() -> None:
    assert from_ipa("ə", 0.0, 0.05)[0].stress == 0.0
    assert from_ipa("ˈɑ", 0.0, 0.05)[0].stress == 1.0
    assert from_festival("ax", 0.0, 0.05)[0].stress == 0.0


def test_sentences_are_many_and_repeatable() -> None:
    said = [sentence(random.Random(i)) for i in range(400)]
    assert said == [sentence(random.Random(i)) for i in range(400)]
    assert len(set(said)) > 300
    text = " ".join(said).lower()
    assert all(text.count(letter) > 50 for letter in "pbmfvw")
    assert all(foreign_text(random.Random(1), language) for language in LANGUAGES)


def _check(utterance: Utterance) -> None:
    """Phones in order, as long as the sound, and closures quieter than vowels."""
    phones = utterance.phones
    assert len(phones) > 5
    assert all(a.end <= b.start + 1e-3 for a, b in zip(phones, phones[1:], strict=False))
    assert abs(phones[-1].end - len(utterance.sound) / RATE) < 0.3

    def power(names: set[str]) -> float:
        pieces = [
            utterance.sound[int(p.start * RATE) : int(p.end * RATE)]
            for p in phones
            if p.name in names
        ]
        return float(np.mean(np.square(np.concatenate(pieces))))

    vowels = {n for n, s in SHAPES.items() if s.kind == "vowel"}
    assert power({"p", "b", "m"}) < 0.5 * power(vowels)


TEXT = "Papa and Bob help my happy puppy jump over a big apple pie."


@needs("flite")
@pytest.mark.parametrize("name", ["slt", "kal"])
def test_flite(name: str) -> None:
    slow, fast = (speak(Voice("flite", name), [TEXT], stretch=s)[0] for s in (1.3, 0.8))
    _check(slow)
    assert len(slow.sound) > 1.3 * len(fast.sound)


@needs("festival")
def test_festival_says_many_things_at_once() -> None:
    one, two = speak(Voice("festival", "kal"), [TEXT, 'He said "no" twice.'])
    _check(one)
    assert 5000 < len(two.sound) < len(one.sound)


@needs("espeak")
@pytest.mark.parametrize("name", ["en-us+m3", "de+f2"])
def test_espeak(name: str) -> None:
    _check(speak(Voice("espeak", name), [TEXT])[0])


@needs("espeak")
def test_espeak_knows_every_voice_of_the_corpus() -> None:
    for voice in voices():
        if voice.engine == "espeak":
            text = sentence(random.Random(0)) if voice.language == "en" else TEXT
            assert len(speak(voice, [text])[0].sound) > 5000, voice


@needs("espeak")
def test_a_voiceless_stop_begins_with_its_silence() -> None:
    utterance = speak(Voice("espeak", "en-us"), ["apa papa papa"])[0]
    stops = [p for p in utterance.phones if p.name == "p"]
    assert np.median([p.end - p.start for p in stops]) > 0.06


@needs("flite")
@needs("espeak")
def test_the_corpus_is_resumed(tmp_path: Path) -> None:
    first = build_corpus(tmp_path, 0.01, seed=3)
    times = {p: p.stat().st_mtime_ns for p in first}
    first[0].unlink()
    again = build_corpus(tmp_path, 0.01, seed=3)
    assert again == first
    assert all(p.stat().st_mtime_ns == times[p] for p in first[1:])
    shard = load_shard(first[0])
    assert sum(len(u.sound) for u in shard.utterances) > RATE
    assert all(p.name in PHONES for u in shard.utterances for p in u.phones)


def test_resampling_keeps_a_tone() -> None:
    t = np.arange(22050) / 22050
    tone = np.sin(2 * np.pi * 440 * t).astype(np.float32)
    want = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    got = resample(tone, 22050)
    assert abs(len(got) - RATE) <= 1
    middle = slice(1000, 15000)
    assert np.abs(got[middle] - want[middle]).max() < 0.05


def _shard(voice: str = "flite:slt") -> Shard:
    rng = np.random.default_rng(0)
    phones = (
        Phone("pau", 0, 0.1),
        Phone("m", 0.1, 0.2),
        Phone("aa", 0.2, 0.5),
        Phone("p", 0.5, 0.6),
    )
    sound = rng.normal(0, 0.1, 11200).astype(np.float32)
    sound[:1600] = sound[9600:] = 0.0
    return Shard(voice, tuple(Utterance(sound, phones) for _ in range(4)))


def test_spoken_moves_phones_with_the_sound() -> None:
    for seed in range(4):
        sound, phones = spoken(_shard(), np.random.default_rng(seed))
        loud = (
            np.convolve(np.square(sound), np.ones(400) / 400, "same")
            > 1e-3 * np.square(sound).max()
        )
        said = [p for p in phones if p.name != "pau"]
        inside = np.zeros(len(sound), np.bool_)
        for p in said:
            inside[int(p.start * RATE) : int(p.end * RATE)] = True
        assert (loud == inside).mean() > 0.97


def test_sessions_fit_together() -> None:
    speech = 0
    for seed in range(16):
        session = make_session(_shard(), np.random.default_rng(seed))
        steps = len(session.tract)
        assert session.features.shape == (2 * steps, 66) and session.phones.shape == (steps,)
        assert np.isfinite(session.features).all() and np.isfinite(session.tract).all()
        if session.voice == "none":
            assert not session.tract.any() and not session.phones.any()
        else:
            speech += 1
            assert session.tract[:, 8].any() and session.tract[:, 6].any()
    assert 8 <= speech <= 15


def test_held_out_voices() -> None:
    assert held_out("flite:kal16") and held_out("espeak:en-gb-scotland+f3")
    assert not held_out("flite:slt") and not held_out("espeak:en-us+m1")
    # Something of every engine is left to train on.
    kept = {v.engine for v in voices() if not held_out(str(v))}
    assert kept == {"flite", "festival", "espeak"}


@pytest.mark.parametrize(
    "make", [augment.keys, augment.breath, augment.rustle, augment.music, augment.noise]
)
def test_noises_have_unit_power(make: object) -> None:
    for seed in range(3):
        sound = make(RATE * 3, np.random.default_rng(seed))  # type: ignore[operator]
        assert sound.dtype == np.float32 and len(sound) == RATE * 3
        assert 0.3 < float(np.sqrt(np.mean(np.square(sound)))) < 2.0


def test_negatives_of_any_length_are_finite() -> None:
    rng = np.random.default_rng(0)
    for n in (800, 4000, 33333):
        for _ in range(12):
            sound = negative(n, rng)
            assert len(sound) == n and np.isfinite(sound).all()


def test_augmentations_keep_time() -> None:
    rng = np.random.default_rng(0)
    click = np.zeros(RATE, np.float32)
    click[8000] = 1.0
    for change in (augment.colour, augment.reverberate):
        for _ in range(5):
            assert abs(int(np.abs(change(click, rng)).argmax()) - 8000) <= 2
